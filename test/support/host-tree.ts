// Builds a host's /sys, /proc and /dev as the kernel lays them out (device directories under /sys/devices, links from the bus, class
// and group directories), on disk or in memory, and changes them as the kernel would.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import type { MemoryFiles } from '../../src/simulation/memory-files.ts';

/** Where a tree is written. Paths are the host's own; parents are made. */
export interface TreeSink {
  file(path: string, content: string | Uint8Array): void;
  directory(path: string): void;
  link(path: string, target: string): void;
  /** Removes an entry and all below it, if it is there. */
  remove(path: string): void;
}

/** One PCI function. Only `address` is needed. */
export interface FunctionSpec {
  readonly address: string;
  /** Address of the bridge it lies behind. */
  readonly behind?: string;
  readonly vendor?: string;
  readonly device?: string;
  readonly subsystemVendor?: string;
  readonly subsystemDevice?: string;
  /** 6 digits. */
  readonly classCode?: string;
  readonly driver?: string;
  readonly iommuGroup?: number;
  readonly numaNode?: number;
  readonly totalVirtualFunctions?: number;
  readonly physicalFunction?: string;
  readonly isBridge?: boolean;
  readonly acpiIndex?: number;
  readonly interfaces?: readonly string[];
  /** Makes the interfaces lie under `virtioN/net` as for a virtio NIC. */
  readonly virtio?: string;
  readonly vfioDevice?: string;
  /** Config space; default: the 256 bytes of a device without extended capabilities. */
  readonly config?: Uint8Array;
}

/** A tree being built, and changed. */
export interface HostTree {
  readonly sink: TreeSink;
  addFunction(spec: FunctionSpec): void;
  /** Binds to a driver, or to none. */
  setDriver(address: string, driver: string | null): void;
  setVfioDevice(address: string, name: string | null): void;
  addInterface(address: string, name: string, below?: string): void;
  /** An NVMe controller with one namespace; `multipath` puts the disk under the virtual subsystem as the kernel does. */
  addNvme(address: string, controller: string, serial: string, multipath?: boolean): void;
  /** A SCSI disk with a unit serial number page, or none. */
  addScsiDisk(address: string, name: string, serial: string | null): void;
  addVirtioDisk(address: string, virtio: string, name: string): void;
  addSlot(name: string, addressWithoutFunction: string): void;
  addPlatformDevice(name: string, modalias: string, iommuGroup?: number): void;
  setReservedRegions(group: number, text: string): void;
  /** Unplugs it. */
  removeFunction(address: string): void;
  /** The directory of a device under /sys/devices. */
  directoryOf(address: string): string;
}

/** A sink that writes below a real directory. */
export function directorySink(root: string): TreeSink {
  const parents = new Set<string>();
  const prepare = (path: string) => {
    const parent = dirname(path);
    if (!parents.has(parent)) mkdirSync(parent, { recursive: true });
    parents.add(parent);
  };
  return {
    file: (path, content) => (prepare(root + path), writeFileSync(root + path, content)),
    directory: (path) => void mkdirSync(root + path, { recursive: true }),
    link(path, target) {
      prepare(root + path);
      rmSync(root + path, { force: true });
      symlinkSync(target, root + path);
    },
    remove(path) {
      parents.clear();
      try {
        unlinkSync(root + path);
      } catch {
        rmSync(root + path, { recursive: true, force: true });
      }
    },
  };
}

/** A sink that writes into a file tree in memory. */
export function memorySink(files: MemoryFiles): TreeSink {
  return {
    file: (path, content) => files.put(path, { file: content }),
    directory: (path) => files.exists(path) || files.put(path, { directory: {} }),
    link: (path, target) => files.put(path, { link: target }),
    remove: (path) => files.drop(path),
  };
}

/** A new empty directory to write into, in memory-backed storage where there is such; `remove` deletes it. */
export function temporaryRoot(parent = tmpdir()): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(parent, 'host-tree-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Starts a tree with what every host has. */
export function createHostTree(sink: TreeSink): HostTree {
  const directories = new Map<string, { readonly bus: string; readonly path: string; readonly group: number | null }>();
  const virtualFunctions = new Map<string, number>();
  sink.directory('/sys/bus/pci/devices');
  sink.directory('/sys/bus/platform/devices');
  sink.directory('/sys/kernel/iommu_groups');
  sink.file('/proc/sys/kernel/osrelease', '6.12.0-test\n');
  sink.file('/proc/sys/kernel/random/boot_id', '0b6cbd5e-6ed8-4d94-8f19-6f2b1fbd1a10\n');

  const link = (path: string, target: string) => sink.link(path, posix.relative(dirname(path), target));
  const placeOf = (address: string) => {
    const place = directories.get(address);
    if (place === undefined) throw new Error(`no device ${address} in this tree`);
    return place;
  };
  const join = (address: string, directory: string, group: number | null) => {
    if (group === null) return;
    const groupDirectory = `/sys/kernel/iommu_groups/${group}`;
    link(`${groupDirectory}/devices/${address}`, directory);
    link(`${directory}/iommu_group`, groupDirectory);
    sink.file(`${groupDirectory}/reserved_regions`, '0x00000000fee00000 0x00000000feefffff msi\n');
  };

  const tree: HostTree = {
    sink,
    addFunction(spec) {
      const parent = spec.behind === undefined ? rootOf(spec.address) : placeOf(spec.behind).path;
      const path = `${parent}/${spec.address}`;
      const { iommuGroup = null, totalVirtualFunctions = 0, physicalFunction } = spec;
      directories.set(spec.address, { bus: 'pci', path, group: iommuGroup });
      for (const [name, text] of Object.entries(pciAttributes(spec))) sink.file(`${path}/${name}`, text);
      if (totalVirtualFunctions > 0) sink.file(`${path}/sriov_totalvfs`, `${totalVirtualFunctions}\n`);
      sink.file(`${path}/config`, spec.config ?? new Uint8Array(256));
      if (physicalFunction !== undefined) {
        const pf = placeOf(physicalFunction).path;
        const index = virtualFunctions.get(physicalFunction) ?? 0;
        virtualFunctions.set(physicalFunction, index + 1);
        link(`${path}/physfn`, pf);
        link(`${pf}/virtfn${index}`, path);
      }
      link(`/sys/bus/pci/devices/${spec.address}`, path);
      join(spec.address, path, iommuGroup);
      if (spec.driver !== undefined) tree.setDriver(spec.address, spec.driver);
      if (spec.vfioDevice !== undefined) tree.setVfioDevice(spec.address, spec.vfioDevice);
      for (const name of spec.interfaces ?? []) tree.addInterface(spec.address, name, spec.virtio);
    },
    setDriver(address, driver) {
      const { bus, path } = placeOf(address);
      sink.remove(`${path}/driver`);
      if (driver === null) return;
      sink.directory(`/sys/bus/${bus}/drivers/${driver}`);
      link(`${path}/driver`, `/sys/bus/${bus}/drivers/${driver}`);
    },
    setVfioDevice(address, name) {
      const { path } = placeOf(address);
      sink.remove(`${path}/vfio-dev`);
      if (name !== null) sink.directory(`${path}/vfio-dev/${name}`);
    },
    addInterface(address, name, below) {
      const path = `${placeOf(address).path}/${below === undefined ? '' : `${below}/`}net/${name}`;
      sink.directory(path);
      link(`/sys/class/net/${name}`, path);
    },
    addNvme(address, controller, serial, multipath = false) {
      const path = `${placeOf(address).path}/nvme/${controller}`;
      sink.file(`${path}/serial`, `${serial.padEnd(20)}\n`);
      link(`/sys/class/nvme/${controller}`, path);
      const subsystem = `/sys/devices/virtual/nvme-subsystem/nvme-subsys${controller.slice(4)}`;
      const disk = multipath ? `${subsystem}/${controller}n1` : `${path}/${controller}n1`;
      sink.directory(disk);
      link(`/sys/block/${controller}n1`, disk);
      if (multipath) link(`${subsystem}/${controller}`, path);
    },
    addScsiDisk(address, name, serial) {
      const scsi = `${placeOf(address).path}/host0/target0:0:0/0:0:0:0`;
      if (serial !== null) sink.file(`${scsi}/vpd_pg80`, unitSerialPage(serial));
      sink.directory(`${scsi}/block/${name}`);
      link(`${scsi}/block/${name}/device`, scsi);
      link(`/sys/block/${name}`, `${scsi}/block/${name}`);
    },
    addVirtioDisk(address, virtio, name) {
      const device = `${placeOf(address).path}/${virtio}`;
      sink.file(`${device}/block/${name}/serial`, 'asked-of-the-device\n');
      link(`${device}/block/${name}/device`, device);
      link(`/sys/block/${name}`, `${device}/block/${name}`);
    },
    addSlot: (name, address) => sink.file(`/sys/bus/pci/slots/${name}/address`, `${address}\n`),
    addPlatformDevice(name, modalias, iommuGroup) {
      const path = `/sys/devices/platform/${name}`;
      directories.set(name, { bus: 'platform', path, group: iommuGroup ?? null });
      sink.file(`${path}/modalias`, `${modalias}\n`);
      link(`/sys/bus/platform/devices/${name}`, path);
      join(name, path, iommuGroup ?? null);
    },
    setReservedRegions: (group, text) => sink.file(`/sys/kernel/iommu_groups/${group}/reserved_regions`, text),
    removeFunction(address) {
      const { path, group } = placeOf(address);
      sink.remove(`/sys/bus/pci/devices/${address}`);
      if (group !== null) sink.remove(`/sys/kernel/iommu_groups/${group}/devices/${address}`);
      sink.remove(path);
      directories.delete(address);
    },
    directoryOf: (address) => placeOf(address).path,
  };
  return tree;
}

/** An extended config space whose capability chain ends in this serial number, given as 16 hexadecimal digits. */
export function configWithSerialNumber(serial: string): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  // Advanced error reporting first, then the serial number: the chain has to be followed.
  view.setUint32(0x100, 0x0001 | (1 << 16) | (0x140 << 20), true);
  view.setUint32(0x140, 0x0003 | (1 << 16), true);
  view.setUint32(0x144, Number.parseInt(serial.slice(8), 16), true);
  view.setUint32(0x148, Number.parseInt(serial.slice(0, 8), 16), true);
  return bytes;
}

function pciAttributes(spec: FunctionSpec): Record<string, string> {
  const vendor = spec.vendor ?? '8086';
  const device = spec.device ?? '10d3';
  const subsystemVendor = spec.subsystemVendor ?? '8086';
  const subsystemDevice = spec.subsystemDevice ?? '0000';
  const classCode = spec.classCode ?? '020000';
  const wide = (id: string) => id.toUpperCase().padStart(8, '0');
  const [bc, sc, pi] = [classCode.slice(0, 2), classCode.slice(2, 4), classCode.slice(4, 6)].map((part) =>
    part.toUpperCase(),
  );
  return {
    vendor: `0x${vendor}\n`,
    device: `0x${device}\n`,
    subsystem_vendor: `0x${subsystemVendor}\n`,
    subsystem_device: `0x${subsystemDevice}\n`,
    class: `0x${classCode}\n`,
    modalias: `pci:v${wide(vendor)}d${wide(device)}sv${wide(subsystemVendor)}sd${wide(subsystemDevice)}bc${bc}sc${sc}i${pi}\n`,
    numa_node: `${spec.numaNode ?? -1}\n`,
    driver_override: '(null)\n',
    uevent: '',
    ...(spec.isBridge === true ? { secondary_bus_number: '1\n' } : {}),
    ...(spec.acpiIndex === undefined ? {} : { acpi_index: `${spec.acpiIndex}\n` }),
  };
}

function unitSerialPage(serial: string): Uint8Array {
  return new Uint8Array([0, 0x80, 0, serial.length, ...new TextEncoder().encode(serial)]);
}

function rootOf(address: string): string {
  return `/sys/devices/pci${address.slice(0, 7)}`;
}
