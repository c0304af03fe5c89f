// A process that lives histories for another one: gets stretches of seeds over its channel, answers each with what they held.
import { mutants } from './mutants.ts';
import { runHistory } from './run-history.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { listenForStrays } from './strays.ts';
import { createTally } from './tally.ts';

/** Seeds to live, and an agent broken on purpose if one is named. */
export interface Stretch {
  readonly from: number;
  readonly count: number;
  readonly mutant: string | null;
}

/** What they held; `violated` ends the stretch. */
export interface StretchResult {
  readonly held: number;
  readonly counts: readonly (readonly [string, number])[];
  readonly violated: { readonly seed: number; readonly problems: readonly string[] } | null;
}

// Looks at files that are not there make errors by the million; nobody reads their stacks.
Error.stackTraceLimit = 0;
const strays = listenForStrays();
process.on('message', (stretch: Stretch) => {
  void live(stretch).then((result) => process.send?.(result));
});

async function live({ from, count, mutant }: Stretch): Promise<StretchResult> {
  const tally = createTally();
  const mutation = mutant === null ? {} : (mutants[mutant]?.mutation ?? {});
  for (let seed = from; seed < from + count; seed += 1) {
    const result = await runHistory({ seed, mutation });
    await settleByImmediate();
    tally.merge(result.tally);
    const problems = [...result.violations, ...strays.take()];
    if (problems.length > 0) return { held: seed - from, counts: [...tally.counts], violated: { seed, problems } };
  }
  return { held: count, counts: [...tally.counts], violated: null };
}
