// The programs that make arrays, volumes and encrypted disks, which the test machine may lack: an entry of the cache of its own, since only
// the tests of critical uses need them. In the guest they lie at the cache's own path, and run by their own loader.
import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from './cache.ts';
import { BOOKWORM, directoryName, newestPackage, openArchive, unpackClosure } from './debian.ts';
import type { Guest } from './guest.ts';
import { LabError } from './lab-error.ts';
import { loaderArguments } from './tools.ts';

const PACKAGES = [
  'lvm2',
  'cryptsetup-bin',
  'mdadm',
  'bcache-tools',
  'dmsetup',
  'util-linux',
  'mount',
  'fdisk',
] as const;
const SUITE = 'bookworm';

/** The programs, by the name under which a guest gets them, with their path in the packages. */
const PROGRAMS = {
  lvm: 'sbin/lvm',
  cryptsetup: 'sbin/cryptsetup',
  mdadm: 'sbin/mdadm',
  'make-bcache': 'usr/sbin/make-bcache',
  dmsetup: 'sbin/dmsetup',
  blkid: 'sbin/blkid',
  losetup: 'sbin/losetup',
  mkswap: 'sbin/mkswap',
  swapon: 'sbin/swapon',
  swapoff: 'sbin/swapoff',
} as const;

function entryKey(version: string): string {
  return `tools/storage-${directoryName(version)}`;
}

/** Finds the programs in the cache, or downloads and unpacks them first; the directory looks like the root of a small Debian. */
export async function storageTools(): Promise<string> {
  const version = await resolvedOnce('storage-tools', entryKey, async () => {
    const record = await newestPackage(await openArchive(BOOKWORM), 'lvm2', [SUITE]);
    if (record?.['Version'] === undefined) throw new LabError(`${SUITE} offers no lvm2.`);
    return record['Version'];
  });
  const entry = await cacheEntry(entryKey(version), async (staging) => {
    await unpackClosure(await openArchive(BOOKWORM), SUITE, PACKAGES, staging);
    return { guard: Object.values(PROGRAMS), facts: { version } };
  });
  return entry.directory;
}

/** Puts the programs into /usr/local/sbin of the guest, which was booted with `directory` visible. */
export async function installStorageTools(guest: Guest, directory: string): Promise<void> {
  const [loader = '', ...rest] = loaderArguments(directory);
  const wrappers = Object.entries(PROGRAMS).map(([name, path]) => {
    const words = [loader, '--argv0', name, ...rest, join(directory, path)].join(' ');
    return `printf '#!/bin/sh\\nexec ${words} "$@"\\n' > /usr/local/sbin/${name}; chmod 755 /usr/local/sbin/${name}`;
  });
  await guest.run(`mkdir -p /usr/local/sbin; ${wrappers.join('; ')}`);
}
