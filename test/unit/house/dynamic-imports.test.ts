// Packages that are loaded on demand. The bundle gives an `import()` of a CommonJS package its functions under `default` alone, so it works
// from the sources and fails in the built program: such a package is imported by a module of ours, which is then loaded on demand.
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const repository = resolve(import.meta.dirname, '../../..');
const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const packages = new Set(
  sources.flatMap((name) =>
    [...readFileSync(join(repository, 'src', name), 'utf8').matchAll(/[^.]import\('([^.'][^']*)'\)/g)].map(
      ([, specifier]) => specifier ?? '',
    ),
  ),
);

test.each([...packages].filter((name) => !name.startsWith('node:')))('%s is an ES module', (name) => {
  const manifest = JSON.parse(readFileSync(join(repository, 'node_modules', name, 'package.json'), 'utf8')) as {
    type?: string;
  };
  expect(manifest.type).toBe('module');
});

test('there are packages to look at', () => {
  expect(packages.size).toBeGreaterThan(0);
});
