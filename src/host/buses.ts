// One description per bus: where identity is read, by fixed attribute names (a function may have hundreds of entries, one link per
// VF, so its directory is never walked). A new bus is a new description here and nothing else in the scan.
import type { Bus } from '../domain/device.ts';
import type { ScanView } from './scan-view.ts';

/** What never changes as long as a device's directory in sysfs lives. Same shapes as in `Device`. */
export interface Identity {
  readonly modalias: string | null;
  readonly vendor: string | null;
  readonly device: string | null;
  readonly subsystemVendor: string | null;
  readonly subsystemDevice: string | null;
  readonly classCode: string | null;
  readonly numaNode: number | null;
  readonly physicalFunction: string | null;
  readonly totalVirtualFunctions: number;
  readonly isBridge: boolean;
  readonly acpiIndex: number | null;
}

/** Attribute names of a bus; null where it has none. */
export interface BusDescription {
  readonly bus: Bus;
  /**
   * `All`: every device of the bus. `GroupMembers`: those in an IOMMU group, or asked for by name. A platform bus has hundreds of
   * entries (clocks, LEDs, the PC speaker) that no VFIO driver could take: vfio-platform needs a group.
   */
  readonly listed: 'All' | 'GroupMembers';
  /** Whether devices carry vendor, device, subsystem and class attributes, in hexadecimal. */
  readonly hasIds: boolean;
  /**
   * SR-IOV as sysfs shows it: how many VFs there can be, whether new ones are probed, the VF's link to its PF, and the PF's links
   * `virtfn0`, `virtfn1`, ...
   */
  readonly sriov: {
    readonly total: string;
    readonly autoprobe: string;
    readonly physicalFunction: string;
    readonly virtualFunction: string;
  } | null;
  /** Present on devices with a bus behind them (header type 1 and 2): telling by it needs no read of config space. */
  readonly bridge: string | null;
  readonly acpiIndex: string | null;
  /** Whether devices have a config space, and with it a PCIe device serial number. */
  readonly hasConfigSpace: boolean;
}

/** The buses, in the order of `buses` in the domain. */
export const busDescriptions: readonly BusDescription[] = [
  {
    bus: 'pci',
    listed: 'All',
    hasIds: true,
    sriov: {
      total: 'sriov_totalvfs',
      autoprobe: 'sriov_drivers_autoprobe',
      physicalFunction: 'physfn',
      virtualFunction: 'virtfn',
    },
    bridge: 'secondary_bus_number',
    acpiIndex: 'acpi_index',
    hasConfigSpace: true,
  },
  withoutIds('platform', 'GroupMembers'),
  { ...withoutIds('cdx', 'All'), hasIds: true },
  withoutIds('fsl-mc', 'All'),
];

function withoutIds(bus: Bus, listed: BusDescription['listed']): BusDescription {
  return { bus, listed, hasIds: false, sriov: null, bridge: null, acpiIndex: null, hasConfigSpace: false };
}

/** Reads a device's identity from its directory. Values that are not numbers where numbers belong are null (or 0, or false). */
export function readIdentity({ sysfs, structure }: ScanView, description: BusDescription, directory: string): Identity {
  const read = (name: string | null) => (name === null ? null : sysfs.readAttribute(`${directory}/${name}`));
  const id = (name: string) => toHexadecimal(read(description.hasIds ? name : null), 4);
  const classCode = toHexadecimal(read(description.hasIds ? 'class' : null), 6);
  const { sriov } = description;
  return {
    modalias: read('modalias') || null,
    vendor: id('vendor'),
    device: id('device'),
    subsystemVendor: id('subsystem_vendor'),
    subsystemDevice: id('subsystem_device'),
    classCode,
    numaNode: toCount(read('numa_node')),
    physicalFunction: sriov === null ? null : structure.readLinkName(`${directory}/${sriov.physicalFunction}`),
    totalVirtualFunctions: toCount(read(sriov?.total ?? null)) ?? 0,
    isBridge: isBridgeClass(description, classCode) || read(description.bridge) !== null,
    acpiIndex: toCount(read(description.acpiIndex)),
  };
}

// The kernel (pci_setup_device) strips these classes from a device whose header type is not that of a bridge, so the class proves
// the header; the attribute finds bridges of any other class.
function isBridgeClass(description: BusDescription, classCode: string | null): boolean {
  return description.bridge !== null && classCode !== null && /^060[47]/.test(classCode);
}

/** Lower case without `0x`, padded to `digits`; null when it is no hexadecimal number or longer than that. */
function toHexadecimal(text: string | null, digits: number): string | null {
  const match = text === null ? null : /^0x([0-9a-f]+)$/i.exec(text);
  const value = match?.[1]?.toLowerCase().padStart(digits, '0');
  return value === undefined || value.length > digits ? null : value;
}

/** A decimal number of at most 9 digits; null for everything else, also for -1 (`numa_node` of a device without one). */
export function toCount(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
