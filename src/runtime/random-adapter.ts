// The real randomness: jitter needs no secrecy, names must not collide between processes.
import { randomBytes } from 'node:crypto';
import type { Random } from './ports.ts';

/** The machine's randomness. */
export function createRandom(): Random {
  return {
    fraction: () => Math.random(),
    name: (digits) =>
      randomBytes(Math.ceil(digits / 2))
        .toString('hex')
        .slice(0, digits),
  };
}
