// What is fuzzed, as the runner sees it: inputs from a seed, and what must hold for each. A target that does not hold says so by throwing.
import { asyncProperty, check } from 'fast-check';
import type { Arbitrary } from 'fast-check';

/** How a run went. */
export interface FuzzOutcome {
  readonly inputs: number;
  /** Milliseconds of processor time that the slowest input took: on a busy machine waiting says nothing. */
  readonly slowest: number;
  /** Inputs by what became of them, e.g. `accepted` and `refused`: a target whose inputs all go one way tests little. */
  readonly tally: Readonly<Record<string, number>>;
  /** null: everything held. Else the shortest input found that breaks it, and what broke. */
  readonly failure: string | null;
}

export interface FuzzTarget {
  readonly name: string;
  /** Every fate that inputs must have; one that none had means that the inputs are no good. */
  readonly fates: readonly string[];
  run(inputs: number, seed: number): Promise<FuzzOutcome>;
}

/** A target: `examine` answers with the fate of the input, and throws when something does not hold. */
export function fuzzTarget<Input>(
  name: string,
  fates: readonly string[],
  inputs: Arbitrary<Input>,
  examine: (input: Input) => string | Promise<string>,
): FuzzTarget {
  return {
    name,
    fates,
    async run(numRuns, seed) {
      const tally: Record<string, number> = {};
      let slowest = 0;
      const property = asyncProperty(inputs, async (input) => {
        const begun = process.cpuUsage();
        const fate = await examine(input);
        const { user, system } = process.cpuUsage(begun);
        slowest = Math.max(slowest, (user + system) / 1000);
        tally[fate] = (tally[fate] ?? 0) + 1;
      });
      const result = await check(property, { numRuns, seed });
      const failure = result.failed
        ? `seed ${seed}, path ${result.counterexamplePath}: ${JSON.stringify(printable(result.counterexample)).slice(0, 2_000)}\n${String(result.errorInstance)}`
        : null;
      return { inputs: result.numRuns, slowest, tally, failure };
    },
  };
}

/** Bytes as text, which is what most of them are. */
function printable(input: unknown): unknown {
  if (input instanceof Uint8Array) return Buffer.from(input).toString('latin1');
  return Array.isArray(input) ? input.map(printable) : input;
}

/** Says what does not hold. */
export function mustHold(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}
