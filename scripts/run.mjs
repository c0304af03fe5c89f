// The one door of every npm script: makes the clone ready, then runs the named task on the pinned Node.
// `node scripts/run.mjs TASK [ARGUMENTS…]`; the exit code is the task's.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build, install, pinnedNode, repository, toolEnvironment } from './setup.mjs';

const [task = '', ...rest] = process.argv.slice(2);

/**
 * @param {string} command
 * @param {readonly string[]} parameters
 * @param {string} [directory]
 */
function run(command, parameters, directory = repository) {
  const result = spawnSync(command, parameters, { cwd: directory, stdio: 'inherit', env: toolEnvironment() });
  return result.status ?? 1;
}

const node = () => pinnedNode();
const tool = (/** @type {string} */ name) => join(repository, 'node_modules', '.bin', name);
const program = (/** @type {string} */ name) => join(repository, 'dist', name);

/** The parts of `npm run check`, each with what to do when it fails. */
const checks = [
  {
    name: 'format',
    command: tool('prettier'),
    parameters: ['--check', '--log-level', 'warn', '.'],
    cure: 'npm run format',
  },
  { name: 'types', command: tool('tsc'), parameters: ['--noEmit', '-p', '.'], cure: 'mend the types' },
  {
    name: 'lint',
    command: tool('oxlint'),
    parameters: ['--type-aware', '--deny-warnings'],
    cure: 'mend what it names',
  },
  {
    name: 'generated files',
    command: node(),
    parameters: ['scripts/generate.mjs', '--check'],
    cure: 'npm run generate',
  },
  { name: 'dead code', command: tool('knip'), parameters: ['--no-progress'], cure: 'remove it, or use it' },
];

/** Words of the command line that choose test files; flags are none. */
const chosenFiles = rest.filter((word) => !word.startsWith('-'));

/** Builds what tests with a cluster run, from Go modules, so that no test waits for a compiler; not for files that need no cluster. */
function clusterPrograms() {
  const needed = chosenFiles.length === 0 || chosenFiles.some((word) => /cluster|api|chart|controller/.test(word));
  return needed ? run(node(), ['test/e2e/cluster/build-programs.ts', '--quiet']) : 0;
}

function check() {
  let failed = 0;
  for (const part of checks) {
    const status = run(part.command, part.parameters);
    process.stdout.write(
      `${status === 0 ? 'ok    ' : 'FAILED'} ${part.name}${status === 0 ? '' : `  (${part.cure})`}\n`,
    );
    if (status !== 0) failed += 1;
  }
  return failed === 0 ? 0 : 1;
}

/** @type {Record<string, () => number>} */
const tasks = {
  check,
  demo: () => run(node(), [program('main.mjs'), 'demo', ...rest]),
  cli: () => run(node(), [program('main.mjs'), ...rest], process.env.INIT_CWD ?? repository),
  test: () => run(node(), [tool('vitest'), 'run', '--project', 'unit', '--coverage', ...rest]),
  e2e: () => clusterPrograms() || run(node(), [tool('vitest'), 'run', '--project', 'e2e', ...rest]),
  'e2e:full': () => clusterPrograms() || run(node(), ['test/e2e/full.ts', ...rest]),
  bench: () => run(node(), ['bench/run.ts', ...rest]),
  simulate: () => run(node(), ['test/simulate/main.ts', ...rest]),
  fuzz: () => run(node(), ['test/fuzz/main.ts', ...rest]),
};

const chosen = tasks[task];
if (chosen === undefined) {
  process.stderr.write(`unknown task '${task}'; known: ${Object.keys(tasks).join(', ')}\n`);
  process.exit(2);
}
install();
if (task !== 'check') build();
process.exit(chosen());
