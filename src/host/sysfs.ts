// Reading sysfs and procfs as they are: whatever is absent, or vanishes while we look, is null; any other failure is reported once
// as unread and is null as well. Content is never trusted: it is cut at 64 KiB and at the first NUL, invalid UTF-8 is replaced.
import type { Unread } from '../domain/device.ts';
import { FileError, type Files } from '../runtime/ports.ts';

/**
 * Attributes whose read sleeps in the kernel, beyond reach of SIGKILL, while a VFIO driver waits for the user of the device (which
 * of them depends on the kernel: device_lock is taken by driver_override_show, uevent_show and the sriov_* ones from 5.10 to 7.3).
 * They are read by the kernel worker alone.
 */
export const guardedAttributeNames: ReadonlySet<string> = new Set([
  'driver_override',
  'uevent',
  'sriov_numvfs',
  'sriov_drivers_autoprobe',
  'sriov_vf_total_msix',
  'sriov_vf_msix_count',
]);

// What a read, a readlink or a readdir answers when the entry is not there or goes while it is being read.
const absent: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO']);

// An attribute is at most one page, and pages have up to 64 KiB.
const attributeBytes = 65_536;

/** Reading without exceptions. */
export interface Sysfs {
  /** The text without surrounding white space; null when absent or unread. Throws for a guarded attribute: that is a bug of ours. */
  readAttribute(path: string): string | null;
  /** Like `readAttribute`, for attributes that many drivers refuse to show: a failure is null and is not reported. */
  readOptionalAttribute(path: string): string | null;
  /** The text of a symbolic link; null when absent or unread. */
  readLink(path: string): string | null;
  /** Last component of a symbolic link's text. */
  readLinkName(path: string): string | null;
  /** Names in a directory, sorted by code unit; null when there is no such directory or it is unread. */
  listNames(path: string): readonly string[] | null;
  /** Whether the path leads somewhere. */
  exists(path: string): boolean;
  /** Tells the directory that the path leads to from its replacement; null when absent or unread. */
  readStamp(path: string): Stamp | null;
}

/**
 * What stays equal as long as a directory is the same one: a device that was removed and added again has another inode. Sysfs
 * numbers its inodes upwards and does not reuse them (kernfs ids); the change time covers copies on other file systems.
 */
export interface Stamp {
  readonly inode: number;
  readonly device: number;
  readonly changedAt: number;
}

/** `report` is called for everything that is there and cannot be read. */
export function createSysfs(files: Files, report: (unread: Unread) => void): Sysfs {
  const attempt = <T>(path: string, read: () => T | null, silent = false): T | null => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (!silent && !absent.has(error.code)) report({ source: path, why: `${error.operation}: ${error.code}` });
      return null;
    }
  };
  const readText = (path: string, silent: boolean): string | null => {
    assertNotGuarded(path);
    const text = attempt(path, () => files.readText(path, attributeBytes), silent);
    return text === null ? null : cleanText(text);
  };
  // EINVAL: it is there and is no link (readlink(2)), as the file bonding_masters among the links of /sys/class/net.
  const readLink = (path: string): string | null =>
    attempt(path, () => {
      try {
        return files.readLink(path);
      } catch (error) {
        if (error instanceof FileError && error.code === 'EINVAL') return null;
        throw error;
      }
    });
  return {
    readAttribute: (path) => readText(path, false),
    readOptionalAttribute: (path) => readText(path, true),
    readLink,
    readLinkName: (path) => {
      const target = readLink(path);
      return target === null ? null : lastComponent(target);
    },
    listNames: (path) => attempt(path, () => [...files.list(path)].sort()),
    exists: (path) => attempt(path, () => files.stat(path)) !== null,
    readStamp: (path) => {
      const stat = attempt(path, () => files.stat(path));
      return stat === null ? null : { inode: stat.inode, device: stat.device, changedAt: stat.changedAt };
    },
  };
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.inode === b.inode && a.device === b.device && a.changedAt === b.changedAt;
}

/** Last component of a path; the path itself when it has no slash. */
function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function assertNotGuarded(path: string): void {
  if (guardedAttributeNames.has(lastComponent(path))) {
    throw new Error(`${path} may block in the kernel without end: only the kernel worker may read it`);
  }
}

function cleanText(text: string): string {
  const nul = text.indexOf('\0');
  return (nul === -1 ? text : text.slice(0, nul)).trim();
}
