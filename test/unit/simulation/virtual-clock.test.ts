import { describe, expect, it } from 'vitest';
import { settleByImmediate } from '../../../src/simulation/settle-adapter.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

describe('the virtual clock', () => {
  it('fires timers in order of time, equal ones in order of making, also those made on the way', async () => {
    const clock = createVirtualClock({ startsAt: 1_000 });
    const fired: string[] = [];
    clock.after(20, () => fired.push(`b@${clock.now()}`));
    clock.after(10, () => {
      fired.push(`a@${clock.now()}`);
      clock.after(5, () => fired.push(`nested@${clock.now()}`));
    });
    clock.after(20, () => fired.push('c'));
    clock.after(15, () => fired.push('cancelled')).cancel();
    await clock.advance(20);
    expect(fired).toEqual(['a@1010', 'nested@1015', 'b@1020', 'c']);
    expect([clock.monotonic(), clock.now(), clock.pending]).toEqual([20, 1020, 0]);
  });

  it('lets promises settle between two timers', async () => {
    const clock = createVirtualClock();
    const order: string[] = [];
    const pause = (milliseconds: number): Promise<void> =>
      new Promise((resolve) => {
        clock.after(milliseconds, resolve);
      });
    void pause(1).then(async () => {
      await Promise.resolve();
      order.push('first, later');
      await pause(1);
      order.push('second');
    });
    clock.after(2, () => order.push('timer'));
    await clock.advance(5);
    expect(order).toEqual(['first, later', 'timer', 'second']);
  });

  it('runs until a condition or until idle, and says so', async () => {
    const clock = createVirtualClock({ settle: settleByImmediate });
    let ticks = 0;
    const tick = (): void => {
      ticks += 1;
      clock.after(10, tick);
    };
    tick();
    expect(await clock.runUntil(() => ticks === 3, 1_000)).toBe(true);
    expect(clock.monotonic()).toBe(20);
    expect(await clock.runUntil(() => ticks === 1_000, 50)).toBe(false);
    expect(clock.monotonic()).toBe(70);
    expect(await clock.runUntilIdle(100)).toBe(false);
  });

  it('jumps the wall clock alone', async () => {
    const clock = createVirtualClock({ startsAt: 0 });
    clock.jump(-5_000);
    await clock.advance(10);
    expect([clock.now(), clock.monotonic()]).toEqual([-4_990, 10]);
  });
});

describe('seeded randomness', () => {
  it('is the same for the same seed, spread evenly, and forks without shifting', () => {
    const draws = (seed: number): readonly number[] => {
      const random = createSeededRandom(seed);
      return Array.from({ length: 1_000 }, () => random.fraction());
    };
    expect(draws(7)).toEqual(draws(7));
    expect(draws(7)).not.toEqual(draws(8));
    const mean = draws(3).reduce((sum, value) => sum + value, 0) / 1_000;
    expect(mean).toBeGreaterThan(0.45);
    expect(mean).toBeLessThan(0.55);
    expect(createSeededRandom(1).name(12)).toMatch(/^[0-9a-f]{12}$/);
    const [one, two] = [createSeededRandom(5), createSeededRandom(5)];
    const [forkOne, forkTwo] = [one.fork(), two.fork()];
    forkOne.fraction();
    expect(one.fraction()).toBe(two.fraction());
    forkTwo.fraction();
    expect(forkOne.fraction()).toBe(forkTwo.fraction());
  });
});
