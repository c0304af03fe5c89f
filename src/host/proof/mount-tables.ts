// The mounts of every mount namespace of the host: PID 1's, and those of all other processes (a pod's volume may be mounted in the
// pod alone). Each namespace is read once per root directory, since a process under chroot sees only what lies below its root.
import { createFailures, isAbsent, type Failure } from './evidence.ts';
import { findMount, parseMountInfo, type MountTable } from './mount-info.ts';
import type { ProofPass } from './proof-pass.ts';

/** A table and where it was read. */
interface HostMounts {
  /** e.g. `/proc/1/mountinfo`. */
  readonly source: string;
  readonly table: MountTable;
}

/** Mount tables gathered during one pass. */
export interface MountTables {
  /** The table of a process, read if its namespace is new; null when the process is gone or its table cannot be read. */
  visit(pid: string): MountTable | null;
  /** All distinct tables so far, PID 1's first. */
  readonly all: readonly HostMounts[];
  /** Sources that could not be read or understood. */
  blind(): readonly Failure[];
}

/** Starts with PID 1, whose table must be there. */
export function readMountTables(pass: ProofPass): MountTables {
  const { paths, evidence } = pass;
  const all: HostMounts[] = [];
  const blind = createFailures();
  const byNamespace = new Map<string, MountTable | null>();
  const byText = new Map<string, MountTable>();

  const readTable = (pid: string): MountTable | null => {
    const source = `${paths.process(pid)}/mountinfo`;
    const reading = evidence.text(source);
    if ('errno' in reading) {
      // A process that is ending has no namespaces any more: mounts_open_common() in fs/proc_namespace.c answers EINVAL.
      const gone = pid !== '1' && (isAbsent(reading) || reading.errno === 'EINVAL');
      if (!gone) blind.add(source, `read: ${reading.errno}`);
      return null;
    }
    // A process that ends while its table is read may leave it empty.
    if (pid !== '1' && reading.value === '' && isAbsent(evidence.stat(paths.process(pid)))) return null;
    const known = byText.get(reading.value);
    if (known !== undefined) return known;
    const table = parseMountInfo(reading.value);
    byText.set(reading.value, table);
    all.push({ source, table });
    // Only a process under chroot may see no mount on its root.
    const whole = table.whole && (pid !== '1' || findMount(table, '/') !== null);
    if (!whole) blind.add(source, 'this is not a whole mount table');
    return table;
  };
  const visit = (pid: string): MountTable | null => {
    const namespace = evidence.link(`${paths.process(pid)}/ns/mnt`);
    const root = evidence.link(`${paths.process(pid)}/root`);
    // Without the right to read the links every table is read; equal ones are still kept once.
    if ('errno' in namespace || 'errno' in root) return isAbsent(namespace) && pid !== '1' ? null : readTable(pid);
    const key = `${namespace.value} ${root.value}`;
    let table = byNamespace.get(key);
    if (table === undefined) byNamespace.set(key, (table = readTable(pid)));
    return table;
  };
  visit('1');
  return { visit, all, blind: blind.summary };
}
