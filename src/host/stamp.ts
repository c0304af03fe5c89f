// Tells one directory from its replacement of the same name: a device that was removed and added again, or moved, has another inode.
// Sysfs numbers its inodes upwards and does not reuse them (kernfs ids); the change time covers copies on other file systems.
import { FileError, type Files } from '../runtime/ports.ts';

/** What stays equal as long as a directory is the same one. */
export interface Stamp {
  readonly inode: number;
  readonly device: number;
  readonly changedAt: number;
}

/** The stamp of the directory that `path` leads to, null when there is none (any more) or it cannot be looked at. */
export function readStamp(files: Files, path: string): Stamp | null {
  try {
    const { inode, device, changedAt } = files.stat(path);
    return { inode, device, changedAt };
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.inode === b.inode && a.device === b.device && a.changedAt === b.changedAt;
}
