// The canary of the layering rule: one forbidden line per layer, each of which the linter must report. A rule that cannot fail is
// no rule.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const repository = resolve(import.meta.dirname, '../../..');
const run = promisify(execFile);

/** Path of a file, the one line in it, and the rule that must report it (null: the line is allowed). */
const lines: readonly (readonly [path: string, line: string, rule: string | null])[] = [
  ['src/api/a.ts', `import { x } from '../domain/x.ts'; x();`, 'no-restricted-imports'],
  ['src/domain/a.ts', `import { x } from '../host/x.ts'; x();`, 'no-restricted-imports'],
  ['src/domain/b.ts', `import { readFile } from 'node:fs/promises'; void readFile;`, 'no-restricted-imports'],
  ['src/domain/c.ts', `import { pino } from 'pino'; pino();`, 'no-restricted-imports'],
  ['src/domain/d.ts', `import type { X } from '../runtime/x.ts'; export type Y = X;`, 'no-restricted-imports'],
  ['src/domain/e.ts', `import { x } from './x.ts'; x();`, null],
  ['src/domain/f.ts', `import { x } from '../api/x.ts'; x();`, null],
  ['src/host/a.ts', `import { x } from '../kubelet/x.ts'; x();`, 'no-restricted-imports'],
  ['src/host/proof/a.ts', `import { x } from '../../agent/x.ts'; x();`, 'no-restricted-imports'],
  ['src/host/b.ts', `import { readFileSync } from 'node:fs'; void readFileSync;`, 'no-restricted-imports'],
  ['src/host/proof/c.ts', `import { x } from '../../domain/x.ts'; x();`, null],
  ['src/host/x-adapter.ts', `import { readFileSync } from 'node:fs'; void readFileSync;`, null],
  ['src/host/d.ts', `export const x = (): number => Date.now();`, 'no-restricted-properties'],
  ['src/host/e.ts', `export const x = (): unknown => setTimeout(() => {}, 1);`, 'no-restricted-globals'],
  ['src/host/f.ts', `export const x = (): unknown => process.env;`, 'no-restricted-globals'],
  ['src/kubelet/a.ts', `import { x } from '../host/x.ts'; x();`, 'no-restricted-imports'],
  ['src/kubelet/b.ts', `import { Server } from '@grpc/grpc-js'; void Server;`, null],
  ['src/kube/a.ts', `import { Server } from '@grpc/grpc-js'; void Server;`, 'no-restricted-imports'],
  ['src/runtime/a.ts', `import { x } from '../domain/x.ts'; x();`, 'no-restricted-imports'],
  ['src/runtime/b.ts', `export const x = (): number => Math.random();`, 'no-restricted-properties'],
  ['src/agent/a.ts', `import { x } from '../simulation/x.ts'; x();`, 'no-restricted-imports'],
  ['src/agent/b.ts', `import { readFile } from 'node:fs/promises'; void readFile;`, 'no-restricted-imports'],
  ['src/controller/a.ts', `import { x } from '../host/x.ts'; x();`, 'no-restricted-imports'],
  ['src/cli/a.ts', `import { x } from '../simulation/x.ts'; x();`, 'no-restricted-imports'],
  ['src/simulation/a.ts', `import { x } from '../agent/x.ts'; x();`, 'no-restricted-imports'],
  ['src/simulation/b.ts', `import { readFile } from 'node:fs/promises'; void readFile;`, 'no-restricted-imports'],
  ['src/demo/a.ts', `import { x } from '../controller/x.ts'; x();`, 'no-restricted-imports'],
];

let directory = '';
let report: readonly { readonly filename: string; readonly code: string }[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layering-'));
  await cp(join(repository, '.oxlintrc.json'), join(directory, '.oxlintrc.json'));
  for (const [path, line] of lines) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), `${line}\n`);
  }
  const oxlint = join(repository, 'node_modules/.bin/oxlint');
  const result = await run(oxlint, ['--format', 'json'], { cwd: directory }).catch(
    (error: { readonly stdout: string }) => error,
  );
  report = (JSON.parse(result.stdout) as { diagnostics: typeof report }).diagnostics;
});

afterAll(() => rm(directory, { recursive: true }));

test.each(lines)('%s: %s', (path, _line, rule) => {
  const rules = report
    .filter((entry) => entry.filename.endsWith(path))
    .map((entry) => entry.code)
    .filter((code) => /no-restricted/.test(code));
  if (rule === null) expect(rules).toEqual([]);
  else expect(rules.some((code) => code.includes(rule))).toBe(true);
});
