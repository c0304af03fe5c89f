// Which kernel a host runs. A live host says so; a dead copy may hold the modules of several kernels, and then somebody has to say.
import { FileError, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs } from './sysfs.ts';

/** It cannot be told which kernel the copy is of. The message lists those it holds and what to do. */
export class KernelReleaseUnknown extends Error {
  override readonly name = 'KernelReleaseUnknown';
}

/**
 * The kernel release: `asked` if given, else what the host's /proc says, else the only folder in its lib/modules. Throws
 * `KernelReleaseUnknown` when none of these decides.
 */
export function findKernelRelease(files: Files, paths: HostPaths, asked: string | null): string {
  if (asked !== null) return asked;
  const told = createSysfs(files, () => {}).readAttribute(paths.kernelRelease);
  if (told !== null && told !== '') return told;
  const releases = [...new Set(paths.moduleTrees.flatMap((tree) => listReleases(files, tree)))].sort();
  const [only] = releases;
  if (only !== undefined && releases.length === 1) return only;
  const held =
    only === undefined
      ? `no folder in ${paths.moduleTrees.join(' or ')} names one`
      : `${paths.moduleTrees[0]} holds ${releases.join(', ')}`;
  throw new KernelReleaseUnknown(
    `${paths.kernelRelease} cannot be read and ${held}: name the kernel release (uname -r on that host)`,
  );
}

function listReleases(files: Files, tree: string): readonly string[] {
  return (attempt(() => files.list(tree)) ?? []).filter(
    (name) => attempt(() => files.stat(`${tree}/${name}`).kind) === 'directory',
  );
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}
