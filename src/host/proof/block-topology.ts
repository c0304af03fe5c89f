// Which block device lies on which: partitions on disks, dm (LVM, dm-crypt, multipath), md and bcache on their members, loop and zram
// on what backs them, NVMe multipath heads on their controllers. Built from /sys/class/block once per pass.
import { isAbsent, valueOf, type Failure } from './evidence.ts';
import { nvmeControllersOf } from './nvme-subsystem.ts';
import { wantedIn, type ProofPass } from './proof-pass.ts';

/** One block device: a disk, a partition, or a virtual one. */
export interface BlockDevice {
  /** The kernel's name, e.g. `nvme0n1p2`; a slash in it is written `!`, as in sysfs. */
  readonly name: string;
  /** `major:minor`; null for the hidden paths of NVMe multipath, which nobody can open. */
  readonly number: string | null;
  /** The whole disk of a partition; null for whole disks. */
  readonly disk: string | null;
  /** Members of a dm, md or bcache device: `slaves/`. */
  readonly slaves: readonly string[];
  /** Claimed by these: `holders/`. */
  readonly holders: readonly string[];
  /** Wanted devices that its own path in sysfs leads through. */
  readonly addresses: readonly string[];
  /** The file or node behind an attached loop device or zram's writeback; null when there is none. */
  readonly backing: string | null;
  /** Name of a dm device, e.g. `vg-root`; null for everything else. */
  readonly mapName: string | null;
  /** Registered with bcache, as a backing or a cache device. */
  readonly cached: boolean;
  /** In sectors of 512 bytes; 0: no medium. null: unread. */
  readonly sectors: number | null;
}

/** All block devices. */
export interface BlockTopology {
  readonly devices: ReadonlyMap<string, BlockDevice>;
  readonly byNumber: ReadonlyMap<string, BlockDevice>;
  /** Directly beneath, by name: the disk of a partition, the members of a dm, md or bcache device. */
  readonly lower: ReadonlyMap<string, ReadonlySet<string>>;
  /** Sources that could not be read; what they could have shown concerns every device with storage. */
  readonly blind: readonly Failure[];
  /** /sys/class/block cannot be listed as a whole: it is not even known which devices have storage. */
  readonly unlisted: boolean;
}

/** Reads the topology; never throws. */
export function readBlockTopology(pass: ProofPass): BlockTopology {
  const root = pass.paths.sysClass('block');
  const names = pass.evidence.names(root);
  const blind: Failure[] = [];
  if ('errno' in names) {
    blind.push({ source: root, why: `readdir: ${names.errno}` });
    return { devices: new Map(), byNumber: new Map(), lower: new Map(), blind, unlisted: true };
  }
  const devices = new Map<string, BlockDevice>();
  for (const name of names.value) {
    const path = `${root}/${name}`;
    const failures: Failure[] = [];
    const device = readBlockDevice(pass, path, name, (source, why) => void failures.push({ source, why }));
    // What fails because the device went meanwhile is no failure.
    if (failures.length > 0 && isAbsent(pass.evidence.real(path))) continue;
    blind.push(...failures);
    if (device !== null) devices.set(name, device);
  }
  const left = findLeftOut(pass, devices);
  if (left.length > 0) {
    const why = `this is not a whole list: ${pass.paths.proc}/partitions has ${left.slice(0, 5).join(', ')} beside it`;
    blind.push({ source: root, why });
  }
  for (const device of devices.values()) {
    // A hidden path nvme0c1n1 serves the disk nvme0n1 (drivers/nvme/host/multipath.c).
    const head = /^(nvme\d+)c\d+(n\d+)$/.exec(device.name)?.slice(1).join('') ?? null;
    if (head !== null && !devices.has(head)) {
      blind.push({ source: `${root}/${device.name}`, why: `${head}, the disk that it is a path to, is not listed` });
    }
  }
  const byNumber = new Map<string, BlockDevice>();
  const lower = new Map<string, Set<string>>();
  for (const device of devices.values()) {
    if (device.number !== null) byNumber.set(device.number, device);
    lower.set(device.name, new Set(device.disk === null ? device.slaves : [device.disk]));
  }
  // The kernel keeps both ends of the link (bd_link_disk_holder() in block/holder.c); either one suffices.
  for (const device of devices.values()) {
    for (const holder of device.holders) lower.get(holder)?.add(device.name);
  }
  return { devices, byNumber, lower, blind, unlisted: left.length > 0 };
}

// Block devices that the kernel lists elsewhere: our /sys may be a view that shows none of them. What has just come is in both lists at
// the next pass; what has just gone is in the other one no more when it is read again.
function findLeftOut(pass: ProofPass, devices: ReadonlyMap<string, BlockDevice>): readonly string[] {
  const listed = (): readonly string[] => {
    const text = valueOf(pass.evidence.text(`${pass.paths.proc}/partitions`)) ?? '';
    return [...text.matchAll(/^\s*\d+\s+\d+\s+\d+\s+(\S+)$/gm)].map(([, name = '']) => name.replaceAll('/', '!'));
  };
  const left = listed().filter((name) => !devices.has(name));
  return left.length === 0
    ? []
    : listed()
        .filter((name) => left.includes(name))
        .sort();
}

function readBlockDevice(
  pass: ProofPass,
  path: string,
  name: string,
  blind: (source: string, why: string) => void,
): BlockDevice | null {
  const { evidence } = pass;
  const real = evidence.real(path);
  if ('errno' in real) {
    if (!isAbsent(real)) blind(path, `realpath: ${real.errno}`);
    return null;
  }
  const text = (attribute: string): string | null => {
    const reading = evidence.text(`${path}/${attribute}`);
    if ('errno' in reading && !isAbsent(reading)) blind(`${path}/${attribute}`, `read: ${reading.errno}`);
    return valueOf(reading)?.trim() ?? null;
  };
  const isPartition = text('partition') !== null;
  const disk = isPartition ? (real.value.split('/').at(-2) ?? null) : null;
  const number = text('dev');
  const hidden = number === null && text('hidden') === '1';
  if (!hidden && (number === null || !/^\d+:\d+$/.test(number))) blind(`${path}/dev`, 'there is no device number');
  const list = (directory: string): readonly string[] => {
    const listed = evidence.names(`${path}/${directory}`);
    if ('errno' in listed) blind(`${path}/${directory}`, `readdir: ${listed.errno}`);
    return valueOf(listed) ?? [];
  };
  const backing = name.startsWith('loop')
    ? text('loop/backing_file')
    : name.startsWith('zram')
      ? text('backing_dev')
      : null;
  return {
    name,
    number,
    disk,
    slaves: isPartition || hidden ? [] : list('slaves'),
    holders: hidden ? [] : list('holders'),
    addresses: [...new Set([...wantedIn(pass, real.value), ...nvmeControllersOf(pass, real.value, blind)])],
    backing: backing === null || backing === '' || backing === 'none' ? null : backing,
    mapName: name.startsWith('dm-') ? text('dm/name') : null,
    cached: !isAbsent(evidence.stat(`${path}/bcache`)),
    sectors: toSectors(text('size')),
  };
}

function toSectors(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
