// buildah: the machine's own, or Debian's package in the lab's cache with the libraries that few machines have. Storage is a directory of
// the caller's, images are built under chroot, so neither a daemon nor overlay mounts are needed.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from '../lab/cache.ts';
import { run } from '../lab/command.ts';
import { BOOKWORM, directoryName, newestPackage, openArchive, unpackClosure } from '../lab/debian.ts';
import { LabError } from '../lab/lab-error.ts';

/** Runs buildah with `parameters`, returns its stdout; throws LabError with its words. */
export type Buildah = (parameters: readonly string[]) => Promise<string>;

/** buildah with its images and containers in `storage`. */
export async function openBuildah(storage: string): Promise<Buildah> {
  const { program, settings } = await findBuildah();
  const global = ['--root', join(storage, 'root'), '--runroot', join(storage, 'run'), ...settings];
  return (parameters) =>
    run([program, ...global, ...parameters], {
      env: { STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot' },
      hint: 'building images needs root, or a user with subordinate ids (newuidmap, /etc/subuid)',
    });
}

interface Found {
  readonly program: string;
  readonly settings: readonly string[];
}

async function findBuildah(): Promise<Found> {
  const own = (process.env['PATH'] ?? '').split(':').map((directory) => join(directory, 'buildah'));
  const installed = own.find((path) => existsSync(path));
  if (installed !== undefined) return { program: installed, settings: [] };
  const version = await resolvedOnce('buildah', entryKey, async () => {
    const record = await newestPackage(await openArchive(BOOKWORM), 'buildah', BOOKWORM.suites);
    if (record?.['Version'] === undefined) throw new LabError('Debian offers no buildah.');
    return record['Version'];
  });
  const { directory } = await cacheEntry(entryKey(version), async (staging, final) => {
    await unpackClosure(await openArchive(BOOKWORM), 'bookworm', ['buildah', 'patchelf'], join(staging, 'closure'));
    await keepNeeded(staging, final);
    return { guard: ['buildah'], facts: { version } };
  });
  return {
    program: join(directory, 'buildah'),
    settings: ['--registries-conf', join(directory, 'containers/registries.conf')],
  };
}

const entryKey = (version: string): string => `buildah/${directoryName(version)}`;

/**
 * Of the closure: the program, its configuration, and the libraries that few machines have; the C library stays the machine's. The program
 * starts itself anew with an empty environment, so where its libraries lie must stand in itself.
 */
async function keepNeeded(staging: string, final: string): Promise<void> {
  const closure = join(staging, 'closure');
  const program = join(staging, 'buildah');
  mkdirSync(join(staging, 'lib'));
  cpSync(join(closure, 'usr/bin/buildah'), program);
  cpSync(join(closure, 'etc/containers'), join(staging, 'containers'), { recursive: true });
  for (const folder of ['lib', 'usr/lib'].map((name) => join(closure, name, 'x86_64-linux-gnu'))) {
    for (const name of readdirSync(folder)) {
      if (!/^lib(?:gpgme|assuan|gpg-error|seccomp|devmapper)[.-]/.test(name)) continue;
      cpSync(join(folder, name), join(staging, 'lib', name), { verbatimSymlinks: true });
    }
  }
  await run([join(closure, 'usr/bin/patchelf'), '--force-rpath', '--set-rpath', join(final, 'lib'), program]);
  rmSync(closure, { recursive: true });
}
