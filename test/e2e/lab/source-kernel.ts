// The lab's 7.x kernel: Debian's newest, its VFIO built anew from Debian's linux-source with iommufd, cdevs and no-IOMMU mode, which Debian
// leaves out. `node test/e2e/lab/build-kernel.ts` puts it into the cache, once; tests look for it here and never build it.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheRoot, cachedEntry } from './cache.ts';
import { directoryName } from './debian.ts';

/** What is switched on, and the Makefile of the modules. */
export const OWN_FILES = ['config', 'Makefile'].map((name) =>
  fileURLToPath(new URL(`kernel/${name}`, import.meta.url)),
);

/** The kernel in the cache. */
export interface SourceKernel {
  readonly release: string;
  /** Debian's version of kernel and source. */
  readonly version: string;
  /** A root with `boot/vmlinux`, `usr/lib/modules/RELEASE`, `usr/include` (its user space API) and the headers for modules. */
  readonly directory: string;
}

/** What a test that needs the kernel says when it is skipped. */
export const WITHOUT_SOURCE_KERNEL =
  'the kernel with iommufd is not in the cache of the lab: node test/e2e/lab/build-kernel.ts puts it there, once';

/** Key of the cache entry for a version of Debian's kernel and the switches of this repository. */
export function sourceKernelKey(version: string): string {
  return `kernels/${directoryName(version)}${suffix()}`;
}

/** The newest one in the cache that was built with these switches, or nothing. */
export function cachedSourceKernel(): SourceKernel | undefined {
  const folder = join(cacheRoot(), 'kernels');
  if (!existsSync(folder)) return undefined;
  const names = readdirSync(folder).filter((name) => name.endsWith(suffix()));
  for (const name of names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) {
    const entry = cachedEntry(`kernels/${name}`);
    const { release, version } = entry?.facts ?? {};
    if (entry !== undefined && release !== undefined && version !== undefined)
      return { release, version, directory: entry.directory };
  }
  return undefined;
}

/** The headers with kbuild for `release`, relative to a root. */
export function headersOf(release: string): string {
  return `usr/src/linux-headers-${release}`;
}

function suffix(): string {
  const hash = createHash('sha256');
  for (const path of OWN_FILES) hash.update(readFileSync(path));
  return `-lab-${hash.digest('hex').slice(0, 16)}`;
}
