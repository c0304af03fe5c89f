// `npm run simulate -- --seed N`: lives one simulated history and tells it line by line. With `--histories H` it lives H of them from that
// seed on and says what they held; the first failing one is made as short as it can be, told, and the exit code is 1.
import { parseArgs } from 'node:util';
import { generateEvents } from './event.ts';
import { mutants } from './mutants.ts';
import { eventsPerHistory, runHistory } from './run-history.ts';
import type { HistoryResult } from './run-history.ts';
import { shrinkHistory } from './shrink-history.ts';
import { listenForStrays } from './strays.ts';
import { missingKinds, tellTally } from './tell-tally.ts';
import { createTally } from './tally.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    histories: { type: 'string' },
    mutant: { type: 'string' },
    /** Only these events of the seed's, by number. */
    events: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
// Looks at files that are not there make errors by the million; nobody reads their stacks.
if (values.histories !== undefined) Error.stackTraceLimit = 0;
const first = Number(values.seed);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const mutation = values.mutant === undefined ? {} : (mutants[values.mutant]?.mutation ?? unknownMutant(values.mutant));
const suffix = values.mutant === undefined ? '' : ` --mutant ${values.mutant}`;
const strays = listenForStrays();

process.exitCode = values.histories === undefined ? await replay() : await runMany(Number(values.histories));

async function replay(): Promise<number> {
  const all = generateEvents(first, eventsPerHistory);
  const events = values.events === undefined ? all : values.events.split(',').flatMap((at) => all[Number(at)] ?? []);
  const result = await runHistory({ seed: first, events, mutation, ...(values.quiet ? {} : { tell: print }) });
  print('');
  for (const line of tellTally(result.tally, 1)) print(line);
  return tellEnd(first, result);
}

async function runMany(count: number): Promise<number> {
  const tally = createTally();
  const begun = performance.now();
  let told = begun;
  for (let seed = first; seed < first + count; seed += 1) {
    const result = await runHistory({ seed, mutation });
    tally.merge(result.tally);
    if (tellEnd(seed, result, false) > 0) {
      await tellShortest(seed);
      return 1;
    }
    if (performance.now() - told < 10_000) continue;
    told = performance.now();
    print(
      `${seed - first + 1} histories held; to go on from here: npm run simulate -- --seed ${seed + 1} --histories ${first + count - seed - 1}${suffix}`,
    );
  }
  const seconds = (performance.now() - begun) / 1000;
  print(
    `${count} histories from seed ${first} held in ${seconds.toFixed(0)} s (${((1000 * seconds) / count).toFixed(0)} ms each)`,
  );
  for (const line of tellTally(tally, count)) print(line);
  const missing = missingKinds(tally);
  if (missing.length > 0 && count >= 100) print(`NOT ONE of: ${missing.join(', ')}`);
  return missing.length > 0 && count >= 100 ? 1 : 0;
}

function tellEnd(seed: number, { violations }: HistoryResult, praise = true): number {
  const problems = [...violations, ...strays.take()];
  for (const problem of problems) print(`VIOLATED in the history of seed ${seed}: ${problem}`);
  if (problems.length === 0 && praise) print(`the history of seed ${seed} held`);
  return problems.length === 0 ? 0 : 1;
}

async function tellShortest(seed: number): Promise<void> {
  const all = generateEvents(seed, eventsPerHistory);
  const shortest = await shrinkHistory(all, async (events) => {
    const { violations } = await runHistory({ seed, events, mutation });
    return violations.length > 0 || strays.take().length > 0;
  });
  const numbers = shortest.map((event) => all.indexOf(event)).join(',');
  print(`${shortest.length} of its ${all.length} events suffice; replay it:`);
  print(`  npm run simulate -- --seed ${seed} --events ${numbers === '' ? 'none' : numbers}${suffix}`);
}

function unknownMutant(name: string): never {
  throw new Error(`no mutant ${name}; there are ${Object.keys(mutants).join(', ')}`);
}
