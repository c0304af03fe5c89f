// The full tier: every repetition, by hand and in the background. Runs the lab with FULL_TIER=1 (long sweeps instead of samples) and
// the long benchmarks, one after the other, and writes what came of it, with date and commit, to docs/full-tier.md.
// Usage: npm run test:e2e:full [-- PART …]
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface Part {
  readonly name: string;
  readonly what: string;
  readonly command: readonly string[];
  /** Vitest writes its counts here. */
  readonly counted: boolean;
}

interface Result {
  readonly part: Part;
  readonly seconds: number;
  readonly outcome: string;
  readonly ok: boolean;
}

const repository = resolve(import.meta.dirname, '../..');
const report = join(tmpdir(), `full-tier-${process.pid}.json`);
const vitest = join(repository, 'node_modules/.bin/vitest');

const parts: readonly Part[] = [
  {
    name: 'lab',
    what: 'every lab test, with long sweeps',
    command: [
      vitest,
      'run',
      '--project',
      'e2e',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    counted: true,
  },
  {
    name: 'memory',
    what: "the agent's memory with 64 devices after 10 minutes idle",
    command: [process.execPath, 'bench/agent-memory.ts', '--idle', '600'],
    counted: false,
  },
  {
    name: 'kubelet',
    what: 'a kubelet that restarts 1,000 times, and the memory of the agent meanwhile',
    command: [process.execPath, 'bench/kubelet-restarts.ts'],
    counted: false,
  },
  {
    name: 'load',
    what: 'the agent on a simulated node with 4,096 functions, with 2,016 VFs, and 10,000 policy changes',
    command: [process.execPath, 'bench/node-load.ts', '--long'],
    counted: false,
  },
];

function run(part: Part): Result {
  process.stdout.write(`\n=== ${part.name}: ${part.what}\n`);
  const begun = Date.now();
  const [file = '', ...parameters] = part.command;
  const ended = spawnSync(file, parameters, {
    cwd: repository,
    stdio: 'inherit',
    env: { ...process.env, FULL_TIER: '1' },
  });
  const seconds = Math.round((Date.now() - begun) / 1000);
  const ok = ended.status === 0;
  return {
    part,
    seconds,
    ok,
    outcome: part.counted ? countTests() : ok ? 'done' : `exit ${ended.status ?? ended.signal}`,
  };
}

function countTests(): string {
  try {
    const counts = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
    return `${counts.numPassedTests} passed, ${counts.numFailedTests} failed, ${counts.numPendingTests} skipped`;
  } catch (error) {
    return `no report (${String(error)})`;
  } finally {
    rmSync(report, { force: true });
  }
}

function git(...parameters: readonly string[]): string {
  return spawnSync('git', parameters, { cwd: repository, encoding: 'utf8' }).stdout.trim();
}

const asked = process.argv.slice(2);
const chosen = asked.length === 0 ? parts : parts.filter((part) => asked.includes(part.name));
if (chosen.length === 0) {
  process.stderr.write(`unknown part; known: ${parts.map((part) => part.name).join(', ')}\n`);
  process.exit(2);
}
const results = chosen.map(run);
const rows = results.map(
  ({ part, seconds, outcome, ok }) =>
    `| ${part.name} | ${part.what} | ${seconds} s | ${ok ? outcome : `**${outcome}**`} |`,
);
const changed = git('status', '--porcelain') === '' ? '' : ', with uncommitted changes';
const text = `# The full tier, last run

\`npm run test:e2e:full\` on ${new Date().toISOString().slice(0, 10)}, commit ${git('rev-parse', '--short', 'HEAD')}${changed}.

| part | what | time | outcome |
| --- | --- | --- | --- |
${rows.join('\n')}

What each figure means stands in [performance.md](performance.md) and [reliability.md](reliability.md).
`;
if (asked.length === 0) writeFileSync(join(repository, 'docs/full-tier.md'), text);
else process.stdout.write(`\n${text}`);
process.exit(results.every(({ ok }) => ok) ? 0 : 1);
