// The command line as it is shipped: bundled, split and minified. Bundling changes how libraries are imported and where the kernel
// worker lies, which the sources cannot show.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copiedPolicies, createCopiedHost, type CopiedHost } from '../../support/copied-host.ts';
import type { CliRun } from '../../support/run-cli.ts';

let host: CopiedHost;
let output: string;

beforeAll(async () => {
  host = createCopiedHost();
  output = `${host.root}/dist`;
  mkdirSync(`${host.root}/policies`);
  for (const [name, text] of Object.entries(copiedPolicies)) writeFileSync(`${host.root}/policies/${name}`, text);
  writeFileSync(
    `${host.root}/entry.ts`,
    `import { main } from '${process.cwd()}/src/cli/main.ts';\nawait main(process.argv);\n`,
  );
  await build({
    entryPoints: { main: `${host.root}/entry.ts` },
    outdir: output,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    logLevel: 'silent',
    banner: {
      js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`,
    },
  });
  await build({
    entryPoints: ['src/host/kernel-worker.ts'],
    outfile: `${output}/kernel-worker.cjs`,
    bundle: true,
    minify: true,
    format: 'cjs',
    platform: 'node',
    target: 'node22',
    logLevel: 'silent',
  });
});
afterAll(() => host.remove());

function run(...args: readonly string[]): CliRun {
  const result = spawnSync(process.execPath, [`${output}/main.mjs`, ...args, '--root', host.root], {
    encoding: 'utf8',
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

test.each(['table', 'json', 'yaml'])('devices -o %s', (format) => {
  const { code, stdout, stderr } = run('devices', '-o', format);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('0000:01:00.0');
});

test('plan reads policies and the guarded attributes', () => {
  const { code, stdout, stderr } = run('plan', '--policies', `${host.root}/policies`, '-o', 'json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { unread, transactions } = JSON.parse(stdout) as { unread: { source: string }[]; transactions: unknown[] };
  expect(transactions).toHaveLength(3);
  expect(unread.filter(({ source }) => source.includes('driver_override'))).toEqual([]);
});

test('release can load what it writes with', () => {
  const state = `${host.root}/state`;
  mkdirSync(state, { recursive: true });
  mkdirSync(`${host.root}/none`);
  const result = spawnSync(
    process.execPath,
    [`${output}/main.mjs`, 'release', '0000:7f:00.0', '--state', state, '--policies', `${host.root}/none`],
    { encoding: 'utf8' },
  );
  expect({ code: result.status, stdout: result.stdout }).toEqual({ code: 1, stdout: '' });
  expect(result.stderr).toContain('there is no such device');
  rmSync(state, { recursive: true });
});
