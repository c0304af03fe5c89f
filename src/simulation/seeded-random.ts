// Randomness that is the same for the same seed: splitmix32, small, fast, and good enough to scatter faults.
import type { Random } from '../runtime/ports.ts';

/** A generator for whole numbers and choices beside what the port offers. */
export interface SeededRandom extends Random {
  /** A whole number in [0, below). */
  below(limit: number): number;
  /** One of the items; throws when there is none. */
  pick<Item>(items: readonly Item[]): Item;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** An independent generator, so that one consumer's draws do not shift another's. */
  fork(): SeededRandom;
}

/** Builds a generator from a whole number. */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 0x1_0000_0000) * limit);
  return {
    fraction: () => next() / 0x1_0000_0000,
    name: (digits) => Array.from({ length: digits }, () => below(16).toString(16)).join(''),
    below,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('pick: nothing to pick from');
      return item;
    },
    chance: (probability) => next() / 0x1_0000_0000 < probability,
    fork: () => createSeededRandom(next()),
  };
}
