// The programs the lab runs that the test machine may lack: QEMU, kmod, busybox, xz and zstd, with every library they
// need and their own dynamic loader, so that nothing depends on what is installed.

import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from './cache.ts';
import { BOOKWORM, directoryName, newestPackage, openArchive, unpackClosure } from './debian.ts';
import { LabError } from './lab-error.ts';

const PACKAGES = [
  'qemu-system-x86',
  'kmod',
  'busybox-static',
  'xz-utils',
  'zstd',
  'e2fsprogs',
  'iproute2',
  'socat',
  'pciutils',
] as const;
const SUITE = 'bookworm-backports';
const LIBRARY = 'x86_64-linux-gnu';

/** The unpacked tools; `directory` looks like the root of a small Debian. */
export interface Tools {
  readonly directory: string;
  readonly qemuVersion: string;
}

/** Finds the tools in the cache, or downloads and unpacks them first. */
export async function labTools(): Promise<Tools> {
  const version = await resolvedOnce('tools', entryKey, async () => {
    const archive = await openArchive(BOOKWORM);
    const record = await newestPackage(archive, 'qemu-system-x86', [SUITE]);
    if (record?.['Version'] === undefined) throw new LabError(`${SUITE} offers no qemu-system-x86.`);
    return record['Version'];
  });
  const entry = await cacheEntry(entryKey(version), async (staging) => {
    await unpackClosure(await openArchive(BOOKWORM), SUITE, PACKAGES, staging);
    return { guard: ['usr/bin/qemu-system-x86_64', 'bin/kmod', 'bin/busybox'], facts: { version } };
  });
  return { directory: entry.directory, qemuVersion: version };
}

function entryKey(version: string): string {
  return `tools/qemu-${directoryName(version)}`;
}

/** The loader and library path with which a program of the tools runs; `root` is where the tools are mounted. */
export function loaderArguments(root: string): readonly string[] {
  const libraries = [`${root}/lib/${LIBRARY}`, `${root}/usr/lib/${LIBRARY}`, `${root}/usr/lib`];
  return [`${root}/lib/${LIBRARY}/ld-linux-x86-64.so.2`, '--library-path', libraries.join(':')];
}

/** The command line that runs `program` (a path within the tools) under the name `name` on the test machine. */
export function toolCommand(tools: Tools, program: string, name: string): readonly string[] {
  const [loader = '', ...rest] = loaderArguments(tools.directory);
  return [loader, '--argv0', name, ...rest, join(tools.directory, program)];
}
