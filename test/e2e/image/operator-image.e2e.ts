// The image that the Dockerfile gives: what is in it and what is not, that it starts, and that the programs the agent starts do.
import { lstatSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { scratchDirectory } from '../lab/cache.ts';
import { run } from '../lab/command.ts';
import { OPERATOR_IMAGE, operatorImage } from './operator-image.ts';

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
}

let directory: string;
let root: string;
let archive: string;
let manifest: Manifest;

const blob = (digest: string): string => join(directory, 'layout/blobs', digest.replace(':', '/'));

beforeAll(async () => {
  directory = scratchDirectory(tmpdir(), 'vfio-image-');
  root = join(directory, 'root');
  for (const name of ['layout', 'root']) mkdirSync(join(directory, name));
  ({ archive } = await operatorImage());
  await run(['tar', '--extract', `--file=${archive}`, `--directory=${join(directory, 'layout')}`]);
  const index = JSON.parse(readFileSync(join(directory, 'layout/index.json'), 'utf8')) as {
    readonly manifests: readonly [{ readonly digest: string; readonly annotations: Record<string, string> }];
  };
  expect(index.manifests[0].annotations['io.containerd.image.name']).toBe(OPERATOR_IMAGE);
  manifest = JSON.parse(readFileSync(blob(index.manifests[0].digest), 'utf8')) as Manifest;
  for (const { digest } of manifest.layers)
    await run(['tar', '--extract', '--no-same-owner', `--file=${blob(digest)}`, `--directory=${root}`]);
});
afterAll(() => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

function filesBelow(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = join(path, entry.name);
    return entry.isDirectory() ? filesBelow(child) : [relative(root, child)];
  });
}

it('holds the bundles, Node, three programs of Debian, their libraries, licences, and nothing else', () => {
  const files = filesBelow(root).filter((path) => !path.startsWith('usr/share/doc/') && !path.startsWith('app/dist/'));
  const libraries = /^usr\/lib(?:64)?\/(?:[a-z0-9_]+-linux-gnu\/)?[\w+.-]+\.so(?:\.\d+)*$/;
  expect(
    files.filter((path) => !libraries.test(path) && !path.startsWith('var/lib/dpkg/status.d/')).toSorted(),
  ).toEqual([
    'app/package.json',
    'bin',
    'lib',
    'lib64',
    'sbin',
    'usr/bin/env',
    'usr/bin/nsenter',
    'usr/local/bin/node',
    'usr/local/bin/vfio-operator',
    'usr/sbin/chroot',
  ]);
  expect(readdirSync(join(root, 'app/dist'))).toEqual(expect.arrayContaining(['main.mjs', 'kernel-worker.cjs']));
  expect(readdirSync(join(root, 'var/lib/dpkg/status.d'))).toEqual(
    expect.arrayContaining(['coreutils', 'libc6', 'libstdc++6', 'util-linux']),
  );
  expect(readdirSync(join(root, 'usr/share/doc/vfio-operator/bundled'))).toContain('pino');
});

it('is small: little more than Node itself', () => {
  const size = filesBelow(root).reduce((sum, path) => sum + lstatSync(join(root, path)).size, 0);
  const node = lstatSync(join(root, 'usr/local/bin/node')).size;
  expect(size - node).toBeLessThan(16 * 1024 * 1024);
});

it('starts the program with the small heap, and says whose it is', () => {
  const { config } = JSON.parse(readFileSync(blob(manifest.config.digest), 'utf8')) as { config: object };
  expect(config).toMatchObject({
    Entrypoint: [
      '/usr/local/bin/node',
      '--max-semi-space-size=1',
      '--optimize-for-size',
      '--no-opt',
      '--no-maglev',
      '/app/dist/main.mjs',
    ],
    Labels: { 'org.opencontainers.image.title': 'vfio-operator', 'org.opencontainers.image.licenses': 'Apache-2.0' },
  });
});

it('runs: the program, and what it starts', async () => {
  const own = process.getuid?.() === 0 ? [] : ['unshare', '--map-root-user'];
  const path = ['env', '--ignore-environment', 'PATH=/usr/local/bin:/usr/sbin:/usr/bin'];
  const chroot = [...own, '/usr/sbin/chroot', root, ...path];
  const inside = (...command: readonly string[]): Promise<string> => run([...chroot, ...command]);
  expect(await inside('vfio-operator', '--help')).toContain('Usage: vfio-operator');
  expect(await inside('nsenter', '--version')).toContain('util-linux');
  expect(await inside('chroot', '--version')).toContain('coreutils');
  const { node } = JSON.parse(await inside('node', '-p', 'JSON.stringify(process.versions)')) as { node: string };
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  expect(Object.values(lock.optionalDependencies)).toContain(node);
});
