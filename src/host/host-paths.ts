// Where a host's files lie: the only place in the program that spells them. A host is the live machine itself, the live machine
// mounted elsewhere (in a container), or a dead copy of another one, which is only ever read.
import type { Bus } from '../domain/device.ts';

/**
 * `live`: this machine, root `/`. `mounted`: this machine, its root (or just /sys, /proc, /dev and so on) mounted under another
 * directory. `copy`: files of another host; nothing is written, and evidence that is missing is unknown rather than alarming.
 */
export type HostKind = 'live' | 'mounted' | 'copy';

/** Paths on one host. All are absolute or relative exactly as the root was given. */
export interface HostPaths {
  readonly kind: HostKind;
  /** The host's root without a trailing slash; empty for `/`. */
  readonly root: string;
  /** Where an absolute path that a file of the host mentions (a mount source, a swap file) lies for us. */
  at(absolute: string): string;

  readonly sys: string;
  /** /sys/bus: one directory per bus the kernel knows. */
  readonly buses: string;
  /** /sys/bus/BUS; holds `devices`, `drivers`, `drivers_probe`, `drivers_autoprobe`. */
  bus(bus: Bus): string;
  /** /sys/bus/BUS/devices */
  busDevices(bus: Bus): string;
  /** /sys/bus/BUS/devices/ADDRESS, a link into /sys/devices. */
  device(bus: Bus, address: string): string;
  /** /sys/bus/BUS/drivers/DRIVER; holds `bind`, `unbind`, `module`. */
  driver(bus: Bus, driver: string): string;
  /** /sys/bus/BUS/drivers_probe */
  driversProbe(bus: Bus): string;
  /** /sys/bus/pci/slots; each entry's `address` is a PCI address without function. */
  readonly pciSlots: string;
  /** /sys/kernel/iommu_groups */
  readonly iommuGroups: string;
  /** /sys/kernel/iommu_groups/N; holds `devices`, `reserved_regions`, `name`, `type`. */
  iommuGroup(group: number | string): string;
  /** /sys/module */
  readonly modules: string;
  /** /sys/module/MODULE; holds `drivers`, `holders`, `refcnt`, `parameters`. */
  module(module: string): string;
  /** Y where the vfio module hands out devices without an IOMMU. */
  readonly noIommuMode: string;
  /** Y where VFIO accepts an IOMMU that does not remap interrupts. */
  readonly unsafeInterrupts: string;
  /** /sys/class/NAME */
  sysClass(name: string): string;
  /** /sys/block */
  readonly block: string;
  /** /sys/dev/block; its entries `MAJOR:MINOR` are links into /sys/devices. */
  readonly blockNumbers: string;

  readonly proc: string;
  /** /proc/PID */
  process(pid: number | string): string;
  /** /proc/1: the host's init, through whose mounts and network namespace the host's own view is read. */
  readonly init: string;
  /** /proc/1/mountinfo */
  readonly mounts: string;
  /** /proc/1/net/NAME: the host's network namespace, e.g. `route`, `ipv6_route`, `bonding`. */
  hostNet(name: string): string;
  readonly swaps: string;
  readonly iomem: string;
  /** /proc/interrupts: a line per interrupt, with the name of the chip that delivers it. */
  readonly interrupts: string;
  readonly kernelCommandLine: string;
  /** /proc/sys/kernel/osrelease: `uname -r`. */
  readonly kernelRelease: string;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;

  readonly dev: string;
  /** /dev/vfio */
  readonly vfio: string;
  /** /dev/vfio/vfio, the container node. */
  readonly vfioContainer: string;
  /** /dev/vfio/N */
  vfioGroup(group: number): string;
  /** /dev/vfio/devices */
  readonly vfioCdevs: string;
  /** /dev/vfio/devices/NAME, e.g. `vfio3`. */
  vfioCdev(name: string): string;
  /** /dev/iommu */
  readonly iommufd: string;

  /** /run/udev/data */
  readonly udevData: string;
  /** udev's record of a block device: /run/udev/data/bMAJOR:MINOR. */
  udevBlock(majorMinor: string): string;

  /** Directories that hold a folder per kernel release, in order of trust; on usr-merged hosts both are the same. */
  readonly moduleTrees: readonly string[];
  /** modprobe.d directories in kmod's order: of two files of one name the one in the earlier directory counts. */
  readonly modprobeDirectories: readonly string[];
}

/** The paths of the host whose root is `root` (`/` for this machine). */
export function hostPaths(root = '/', kind: HostKind = root === '/' ? 'live' : 'mounted'): HostPaths {
  const base = root.replace(/\/+$/, '');
  const sys = `${base}/sys`;
  const proc = `${base}/proc`;
  const dev = `${base}/dev`;
  const bus = (name: Bus) => `${sys}/bus/${name}`;
  const init = `${proc}/1`;
  return {
    kind,
    root: base,
    at: (absolute) => `${base}${absolute}`,
    sys,
    buses: `${sys}/bus`,
    bus,
    busDevices: (name) => `${bus(name)}/devices`,
    device: (name, address) => `${bus(name)}/devices/${address}`,
    driver: (name, driver) => `${bus(name)}/drivers/${driver}`,
    driversProbe: (name) => `${bus(name)}/drivers_probe`,
    pciSlots: `${sys}/bus/pci/slots`,
    iommuGroups: `${sys}/kernel/iommu_groups`,
    iommuGroup: (group) => `${sys}/kernel/iommu_groups/${group}`,
    modules: `${sys}/module`,
    module: (module) => `${sys}/module/${module}`,
    unsafeInterrupts: `${sys}/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts`,
    noIommuMode: `${sys}/module/vfio/parameters/enable_unsafe_noiommu_mode`,
    sysClass: (name) => `${sys}/class/${name}`,
    block: `${sys}/block`,
    blockNumbers: `${sys}/dev/block`,
    proc,
    process: (pid) => `${proc}/${pid}`,
    init,
    mounts: `${init}/mountinfo`,
    hostNet: (name) => `${init}/net/${name}`,
    swaps: `${proc}/swaps`,
    iomem: `${proc}/iomem`,
    interrupts: `${proc}/interrupts`,
    kernelCommandLine: `${proc}/cmdline`,
    kernelRelease: `${proc}/sys/kernel/osrelease`,
    bootId: `${proc}/sys/kernel/random/boot_id`,
    dev,
    vfio: `${dev}/vfio`,
    vfioContainer: `${dev}/vfio/vfio`,
    vfioGroup: (group) => `${dev}/vfio/${group}`,
    vfioCdevs: `${dev}/vfio/devices`,
    vfioCdev: (name) => `${dev}/vfio/devices/${name}`,
    iommufd: `${dev}/iommu`,
    udevData: `${base}/run/udev/data`,
    udevBlock: (majorMinor) => `${base}/run/udev/data/b${majorMinor}`,
    moduleTrees: [`${base}/lib/modules`, `${base}/usr/lib/modules`],
    modprobeDirectories: ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'].map(
      (parent) => `${base}${parent}/modprobe.d`,
    ),
  };
}
