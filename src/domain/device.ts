// A device on a bus as the host shows it, and the inventory of all of them. Plain data, filled by the scanners, read by everything.

/** The buses we know. Each is one small description for the scanner; nothing here depends on which it is. */
export type Bus = 'pci' | 'platform' | 'cdx' | 'fsl-mc';

/** All buses, in the order they are scanned and printed. */
export const buses: readonly Bus[] = ['pci', 'platform', 'cdx', 'fsl-mc'];

/** The attributes whose read can block in the kernel; they come from the kernel worker, for devices of interest alone. */
export interface GuardedAttributes {
  /** Value of `driver_override`; null when unset (`(null)` or empty) or when the bus has no such attribute. */
  readonly driverOverride: string | null;
  /** Value of `sriov_drivers_autoprobe`; null when this is not an SR-IOV capable PF or the kernel lacks it. */
  readonly autoprobe: boolean | null;
}

/** One device. Hexadecimal ids are lower case without `0x`. */
export interface Device {
  readonly bus: Bus;
  /** The name in /sys/bus/BUS/devices: a PCI address `dddd:bb:dd.f`, or that bus's own form. Unique over all buses. */
  readonly address: string;
  /** The bus's match string as read, trimmed; null where the bus gives none. */
  readonly modalias: string | null;
  /** 4 digits (PCI and CDX), null elsewhere. */
  readonly vendor: string | null;
  readonly device: string | null;
  readonly subsystemVendor: string | null;
  readonly subsystemDevice: string | null;
  /** 6 digits: base class, subclass, programming interface. */
  readonly classCode: string | null;
  /** Basename of the `driver` link; null when unbound. */
  readonly driver: string | null;
  /** null: no group (no IOMMU, or not translated). A no-IOMMU group counts as none here. */
  readonly iommuGroup: number | null;
  /** null for -1 and for absent. */
  readonly numaNode: number | null;
  /** The PF's address when this is a VF. */
  readonly physicalFunction: string | null;
  /** Addresses of the VFs that exist now, by VF index; empty for everything else. */
  readonly virtualFunctions: readonly string[];
  /** `sriov_totalvfs`; 0 when the device cannot make any. */
  readonly totalVirtualFunctions: number;
  /** True for header type 1 or 2: it has a bus behind it. */
  readonly isBridge: boolean;
  /** PCIe device serial number as `aa-bb-cc-dd-ee-ff-00-11`, null when absent or not read. */
  readonly serialNumber: string | null;
  /** Serial of the NVMe controller or block device behind it, from sysfs, trimmed; null when there is none. */
  readonly diskSerial: string | null;
  /** `acpi_index`, null when absent. */
  readonly acpiIndex: number | null;
  /** Name of the physical slot from /sys/bus/pci/slots, null when there is none. */
  readonly slot: string | null;
  /** Network interfaces under it that our view of sysfs shows. */
  readonly interfaces: readonly string[];
  /** Name in `vfio-dev/` (e.g. `vfio3`, from kernel 6.1 on); null when not bound to VFIO or on an older kernel. */
  readonly vfioDevice: string | null;
  /** null: not read (not of interest), or not to be read because a kernel call on it is stuck. */
  readonly guarded: GuardedAttributes | null;
}

/** An IOMMU group: the unit in which devices are isolated, and so the unit of ownership. */
export interface IommuGroup {
  readonly number: number;
  /** Addresses, sorted. */
  readonly members: readonly string[];
  /** Lines of `reserved_regions` of type `direct`: firmware-mapped memory the IOMMU cannot give away. */
  readonly directRegions: readonly string[];
}

/** What the kernel as a whole offers to VFIO. */
export interface KernelFacts {
  /** `uname -r`. */
  readonly release: string;
  /** /proc/sys/kernel/random/boot_id; null for a dead copy of a host. */
  readonly bootId: string | null;
  /** At least one IOMMU group exists. */
  readonly iommu: boolean;
  /** /dev/iommu exists. */
  readonly iommufd: boolean;
  /** The vfio module's enable_unsafe_noiommu_mode is Y. */
  readonly noIommuMode: boolean;
}

/** Something that could not be read: what, and what came back. Listed for people, exit code 0. */
export interface Unread {
  readonly source: string;
  readonly why: string;
}

/** Everything the host showed in one scan. Maps are keyed by address and by group number. */
export interface Inventory {
  readonly kernel: KernelFacts;
  readonly devices: ReadonlyMap<string, Device>;
  readonly groups: ReadonlyMap<number, IommuGroup>;
  readonly unread: readonly Unread[];
}

/** Order of addresses: plain code-unit order, which for PCI addresses is numeric order. */
export function compareAddresses(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
