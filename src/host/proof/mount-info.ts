// One mount table as /proc/PID/mountinfo prints it (proc_pid_mountinfo(5)). Parsing is strict: a table with a line that is none is
// not a whole table, and what is missing from it proves nothing.

/** One mount. */
export interface Mount {
  /** `major:minor` of the superblock; major 0 for file systems that have no block device of their own (btrfs, zfs, overlay, nfs). */
  readonly number: string;
  readonly point: string;
  readonly type: string;
  /** What was mounted, e.g. `/dev/nvme0n1p2`, `pool/data`, `server:/export`. */
  readonly source: string;
  /** Options of the superblock, separated by commas. */
  readonly options: string;
}

/** What a table shows; `whole` is false when anything in it could not be understood. */
export interface MountTable {
  readonly mounts: readonly Mount[];
  readonly whole: boolean;
}

const line = /^\d+ -?\d+ (\d+:\d+) (\S+) (\S+) \S+(?: [^ ]+)* - (\S+) (\S*) (\S+)$/;

/** Parses a mount table; never throws. */
export function parseMountInfo(text: string): MountTable {
  const mounts: Mount[] = [];
  let whole = true;
  for (const row of text.split('\n')) {
    if (row === '') continue;
    const match = line.exec(row);
    if (match === null) {
      whole = false;
      continue;
    }
    const [, number = '', , point = '', type = '', source = '', options = ''] = match;
    mounts.push({ number, point: unescapePath(point), type, source: unescapePath(source), options });
  }
  return { mounts, whole };
}

/** The mount on which an absolute path lies: the one with the longest mount point; of several on one point, the topmost. */
export function findMount(table: MountTable, path: string): Mount | null {
  let best: Mount | null = null;
  for (const mount of table.mounts) {
    if (isBelow(path, mount.point) && mount.point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** Undoes the octal escapes (`\040` for a space) of mountinfo and swaps: seq_path() in fs/seq_file.c. */
export function unescapePath(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([0-7]{3})/g, (_whole, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isBelow(path: string, point: string): boolean {
  return point === '/' ? path.startsWith('/') : path === point || path.startsWith(`${point}/`);
}
