// Small C programs of the lab for the inside of a guest, compiled once per source text with the machine's gcc, static
// so that they need nothing there. In the guest they lie in /lab.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from './cache.ts';
import { run } from './command.ts';
import { say } from './lab-error.ts';

const PROGRAMS = ['vfio-holder'] as const;

/** The programs by name, ready to be packed into an initramfs. */
export async function guestPrograms(): Promise<ReadonlyMap<string, Buffer>> {
  const programs = new Map<string, Buffer>();
  for (const name of PROGRAMS) {
    const source = fileURLToPath(new URL(`guest/${name}.c`, import.meta.url));
    const hash = createHash('sha256').update(readFileSync(source)).digest('hex');
    const entry = await cacheEntry(`programs/${name}-${hash.slice(0, 16)}`, async (staging) => {
      say(`compiling ${name}`);
      const argv = ['gcc', '-static', '-O1', '-Wall', '-Wextra', '-o', join(staging, name), source];
      await run(argv, { hint: 'the lab needs gcc with its static C library (libc6-dev)' });
      return { guard: [name] };
    });
    programs.set(name, readFileSync(join(entry.directory, name)));
  }
  return programs;
}
