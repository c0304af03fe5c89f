// What one scan looks through, and what it does when it cannot see. An attribute that cannot be read is one thing unknown; a directory
// or link that cannot be read would make devices, drivers and groups look absent, so on a live host it ends the scan.
import type { Unread } from '../domain/device.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createPause } from './pause.ts';
import { createSysfs, type Sysfs } from './sysfs.ts';

/** The device tree of a live host cannot be seen as a whole. The message names the path and the errno. */
export class HostUnreadable extends Error {
  override readonly name = 'HostUnreadable';
}

export interface ScanView {
  readonly files: Files;
  readonly paths: HostPaths;
  /** For attributes: what cannot be read is null and goes to `unread`. */
  readonly sysfs: Sysfs;
  /** For directories and links: throws `HostUnreadable` on a live host; on a copy like `sysfs`. */
  readonly structure: Sysfs;
  readonly unread: Unread[];
  /** Awaited between pieces of work. */
  readonly pause: () => Promise<void>;
}

/** A view for one scan. */
export function createScanView(files: Files, paths: HostPaths, clock: Clock | undefined): ScanView {
  const unread: Unread[] = [];
  const sysfs = createSysfs(files, (entry) => unread.push(entry));
  const structure = paths.kind === 'copy' ? sysfs : createSysfs(files, failScan);
  return { files, paths, sysfs, structure, unread, pause: createPause(clock) };
}

function failScan({ source, why }: Unread): never {
  throw new HostUnreadable(`${source} cannot be read (${why}): the host's devices are unknown until it can`);
}
