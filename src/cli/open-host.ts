// Which host a command reads: this machine, or a copy of another one's files under `--root`, with its kernel release.
import type { Inventory, Unread } from '../domain/device.ts';
import { findKernelRelease, KernelReleaseUnknown } from '../host/kernel-release.ts';
import { hostPaths, type HostPaths } from '../host/host-paths.ts';
import { createScanner } from '../host/scan-inventory.ts';
import { HostUnreadable } from '../host/scan-view.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import { CommandFailed, exitCodes } from './exit-codes.ts';

/** The global options. */
export interface HostOptions {
  /** Absolute directory of the copy; null for this machine. */
  readonly root: string | null;
  /** Kernel release to assume; null: find it. */
  readonly kernel: string | null;
}

/** A host that can be read. */
export interface OpenHost {
  readonly paths: HostPaths;
  /** `uname -r`; empty when unknown, and then `unread` says so. */
  readonly release: string;
  readonly unread: readonly Unread[];
}

/** Finds the host. Throws `CommandFailed` (usage) for a directory that is none and for a kernel that somebody has to name. */
export function openHost(files: Files, options: HostOptions): OpenHost {
  const { root, kernel } = options;
  if (root !== null) checkRoot(files, root);
  const paths = root === null || root === '/' ? hostPaths('/') : hostPaths(root, 'copy');
  try {
    return { paths, release: findKernelRelease(files, paths, kernel), unread: [] };
  } catch (error) {
    if (!(error instanceof KernelReleaseUnknown)) throw error;
    if (holdsSeveralKernels(files, paths)) throw new CommandFailed(exitCodes.usage, `${error.message}; use --kernel`);
    return { paths, release: '', unread: [{ source: paths.kernelRelease, why: `${error.message}; use --kernel` }] };
  }
}

/** Scans the devices. What cannot be read is in `unread`; a machine whose sysfs cannot be seen shows what it shows. */
export async function scanHost(
  files: Files,
  host: OpenHost,
  options: { readonly wantSerialNumbers: boolean; readonly alsoList?: ReadonlySet<string> },
): Promise<Inventory> {
  const scan = (paths: HostPaths): Promise<Inventory> =>
    createScanner({ files, paths, release: host.release }).scan(options);
  try {
    return await scan(host.paths);
  } catch (error) {
    if (!(error instanceof HostUnreadable)) throw error;
    const seen = await scan(hostPaths(host.paths.root === '' ? '/' : host.paths.root, 'copy'));
    return { ...seen, unread: [{ source: host.paths.sys, why: error.message }, ...seen.unread] };
  }
}

function checkRoot(files: Files, root: string): void {
  let kind: string;
  try {
    ({ kind } = files.stat(root));
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new CommandFailed(exitCodes.usage, `--root ${root} cannot be read: ${error.code}`, { cause: error });
  }
  if (kind !== 'directory') throw new CommandFailed(exitCodes.usage, `--root ${root} is no directory`);
}

function holdsSeveralKernels(files: Files, paths: HostPaths): boolean {
  return paths.moduleTrees.some((tree) => {
    try {
      return files.list(tree).length > 0;
    } catch (error) {
      if (error instanceof FileError) return false;
      throw error;
    }
  });
}
