// The demo as a program, its output in a pipe: it ends by itself, plain, whole, with exit code 0.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { chapterNames } from '../../../src/demo/chapter.ts';

const main = resolve(import.meta.dirname, '../../../src/main.ts');
const run = promisify(execFile);

test('exit 0, no colour, every chapter, and no file left where it ran', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'demo-'));
  try {
    const { stdout, stderr } = await run(process.execPath, [main, 'demo'], { cwd: directory });
    expect(stdout).not.toContain('\u001B');
    expect(stderr).toBe('');
    const numbers = [...stdout.matchAll(/^(\d+)\/(\d+) {2}\S/gm)].map(([, number, of]) => [Number(number), Number(of)]);
    expect(numbers).toEqual(chapterNames.map((_name, index) => [index + 1, chapterNames.length]));
    expect(stdout).toContain('What to try next');
    expect(stdout).not.toContain('NOT SO');
    expect(await readdir(directory)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a wrong option is a usage error', async () => {
  await expect(run(process.execPath, [main, 'demo', '--wrong'])).rejects.toMatchObject({ code: 2 });
});
