// The program that opens VFIO cdevs (guest/vfio-cdev.c), compiled against the user space API of the lab's own kernel: the test machine's
// headers are older than iommufd.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from './cache.ts';
import { run } from './command.ts';
import type { SourceKernel } from './source-kernel.ts';

const SOURCE = fileURLToPath(new URL('guest/vfio-cdev.c', import.meta.url));

/** Its path on the test machine; a guest sees it there if it was booted with the directory `visible`. */
export async function cdevProgram(
  kernel: SourceKernel,
): Promise<{ readonly directory: string; readonly path: string }> {
  const hash = createHash('sha256').update(kernel.version).update(readFileSync(SOURCE)).digest('hex');
  const { directory } = await cacheEntry(`programs/vfio-cdev-${hash.slice(0, 16)}`, async (staging) => {
    const include = join(kernel.directory, 'usr/include');
    const argv = ['gcc', '-static', '-O1', '-Wall', '-Wextra', '-I', include, '-o', join(staging, 'vfio-cdev'), SOURCE];
    await run(argv, { hint: 'the lab needs gcc with its static C library (libc6-dev)' });
    return { guard: ['vfio-cdev'] };
  });
  return { directory, path: join(directory, 'vfio-cdev') };
}
