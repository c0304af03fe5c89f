// The operator's image, built from the very Dockerfile that users build, on a base image made here of Debian's packages and the pinned
// Node, since no registry is asked for one. The result is an OCI archive in the lab's cache, keyed by everything that goes into it.

import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry, cacheRoot, scratchDirectory } from '../lab/cache.ts';
import { run } from '../lab/command.ts';
import { LabError, say } from '../lab/lab-error.ts';
import { openBuildah } from './buildah.ts';
import { layOutDebian } from './debian-root.ts';

const [REPOSITORY, TAG] = ['lab.local/vfio-operator', 'e2e'];
/** The name under which containerd knows the image once it has imported the archive. */
export const OPERATOR_IMAGE = `${REPOSITORY}:${TAG}`;

const repository = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const BASE = 'lab.local/debian-node:bookworm';
/** What npm, the build and scripts/image-root.mjs need; node and npm come from the machine. */
const BASE_PACKAGES = [
  'dash',
  'bash',
  'coreutils',
  'util-linux',
  'dpkg',
  'sed',
  'grep',
  'findutils',
  'libstdc++6',
  'libatomic1',
  'base-files',
];
/** Everything that the Dockerfile copies, and what says how. */
const INPUTS = [
  'Dockerfile',
  '.dockerignore',
  'package.json',
  'package-lock.json',
  '.npmrc',
  'tsconfig.json',
  'LICENSE',
  'scripts',
  'proto',
  'deploy/helm/vfio-operator/crds',
  'src',
] as const;

export interface OperatorImage {
  /** The OCI archive, in the lab's cache. */
  readonly archive: string;
  /** The two halves of its name, as values of the chart want them. */
  readonly repository: string;
  readonly tag: string;
}

/** The image as the sources are now; built first when the cache lacks it (a minute or two). Throws LabError. */
export async function operatorImage(): Promise<OperatorImage> {
  const base = await baseRoot();
  const key = `images/operator-${contentKey(base)}`;
  const entry = await cacheEntry(key, async (staging) => {
    await build(base, join(staging, 'image.tar'));
    return { guard: ['image.tar'] };
  });
  return { archive: join(entry.directory, 'image.tar'), repository: REPOSITORY, tag: TAG };
}

/** Hash over names and contents of the inputs, over the base, and over how it is built. */
function contentKey(base: string): string {
  const hash = createHash('sha256')
    .update(base)
    .update(readFileSync(fileURLToPath(import.meta.url)));
  for (const input of INPUTS) {
    for (const file of filesOf(join(repository, input))) {
      hash
        .update(`${relative(repository, file)}\0`)
        .update(readFileSync(file))
        .update('\0');
    }
  }
  return hash.digest('hex').slice(0, 16);
}

function filesOf(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .toSorted()
    .flatMap((name) => filesOf(join(path, name)));
}

/** Root directory of the base image: Debian's packages, the pinned Node, the machine's npm. */
async function baseRoot(): Promise<string> {
  const node = join(repository, 'node_modules', `node-linux-${process.arch}`, 'bin/node');
  const npm = findNpm();
  const hash = createHash('sha256').update(BASE_PACKAGES.join(' ')).update(readFileSync(node));
  hash.update(readFileSync(join(npm, 'package.json')));
  hash.update(readFileSync(fileURLToPath(new URL('debian-root.ts', import.meta.url))));
  const entry = await cacheEntry(`images/base-${hash.digest('hex').slice(0, 16)}`, async (staging) => {
    const root = join(staging, 'root');
    mkdirSync(root);
    await layOutDebian(BASE_PACKAGES, root);
    mkdirSync(join(root, 'usr/local/lib/node_modules'), { recursive: true });
    mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
    cpSync(node, join(root, 'usr/local/bin/node'), { dereference: true });
    cpSync(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
    symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
    return { guard: ['root/usr/local/bin/node', 'root/var/lib/dpkg/status'] };
  });
  return join(entry.directory, 'root');
}

/** The folder of the machine's npm: whatever `npm` of the PATH leads to. */
function findNpm(): string {
  const places = (process.env['PATH'] ?? '').split(':').map((directory) => join(directory, 'npm'));
  const program = places.filter((path) => existsSync(path)).map((path) => realpathSync(path));
  const found = program.find((path) => path.endsWith('/npm/bin/npm-cli.js'));
  if (found === undefined) throw new LabError(`No npm with its own folder is in the PATH (${places.join(', ')}).`);
  return dirname(dirname(found));
}

async function build(base: string, archive: string): Promise<void> {
  const storage = scratchDirectory(join(cacheRoot(), 'buildah-storage'), 'run-');
  try {
    const buildah = await openBuildah(storage);
    const policy = signaturePolicy();
    say(`building ${OPERATOR_IMAGE} from the Dockerfile`);
    const container = (await buildah(['from', ...policy, 'scratch'])).trim();
    await buildah(['copy', '--quiet', container, base, '/']);
    await buildah(['config', ...environmentOf(await npmSettings()), container]);
    await buildah(['commit', '--quiet', '--rm', ...policy, container, BASE]);
    await buildah([
      'build',
      '--pull-never',
      '--layers=false',
      '--format=oci',
      ...policy,
      ...mounts(),
      `--build-arg=BUILD_IMAGE=${BASE}`,
      `--tag=${OPERATOR_IMAGE}`,
      repository,
    ]);
    const layout = join(storage, 'layout');
    // Uncompressed: an emulated node would take long to unpack it.
    await buildah(['push', '--quiet', '--disable-compression', ...policy, OPERATOR_IMAGE, `oci:${layout}`]);
    nameForContainerd(layout);
    await run(['tar', '--create', `--file=${archive}`, `--directory=${layout}`, '.']);
  } finally {
    rmSync(storage, { recursive: true, force: true });
  }
}

/** Writes into an OCI layout the annotation by which containerd names what it imports. */
function nameForContainerd(layout: string): void {
  const path = join(layout, 'index.json');
  const index = JSON.parse(readFileSync(path, 'utf8')) as { readonly manifests: readonly object[] };
  const annotations = { 'io.containerd.image.name': OPERATOR_IMAGE, 'org.opencontainers.image.ref.name': 'e2e' };
  const manifests = index.manifests.map((manifest) => ({ ...manifest, annotations }));
  writeFileSync(path, JSON.stringify({ ...index, manifests }));
}

/** Options of buildah by which it asks for no signatures: it is given none. */
function signaturePolicy(): readonly string[] {
  return ['--signature-policy', fileURLToPath(new URL('signature-policy.json', import.meta.url))];
}

const CACHE = '/npm-cache';
const AUTHORITIES = '/etc/machine-authorities.crt';

/** npm asks the registry that this machine's npm asks, trusts whom it trusts, and shares its cache. */
async function npmSettings(): Promise<Readonly<Record<string, string>>> {
  const registry = (await run(['npm', 'config', 'get', 'registry', '--loglevel=error'])).trim();
  return {
    PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    npm_config_registry: registry,
    npm_config_cache: CACHE,
    npm_config_prefer_offline: 'true',
    ...(authorities() === undefined ? {} : { NODE_EXTRA_CA_CERTS: AUTHORITIES }),
  };
}

function environmentOf(values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
}

function authorities(): string | undefined {
  const file = process.env['NODE_EXTRA_CA_CERTS'];
  return file !== undefined && existsSync(file) ? file : undefined;
}

function mounts(): readonly string[] {
  const cache = join(cacheRoot(), 'npm');
  mkdirSync(cache, { recursive: true });
  const own = join(homedir(), '.npmrc');
  return [
    `--volume=${cache}:${CACHE}`,
    ...(authorities() === undefined ? [] : [`--volume=${authorities()}:${AUTHORITIES}:ro`]),
    ...(existsSync(own) ? [`--volume=${own}:/root/.npmrc:ro`] : []),
  ];
}
