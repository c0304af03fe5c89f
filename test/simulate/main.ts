// `npm run simulate -- --seed N`: lives one simulated history and tells it line by line. With `--histories H` it lives H of them from that
// seed on, in `--jobs` processes, and says what they held; the first failing one is made as short as it can be, and the exit code is 1.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { eventsPerHistory, generateEvents } from './event.ts';
import { mutants } from './mutants.ts';
import { runHistory } from './run-history.ts';
import { runMany } from './run-many.ts';
import { shrinkHistory } from './shrink-history.ts';
import { listenForStrays } from './strays.ts';
import { belowFloors, missingKinds, tellTally } from './tell-tally.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    histories: { type: 'string' },
    /** With --histories: more of them until so many minutes are over. */
    minutes: { type: 'string', default: '0' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    mutant: { type: 'string' },
    /** Only these events of the seed's, by number. */
    events: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const mutation = values.mutant === undefined ? {} : (mutants[values.mutant]?.mutation ?? unknownMutant(values.mutant));
const suffix = values.mutant === undefined ? '' : ` --mutant ${values.mutant}`;

process.exitCode = values.histories === undefined ? await replay() : await many(Number(values.histories));

async function replay(): Promise<number> {
  const strays = listenForStrays();
  const all = generateEvents(first, eventsPerHistory);
  const events = values.events === undefined ? all : values.events.split(',').flatMap((at) => all[Number(at)] ?? []);
  const result = await runHistory({ seed: first, events, mutation, ...(values.quiet ? {} : { tell: print }) });
  await settleByImmediate();
  print('');
  for (const line of tellTally(result.tally, 1)) print(line);
  const problems = [...result.violations, ...strays.take()];
  tellProblems(first, problems);
  if (problems.length === 0) print(`the history of seed ${first} held`);
  return problems.length === 0 ? 0 : 1;
}

async function many(count: number): Promise<number> {
  let told = performance.now();
  const result = await runMany({
    from: first,
    histories: count,
    jobs: Number(values.jobs),
    fill: Number(values.minutes) * 60_000,
    mutant: values.mutant ?? null,
    onProgress(next) {
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      const left = Math.max(1, first + count - next);
      print(
        `${next - first} held; to go on from here: npm run simulate -- --seed ${next} --histories ${left}${suffix}`,
      );
    },
  });
  const { held, tally, violated, milliseconds } = result;
  const seconds = (milliseconds / 1000).toFixed(0);
  print(
    `${held} histories from seed ${first} held in ${seconds} s, ${(milliseconds / Math.max(1, held)).toFixed(0)} ms each`,
  );
  for (const line of tellTally(tally, Math.max(1, held))) print(line);
  if (violated !== null) {
    tellProblems(violated.seed, violated.problems);
    await tellShortest(violated.seed);
    return 1;
  }
  if (count < 500) return 0;
  const missing = missingKinds(tally);
  const low = belowFloors(tally, held);
  if (missing.length > 0) print(`NOT ONE of: ${missing.join(', ')}`);
  if (low.length > 0) print(`TOO FEW on average: ${low.join(', ')}`);
  return missing.length + low.length > 0 ? 1 : 0;
}

function tellProblems(seed: number, problems: readonly string[]): void {
  for (const problem of problems) print(`VIOLATED in the history of seed ${seed}: ${problem}`);
}

async function tellShortest(seed: number): Promise<void> {
  Error.stackTraceLimit = 0;
  const strays = listenForStrays();
  const all = generateEvents(seed, eventsPerHistory);
  const shortest = await shrinkHistory(all, async (events) => {
    const { violations } = await runHistory({ seed, events, mutation });
    await settleByImmediate();
    return violations.length > 0 || strays.take().length > 0;
  });
  const numbers = shortest.map((event) => all.indexOf(event)).join(',');
  print(`${shortest.length} of its ${all.length} events suffice; replay it:`);
  print(`  npm run simulate -- --seed ${seed} --events ${numbers === '' ? 'none' : numbers}${suffix}`);
}

function unknownMutant(name: string): never {
  throw new Error(`no mutant ${name}; there are ${Object.keys(mutants).join(', ')}`);
}
