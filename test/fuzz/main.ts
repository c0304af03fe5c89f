// `npm run fuzz -- --inputs N --seed S [--target NAME]`: N inputs for each target, made from the seed, told with what became of them. A
// failing one is made as small as it can be and told; the exit code is then 1. The same seed gives the same inputs; every 10,000 have the next.
import { parseArgs } from 'node:util';
import type { FuzzTarget } from './fuzz-target.ts';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', multiple: true },
  },
});
const inputs = Number(values.inputs);
const seed = Number(values.seed);
const chosen = targets.filter(({ name }) => values.target?.includes(name) ?? true);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
/** Inputs with one seed. */
const batch = 10_000;
/** Milliseconds of processor time; some of it is the engine's own, which compiles and collects beside us. */
const tooSlow = 2_000;
/** Error stacks that nobody reads are most of the cost of bad input. */
Error.stackTraceLimit = 0;

if (chosen.length === 0 || !Number.isSafeInteger(inputs) || !Number.isSafeInteger(seed)) {
  print(`usage: npm run fuzz -- [--inputs N] [--seed S] [--target ${targets.map(({ name }) => name).join('|')}]…`);
  process.exit(2);
}
for (const target of chosen) if (!(await runAll(target))) process.exitCode = 1;

/** All inputs of one target, in batches with a seed each, so that a run can be cut off and gone on with, and a failing batch is short. */
async function runAll(target: FuzzTarget): Promise<boolean> {
  const tally: Record<string, number> = {};
  const begun = performance.now();
  let told = begun;
  let slowest = 0;
  for (let done = 0; done < inputs; done += batch) {
    const size = Math.min(batch, inputs - done);
    const outcome = await target.run(size, seed + done / batch);
    slowest = Math.max(slowest, outcome.slowest);
    for (const [fate, count] of Object.entries(outcome.tally)) tally[fate] = (tally[fate] ?? 0) + count;
    if (outcome.failure !== null || outcome.slowest >= tooSlow) {
      print(`FAILED ${target.name}: ${outcome.failure ?? `an input took ${outcome.slowest.toFixed(0)} ms`}`);
      print(`again: npm run fuzz -- --target ${target.name} --inputs ${size} --seed ${seed + done / batch}`);
      return false;
    }
    if (performance.now() - told < 30_000 || done + size >= inputs) continue;
    told = performance.now();
    print(
      `${target.name}: ${done + size} held; to go on from here: npm run fuzz -- --target ${target.name} --inputs ${inputs - done - size} --seed ${seed + done / batch + 1}`,
    );
  }
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  const fates = Object.entries(tally).map(([fate, count]) => `${count} ${fate}`);
  const missing = target.fates.filter((fate) => tally[fate] === undefined);
  const resident = (process.memoryUsage().rss / 1024 / 1024).toFixed(0);
  print(
    `${missing.length === 0 ? 'held  ' : 'FAILED'} ${target.name}: ${inputs} inputs from seed ${seed} in ${seconds} s (${fates.join(', ')}); slowest ${slowest.toFixed(0)} ms; ${resident} MiB resident`,
  );
  if (missing.length > 0) print(`no input was ${missing.join(', ')}: the inputs are no good`);
  return missing.length === 0;
}
