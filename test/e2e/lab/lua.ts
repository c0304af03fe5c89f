// Debian's Lua 5.1, the language level of Argo CD's interpreter: an entry of the cache of its own, run by its own loader.
import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from './cache.ts';
import { run } from './command.ts';
import { BOOKWORM, directoryName, newestPackage, openArchive, unpackClosure } from './debian.ts';
import { LabError } from './lab-error.ts';
import { loaderArguments } from './tools.ts';

const SUITE = 'bookworm';
const PROGRAM = 'usr/bin/lua5.1';

function entryKey(version: string): string {
  return `tools/lua-${directoryName(version)}`;
}

/** The command line of the interpreter; a script's path is to follow. Found in the cache, or downloaded first. */
export async function luaCommand(): Promise<readonly string[]> {
  const version = await resolvedOnce('lua', entryKey, async () => {
    const record = await newestPackage(await openArchive(BOOKWORM), 'lua5.1', [SUITE]);
    if (record?.['Version'] === undefined) throw new LabError(`${SUITE} offers no lua5.1.`);
    return record['Version'];
  });
  const { directory } = await cacheEntry(entryKey(version), async (staging) => {
    await unpackClosure(await openArchive(BOOKWORM), SUITE, ['lua5.1'], staging);
    await run([...loaderArguments(staging), join(staging, PROGRAM), '-v']);
    return { guard: [PROGRAM], facts: { version } };
  });
  return [...loaderArguments(directory), join(directory, PROGRAM)];
}
