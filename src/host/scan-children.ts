// What hangs below devices, found from the other end: /sys/class and /sys/block hold one link per network interface, disk and NVMe
// controller into the device tree. That costs one readlink per thing there is, and finds it at any depth (virtio, USB, SCSI).
import { FileError, type Files } from '../runtime/ports.ts';
import type { ScanView } from './scan-view.ts';
import type { Sysfs } from './sysfs.ts';

/** Things below devices, keyed by the device's address. */
export interface Children {
  /** Network interfaces that our view of sysfs shows, sorted. */
  readonly interfaces: ReadonlyMap<string, readonly string[]>;
  /** Serial number of the controller or disks; absent when any disk of the device tells none. */
  readonly diskSerials: ReadonlyMap<string, string>;
}

/** Finds them; `isDevice` says whether a path component is the address of a device. A disk with an NVMe controller above it is told by the controller, also where multipath hides the way to it. */
export async function scanChildren(view: ScanView, isDevice: (name: string) => boolean): Promise<Children> {
  const { files, paths, sysfs } = view;
  const interfaces = await groupByOwner(view, paths.sysClass('net'), isDevice);
  const controllers = await groupByOwner(view, paths.sysClass('nvme'), isDevice);
  const disks = await groupByOwner(view, paths.block, isDevice);
  const diskSerials = new Map<string, string>();
  const read = async (owner: string, names: readonly string[], readSerial: (name: string) => string | null) => {
    await view.pause();
    const serials = names.map(readSerial);
    if (serials.every((serial) => serial !== null)) diskSerials.set(owner, serials.toSorted().join(', '));
  };
  for (const [owner, names] of disks) {
    if (controllers.has(owner)) continue;
    await read(owner, names, (name) => readDiskSerial(files, sysfs, `${paths.block}/${name}`));
  }
  for (const [owner, names] of controllers) {
    await read(owner, names, (name) => sysfs.readAttribute(`${paths.sysClass('nvme')}/${name}/serial`) || null);
  }
  return { interfaces, diskSerials };
}

async function groupByOwner(
  { structure, pause }: ScanView,
  directory: string,
  isDevice: (name: string) => boolean,
): Promise<Map<string, string[]>> {
  const owned = new Map<string, string[]>();
  for (const name of structure.listNames(directory) ?? []) {
    await pause();
    const target = structure.readLink(`${directory}/${name}`);
    const owner = target?.split('/').findLast(isDevice);
    if (owner === undefined) continue;
    const names = owned.get(owner);
    if (names === undefined) owned.set(owner, [name]);
    else names.push(name);
  }
  return owned;
}

// SCSI and ATA disks keep their unit serial number page, MMC cards their number; both are answered from memory. The `serial` of a
// virtio disk is asked of the device on every read (virtblk_get_id), which may never answer, so it is left alone.
function readDiskSerial(files: Files, sysfs: Sysfs, disk: string): string | null {
  return readUnitSerialPage(files, `${disk}/device/vpd_pg80`) ?? (sysfs.readAttribute(`${disk}/device/serial`) || null);
}

// Page 80h (SPC-5, 7.7.18): four bytes of header, of which the last two are the length of the text that follows.
function readUnitSerialPage(files: Files, path: string): string | null {
  let page: Uint8Array;
  try {
    page = files.readBytes(path, 0, 260);
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
  if (page.length < 4 || page[1] !== 0x80) return null;
  const length = ((page[2] ?? 0) << 8) | (page[3] ?? 0);
  const text = String.fromCharCode(...page.subarray(4, 4 + length));
  return /^[\x20-\x7e]+$/.test(text) ? text.trim() || null : null;
}

/** Names of physical slots, keyed by the address without function (`dddd:bb:dd`) that the slot's `address` gives. */
export function scanSlots({ paths, sysfs }: ScanView): ReadonlyMap<string, string> {
  const slots = new Map<string, string>();
  for (const name of sysfs.listNames(paths.pciSlots) ?? []) {
    const address = sysfs.readAttribute(`${paths.pciSlots}/${name}/address`);
    if (address !== null && !slots.has(address)) slots.set(address, name);
  }
  return slots;
}
