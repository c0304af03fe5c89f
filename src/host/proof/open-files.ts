// One pass over /proc/*/fd: which block and char nodes, and which VFIO devices, are open in which process. A link's text decides
// whether its target is looked at, since a stat of a file on a network file system that does not answer would sleep without end.
// Whatever may not be read makes the pass blind: then nothing found to be open says nothing.
import { createFailures, isAbsent, valueOf, type Failure } from './evidence.ts';
import { findMount, type MountTable } from './mount-info.ts';
import type { MountTables } from './mount-tables.ts';
import type { ProofPass } from './proof-pass.ts';

/** A device node that a process has open. */
export interface OpenNode {
  readonly pid: string;
  readonly kind: 'char' | 'block';
  /** `major:minor` */
  readonly number: string;
  /** The path as the process opened it; in a container that is a path of the container. */
  readonly path: string;
  /** `process qemu-system-x86 (4711)` */
  readonly who: string;
}

/** A VFIO device that a process has open, which is no node but an anonymous file. */
interface OpenVfioDevice {
  readonly pid: string;
  /** The device's path in sysfs; null before 6.18, where the kernel does not tell. */
  readonly sysfsPath: string | null;
  readonly who: string;
}

/** What is open on the host. */
export interface OpenFiles {
  readonly nodes: readonly OpenNode[];
  readonly vfioDevices: readonly OpenVfioDevice[];
  /** Sources that could not be read; empty when every process was seen. */
  readonly blind: readonly Failure[];
}

// File systems on which a stat answers from memory or a local disk.
const localTypes: ReadonlySet<string> = new Set(
  'devtmpfs tmpfs ramfs rootfs ext2 ext3 ext4 xfs btrfs f2fs overlay zfs bcachefs squashfs erofs'.split(' '),
);

// No device of a bus is behind these, and most processes have one of them open.
const plainNodes: ReadonlySet<string> = new Set(['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom']);
const plainTrees = ['/dev/pts/', '/dev/shm/', '/dev/mqueue/', '/dev/hugepages/'];

// Between two pauses: a few milliseconds of reading.
const linksPerTurn = 500;

// PF_KTHREAD of include/linux/sched.h, in field 9 of /proc/PID/stat.
const kernelThreadFlag = 0x0020_0000;

/** Reads the open files of all processes, visiting each one's mount table on the way. */
export async function readOpenFiles(pass: ProofPass, mounts: MountTables): Promise<OpenFiles> {
  const { paths, evidence } = pass;
  const nodes = new Map<string, OpenNode>();
  const vfioDevices: OpenVfioDevice[] = [];
  const blind = createFailures();
  const processes = evidence.names(paths.proc);
  if ('errno' in processes) {
    return { nodes: [], vfioDevices, blind: [{ source: paths.proc, why: `readdir: ${processes.errno}` }] };
  }
  const pids = processes.value.filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
  if (pids[0] !== '1') blind.add(paths.init, 'PID 1 is not among the processes that can be seen');
  let links = 0;
  for (const pid of pids) {
    await pass.pause();
    const table = mounts.visit(pid);
    const directory = `${paths.process(pid)}/fd`;
    const names = evidence.names(directory);
    if ('errno' in names) {
      // Only with the process itself does its list go.
      const gone = isAbsent(names) && isAbsent(evidence.stat(paths.process(pid)));
      if (!gone && hasFiles(pass, pid)) blind.add(directory, `readdir: ${names.errno}`);
      continue;
    }
    for (const name of names.value) {
      if ((links += 1) % linksPerTurn === 0) await pass.pause();
      const descriptor = `${directory}/${name}`;
      const target = evidence.link(descriptor);
      if ('errno' in target) {
        if (isAbsent(target)) continue;
        blind.add(directory, `readlink: ${target.errno}`);
        break;
      }
      if (/^anon_inode:\[?vfio-device/.test(target.value)) {
        vfioDevices.push({ pid, sysfsPath: readSysfsPath(pass, pid, name), who: nameProcess(pass, pid) });
        continue;
      }
      if (!mayBeNode(target.value, table)) continue;
      // The link leads to the open file itself, so this holds for nodes that were removed or live in another mount namespace.
      const stat = evidence.stat(descriptor);
      if ('errno' in stat) {
        if (!isAbsent(stat)) blind.add(descriptor, `stat: ${stat.errno}`);
        continue;
      }
      const { kind, node: number } = stat.value;
      if ((kind !== 'char' && kind !== 'block') || number === null) continue;
      const key = `${pid} ${kind} ${number}`;
      if (!nodes.has(key)) nodes.set(key, { pid, kind, number, path: target.value, who: nameProcess(pass, pid) });
    }
  }
  return { nodes: [...nodes.values()], vfioDevices, blind: blind.summary() };
}

function mayBeNode(target: string, table: MountTable | null): boolean {
  if (!target.startsWith('/')) return false;
  if (target.startsWith('/dev/')) {
    return !plainNodes.has(target) && !plainTrees.some((tree) => target.startsWith(tree));
  }
  if (table === null) return false;
  // Nodes outside /dev: a chroot's or jail's own dev directory, and a node bound over a file (kubelet's raw block volumes).
  const mount = findMount(table, target);
  if (mount === null) return false;
  return mount.type === 'devtmpfs' || (target.includes('/dev/') && localTypes.has(mount.type));
}

// Kernel threads and processes that have ended hold no files; only for what is neither an unreadable list matters.
function hasFiles(pass: ProofPass, pid: string): boolean {
  const stat = valueOf(pass.evidence.text(`${pass.paths.process(pid)}/stat`));
  if (stat === null) return true;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  return state !== 'Z' && state !== 'X' && (Number(fields[6]) & kernelThreadFlag) === 0;
}

function readSysfsPath(pass: ProofPass, pid: string, descriptor: string): string | null {
  const info = valueOf(pass.evidence.text(`${pass.paths.process(pid)}/fdinfo/${descriptor}`));
  return /^vfio-device-syspath:\s*(\S+)$/m.exec(info ?? '')?.[1] ?? null;
}

function nameProcess(pass: ProofPass, pid: string): string {
  const name = valueOf(pass.evidence.text(`${pass.paths.process(pid)}/comm`))?.trim() ?? '';
  return `process ${name === '' ? '?' : name} (${pid})`;
}
