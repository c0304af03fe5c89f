// The lab's cache outside the repository: one directory per thing, complete or absent.
// An entry is built in a staging directory beside it and renamed into place under a lock, so two runs at once never
// see half of one; checksums of its important files are checked every time it is used.

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { LabError, say } from './lab-error.ts';

const MANIFEST = 'lab-manifest.json';

/** Where everything the lab downloads or builds lies; `VFIO_LAB_CACHE` overrides the user's cache directory. */
export function cacheRoot(): string {
  const own = process.env['VFIO_LAB_CACHE'];
  if (own !== undefined && own !== '') return own;
  const base = process.env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'vfio-operator-lab');
}

interface Manifest {
  readonly checksums: Readonly<Record<string, string>>;
  readonly facts: Readonly<Record<string, string>>;
}

/** A finished entry: its directory and the facts its builder recorded. */
export interface CacheEntry {
  readonly directory: string;
  readonly facts: Readonly<Record<string, string>>;
}

/** What a builder reports: files (relative) whose checksums guard the entry, and facts worth keeping with it. */
export interface BuildReport {
  readonly guard: readonly string[];
  readonly facts?: Readonly<Record<string, string>>;
}

/**
 * Returns the cache entry `key` (a relative path), building it first when it is absent or damaged.
 * `build` fills the staging directory it is given; `final` is where that directory will lie.
 */
export async function cacheEntry(
  key: string,
  build: (staging: string, final: string) => Promise<BuildReport>,
): Promise<CacheEntry> {
  const final = join(cacheRoot(), key);
  const ready = readEntry(final);
  if (ready !== undefined) return ready;
  return withLock(`${final}.lock`, async () => {
    const builtMeanwhile = readEntry(final);
    if (builtMeanwhile !== undefined) return builtMeanwhile;
    const staging = `${final}.staging-${randomUUID().slice(0, 8)}`;
    removeStagings(final);
    mkdirSync(staging, { recursive: true });
    try {
      const report = await build(staging, final);
      const checksums = Object.fromEntries(report.guard.map((file) => [file, checksum(join(staging, file))]));
      const manifest: Manifest = { checksums, facts: report.facts ?? {} };
      writeFileSync(join(staging, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
      rmSync(final, { recursive: true, force: true });
      renameSync(staging, final);
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
    const entry = readEntry(final);
    if (entry === undefined) throw new LabError(`The cache entry ${final} is damaged right after it was built.`);
    return entry;
  });
}

/** The cache entry `key` if it is there and whole; builds nothing. */
export function cachedEntry(key: string): CacheEntry | undefined {
  return readEntry(join(cacheRoot(), key));
}

/** The entry at `directory` if it is whole; a damaged one is reported and counts as absent. */
function readEntry(directory: string): CacheEntry | undefined {
  const path = join(directory, MANIFEST);
  if (!existsSync(path)) return undefined;
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  for (const [file, expected] of Object.entries(manifest.checksums)) {
    const found = existsSync(join(directory, file)) ? checksum(join(directory, file)) : 'absent';
    if (found === expected) continue;
    say(`${join(directory, file)} does not have its checksum (${found}); the entry is made anew`);
    return undefined;
  }
  return { directory, facts: manifest.facts };
}

function checksum(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function removeStagings(final: string): void {
  const parent = join(final, '..');
  if (!existsSync(parent)) return;
  const prefix = `${final.slice(parent.length + 1)}.staging-`;
  for (const name of readdirSync(parent)) {
    if (name.startsWith(prefix)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

/**
 * Runs `work` while holding flock(2) on `path`, waiting as long as another living process holds it. A child of ours holds
 * the lock until its stdin ends, so it goes with us however we end.
 */
async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(join(path, '..'), { recursive: true });
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = setTimeout(() => say(`waiting for another run that holds ${path}`), 2_000);
  try {
    await new Promise<void>((resolve, reject) => {
      holder.once('error', (cause) => reject(new LabError(`flock cannot be started: ${cause.message}.`, { cause })));
      holder.once('close', () => reject(new LabError(`The lock ${path} cannot be had.`)));
      holder.stdout.once('data', () => resolve());
    });
    clearTimeout(waiting);
    return await work();
  } finally {
    clearTimeout(waiting);
    holder.stdin.end();
  }
}

/** A directory of this process under `parent`, its name beginning with `prefix`; those of dead processes are removed. */
export function scratchDirectory(parent: string, prefix: string): string {
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent)) {
    const path = join(parent, name);
    if (name.startsWith(prefix) && !ownerLives(path)) rmSync(path, { recursive: true, force: true });
  }
  const path = mkdtempSync(join(parent, prefix));
  writeFileSync(join(path, 'owner'), `${process.pid} ${startTime(process.pid)}`);
  return path;
}

function ownerLives(path: string): boolean {
  try {
    const [pid, started] = readFileSync(join(path, 'owner'), 'utf8').split(' ');
    return startTime(Number(pid)) === started;
  } catch {
    // Just being made by another run: its owner file comes in a moment.
    return true;
  }
}

/** Start time of a process in clock ticks since boot (field 22 of proc(5) stat), or `gone`. */
function startTime(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? 'gone';
  } catch {
    return 'gone';
  }
}

/**
 * The answer of `resolve`, remembered in the cache under `name` so that a warm run asks nobody. It is asked anew when the
 * cache entry that the answer leads to is absent (the archive may have moved on), or with `VFIO_LAB_REFRESH=1`.
 */
export async function resolvedOnce<T>(
  name: string,
  entryOf: (answer: T) => string,
  resolve: () => Promise<T>,
): Promise<T> {
  const path = join(cacheRoot(), 'resolved', `${name}.json`);
  if (existsSync(path) && process.env['VFIO_LAB_REFRESH'] !== '1') {
    const answer = JSON.parse(readFileSync(path, 'utf8')) as T;
    if (existsSync(join(cacheRoot(), entryOf(answer), MANIFEST))) return answer;
  }
  const answer = await resolve();
  mkdirSync(join(path, '..'), { recursive: true });
  const staging = `${path}.${randomUUID().slice(0, 8)}`;
  writeFileSync(staging, JSON.stringify(answer));
  renameSync(staging, path);
  return answer;
}
