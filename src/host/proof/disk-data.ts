// Does a disk hold data? Any partition, or any signature of a file system, volume manager or partition table, mounted or not, as udev
// recorded it or as the disk itself shows. A disk of which neither can be had is unproven.
import type { BlockDevice, BlockTopology } from './block-topology.ts';
import { findSignature, signatureRanges } from './disk-signatures.ts';
import { valueOf } from './evidence.ts';
import type { DiskReader } from './ports.ts';
import { isOnVfio, wantedWhere, type ProofPass } from './proof-pass.ts';

/** What a disk was found to hold. `null` type: nothing. */
type Content = { readonly type: string | null; readonly source: string } | { readonly unknown: string };

// 60-persistent-storage.rules of udev probes disks of these names alone.
const probedByUdev = /^(loop|mmcblk|msblk|mspblk|nvme|sd|sr|vd|xvd|bcache|cciss|dasd|nbd|pmem|rbd|scm|ubd|ublk|zd)/;

/**
 * Notes StorageHasData for every wanted device with a disk that holds data, and RootStorage where that is a member of a ZFS pool
 * while ZFS is mounted (the mount names the pool, not the disk).
 */
export async function proveDiskData(
  pass: ProofPass,
  topology: BlockTopology,
  zfsMounted: string | null,
  disks: DiskReader | null,
): Promise<void> {
  noteDriverless(pass);
  for (const disk of topology.devices.values()) {
    if (disk.disk !== null || disk.number === null || disk.addresses.length === 0 || disk.sectors === 0) continue;
    const parts = [...topology.devices.values()].filter((device) => device.disk === disk.name);
    const contents = [];
    for (const device of [disk, ...parts]) {
      contents.push(await readContent(pass, device, parts.length > 0, zfsMounted !== null, disks));
    }
    noteContents(pass, disk, parts, contents, zfsMounted);
  }
}

function noteContents(
  pass: ProofPass,
  disk: BlockDevice,
  parts: readonly BlockDevice[],
  contents: readonly Content[],
  zfsMounted: string | null,
): void {
  const { notes, paths } = pass;
  const shown = contents.flatMap((content, index) =>
    'unknown' in content || content.type === null
      ? []
      : [{ name: parts[index - 1]?.name ?? disk.name, type: content.type, source: content.source }],
  );
  for (const { name, type, source } of shown) {
    notes.refuse(disk.addresses, 'StorageHasData', `${name} holds ${type} (${source})`);
    if (type !== 'zfs_member' || zfsMounted === null) continue;
    notes.refuse(
      disk.addresses,
      'RootStorage',
      `${name} is a member of a ZFS pool (${source}) while ZFS is in use (${zfsMounted})`,
    );
  }
  if (parts.length > 0) {
    const names = parts.map((part) => part.name).join(', ');
    notes.refuse(
      disk.addresses,
      'StorageHasData',
      `${disk.name} has partitions: ${names} (${paths.sysClass('block')})`,
    );
  }
  for (const content of contents) {
    if ('unknown' in content) notes.blind(disk.addresses, `content of ${disk.name}`, content.unknown);
  }
}

async function readContent(
  pass: ProofPass,
  device: BlockDevice,
  partitioned: boolean,
  zfsInUse: boolean,
  disks: DiskReader | null,
): Promise<Content> {
  if (device.number === null) return { unknown: 'it has no device number' };
  const source = pass.paths.udevBlock(device.number);
  const record = parseUdevRecord(device, valueOf(pass.evidence.text(source)));
  if (record !== null) return { type: record.type, source };
  // That there are partitions is proof of data; what they hold matters only where ZFS may have one of them as a member.
  if (partitioned && (device.disk === null || !zfsInUse)) return { type: null, source };
  // A disk the node lives on is left alone.
  if (device.addresses.every((address) => pass.notes.has(address, 'RootStorage'))) return { type: null, source };
  return readDisk(pass, device, disks, source);
}

async function readDisk(
  pass: ProofPass,
  device: BlockDevice,
  disks: DiskReader | null,
  record: string,
): Promise<Content> {
  const node = pass.paths.at(`/dev/${device.name.replaceAll('!', '/')}`);
  const missing = `udev has no record of it (${record})`;
  if (disks === null || pass.paths.kind === 'copy') return { unknown: `${missing} and the disk itself cannot be read` };
  const stat = pass.evidence.stat(node);
  if ('errno' in stat) return { unknown: `${missing}; stat ${node}: ${stat.errno}` };
  if (stat.value.kind !== 'block' || stat.value.node !== device.number) {
    return { unknown: `${missing}; ${node} is not the node of ${device.name} (${device.number})` };
  }
  if (device.sectors === null) return { unknown: `${missing}; its size cannot be read` };
  const size = device.sectors * 512;
  const ranges = signatureRanges(size);
  const reading = await disks.read(node, ranges);
  if ('failure' in reading) return { unknown: `${missing}; read ${node}: ${reading.failure}` };
  const pieces = ranges.map((range, index) => ({
    offset: range.offset,
    bytes: reading.pieces[index] ?? new Uint8Array(),
  }));
  if (pieces.some((piece, index) => piece.bytes.length !== ranges[index]?.length)) {
    return { unknown: `${missing}; ${node} ended early` };
  }
  return { type: findSignature(pieces, size), source: node };
}

/**
 * What udev recorded of a block device: the type of what it holds, or that it holds nothing known. null when the record is none, or
 * was made without probing.
 */
export function parseUdevRecord(
  device: { readonly name: string },
  text: string | null,
): { readonly type: string | null } | null {
  if (text === null || !probedByUdev.test(device.name)) return null;
  const rows = text.split('\n').filter((row) => row !== '');
  // I: is the time at which udev had finished with the device (systemd's sd-device database).
  if (!rows.some((row) => /^I:\d+$/.test(row)) || rows.some((row) => !/^[A-Z]:/.test(row))) return null;
  const properties = new Map<string, string>();
  for (const row of rows) {
    const match = /^E:([^=]+)=(.*)$/.exec(row);
    if (match !== null) properties.set(match[1] ?? '', match[2] ?? '');
  }
  for (const key of ['ID_FS_TYPE', 'ID_FS_USAGE', 'ID_FS_AMBIVALENT', 'ID_PART_TABLE_TYPE']) {
    const value = properties.get(key) ?? '';
    if (value !== '') return { type: value };
  }
  return properties.get('UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG') === '1' ? null : { type: null };
}

// A mass storage device without driver shows no disk, so nobody can say what it holds. A VF is made empty for being given away, and a
// device on VFIO is not the host's to read.
function noteDriverless(pass: ProofPass): void {
  const silent = wantedWhere(
    pass,
    (device) =>
      (device.classCode?.startsWith('01') ?? false) &&
      device.physicalFunction === null &&
      (device.driver === null || device.driver === 'pci-stub') &&
      !isOnVfio(device),
  );
  for (const address of silent) {
    pass.notes.blind([address], `content of ${address}`, 'no driver is bound that would show its disks');
  }
}
