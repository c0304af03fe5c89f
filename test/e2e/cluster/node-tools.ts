// What a node needs of Debian beside the lab's own tools: runc (built with seccomp, which a plain Go build lacks) and nftables.

import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from '../lab/cache.ts';
import { BOOKWORM, directoryName, newestPackage, openArchive, unpackClosure } from '../lab/debian.ts';
import { LabError } from '../lab/lab-error.ts';

const SUITE = 'bookworm';

/** A directory that looks like the root of a small Debian with `usr/sbin/runc` and `usr/sbin/nft`. */
export async function nodeTools(): Promise<string> {
  const version = await resolvedOnce('node-tools', entryKey, async () => {
    const record = await newestPackage(await openArchive(BOOKWORM), 'runc', [SUITE]);
    if (record?.['Version'] === undefined) throw new LabError(`${SUITE} offers no runc.`);
    return record['Version'];
  });
  const entry = await cacheEntry(entryKey(version), async (staging) => {
    await unpackClosure(await openArchive(BOOKWORM), SUITE, ['runc', 'nftables'], staging);
    return { guard: ['usr/sbin/runc', 'usr/sbin/nft'], facts: { version } };
  });
  return entry.directory;
}

function entryKey(version: string): string {
  return join('node-tools', `runc-${directoryName(version)}`);
}
