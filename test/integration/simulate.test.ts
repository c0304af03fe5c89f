// The simulation itself: random histories from seeds hold, the same seed is the same history, and every agent that is broken on purpose
// is caught. SIMULATED_HISTORIES=400 runs more of them here; `npm run simulate` as many as one likes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateEvents } from '../simulate/event.ts';
import { mutants } from '../simulate/mutants.ts';
import { runHistory } from '../simulate/run-history.ts';
import { shrinkHistory } from '../simulate/shrink-history.ts';
import { listenForStrays } from '../simulate/strays.ts';
import { createTally } from '../simulate/tally.ts';
import { belowFloors, missingKinds } from '../simulate/tell-tally.ts';

/** Most histories that a mutant may survive, from its seed on. */
const boundOfMutants = 200;

let strays = listenForStrays();
strays.close();

// Millions of failed looks at absent files make errors; nobody reads their stacks.
beforeAll(() => {
  Error.stackTraceLimit = 0;
  strays = listenForStrays();
});
afterAll(() => strays.close());

describe('simulated histories', () => {
  it('hold, and hold enough of everything', { timeout: 600_000 }, async () => {
    const histories = Number(process.env['SIMULATED_HISTORIES'] ?? 40);
    const tally = createTally();
    for (let seed = 1; seed <= histories; seed += 1) {
      const result = await runHistory({ seed });
      expect(result.violations, `npm run simulate -- --seed ${seed}`).toEqual([]);
      tally.merge(result.tally);
    }
    expect(strays.take()).toEqual([]);
    expect(belowFloors(tally, histories)).toEqual([]);
    expect(missingKinds(tally)).toEqual([]);
  });

  it('are the same when told twice', { timeout: 60_000 }, async () => {
    const tell = async (seed: number): Promise<string> => {
      const lines: string[] = [];
      await runHistory({ seed, tell: (line) => lines.push(line) });
      return lines.join('\n');
    };
    expect(await tell(3)).toBe(await tell(3));
    expect(await tell(3)).not.toBe(await tell(4));
  });

  it('are shrunk to the events that matter', async () => {
    const events = generateEvents(1, 60);
    const [, , , needed] = events;
    const shortest = await shrinkHistory(events, (some) =>
      Promise.resolve(needed !== undefined && some.includes(needed)),
    );
    expect(shortest).toEqual([needed]);
  });
});

describe('an agent that is broken on purpose is caught', () => {
  it.each(Object.entries(mutants).map(([name, mutant]) => ({ name, ...mutant })))(
    '$name: $wrong',
    { timeout: 600_000 },
    async ({ name, mutation, from }) => {
      for (let seed = from; seed < from + boundOfMutants; seed += 1) {
        const { violations } = await runHistory({ seed, mutation });
        if (violations.length === 0) continue;
        // It is the mutant's fault, not the history's.
        expect((await runHistory({ seed })).violations).toEqual([]);
        return;
      }
      throw new Error(`${name} was not caught in ${boundOfMutants} histories from seed ${from}`);
    },
  );
});
