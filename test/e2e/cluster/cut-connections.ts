// The program that cuts connections in a guest, compiled once per source text with the machine's gcc into the cache, which guests see.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from '../lab/cache.ts';
import { run } from '../lab/command.ts';

const NAME = 'cut-connections';

/** Its path, here and in guests. */
export async function cutConnections(): Promise<string> {
  const source = fileURLToPath(new URL(`node/${NAME}.c`, import.meta.url));
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const entry = await cacheEntry(`programs/${NAME}-${hash}`, async (staging) => {
    const argv = ['gcc', '-static', '-O1', '-Wall', '-Wextra', '-o', join(staging, NAME), source];
    await run(argv, { hint: 'the lab needs gcc with its static C library (libc6-dev)' });
    return { guard: [NAME] };
  });
  return join(entry.directory, NAME);
}
