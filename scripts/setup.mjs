// Makes a fresh clone ready: installs the locked dependencies (among them the pinned Node) and builds `dist/`, each only when
// something it depends on has changed. Speaks on stderr alone, so that what a command prints stays clean. Runs on Node 20, which
// may be all the machine has.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const binaries = join(repository, 'node_modules', '.bin');

/** The pinned Node where the platform has one (linux x64 and arm64), else the Node we run on. */
export function pinnedNode() {
  const pinned = join(binaries, 'node');
  return existsSync(pinned) ? pinned : process.execPath;
}

/** Environment in which the project's own tools and the pinned Node come first. */
export function toolEnvironment() {
  return { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` };
}

/** @param {readonly string[]} files */
function fingerprint(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    hash.update(file);
    hash.update(readFileSync(join(repository, file)));
  }
  return hash.digest('hex');
}

/**
 * @param {string} stamp
 * @param {string} value
 */
function isCurrent(stamp, value) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === value;
}

/** Installs what package-lock.json says, unless that is what is installed. */
export function install() {
  const stamp = join(repository, 'node_modules', '.installed');
  const wanted = fingerprint(['package.json', 'package-lock.json']);
  if (isCurrent(stamp, wanted)) return;
  process.stderr.write('Installing dependencies (npm ci) …\n');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: repository,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) {
    process.stderr.write(`npm ci failed (exit ${result.status ?? result.signal}); nothing was started.\n`);
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

/**
 * Newest change below a folder, in milliseconds.
 * @param {string} folder
 * @returns {number}
 */
function newestChange(folder) {
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestChange(path) : statSync(path).mtimeMs);
  }
  return newest;
}

/** Builds `dist/`, unless nothing it is built from has changed since. */
export function build() {
  const stamp = join(repository, 'dist', '.built');
  const sources = ['src', 'proto', 'deploy/helm/vfio-operator/crds'].map((folder) =>
    newestChange(join(repository, folder)),
  );
  const files = ['package.json', 'scripts/build.mjs'].map((file) => statSync(join(repository, file)).mtimeMs);
  const wanted = String(Math.max(...sources, ...files));
  if (isCurrent(stamp, wanted)) return;
  const result = spawnSync(pinnedNode(), [join(repository, 'scripts', 'build.mjs')], {
    cwd: repository,
    stdio: ['ignore', 2, 2],
    env: toolEnvironment(),
  });
  if (result.status !== 0) process.exit(1);
  writeFileSync(stamp, wanted);
}
