// A device as commands print it. Every field is there for every device; `unknown` stands for evidence that is there and could not be
// read, which is listed beside, and null for what the device does not have.
import type { AliasTable } from '../domain/alias-table.ts';
import { chooseDriver } from '../domain/choose-driver.ts';
import type { Bus, Device, Unread } from '../domain/device.ts';
import type { ModuleCatalog } from '../domain/driver-choice.ts';

/** A value that may not have been readable. */
type OrUnknown<T> = T | 'unknown';

export interface DeviceView {
  readonly address: string;
  readonly bus: Bus;
  readonly modalias: OrUnknown<string | null>;
  /** Ids in hexadecimal, as selectors of a policy want them. */
  readonly vendor: OrUnknown<string | null>;
  readonly device: OrUnknown<string | null>;
  readonly subsystemVendor: OrUnknown<string | null>;
  readonly subsystemDevice: OrUnknown<string | null>;
  /** 6 digits. */
  readonly class: OrUnknown<string | null>;
  readonly driver: OrUnknown<string | null>;
  readonly iommuGroup: OrUnknown<number | null>;
  readonly numaNode: OrUnknown<number | null>;
  /** `Physical` or `Virtual`; the PF of a VF and the VFs of a PF are beside. */
  readonly function: 'Physical' | 'Virtual';
  readonly physicalFunction: string | null;
  readonly virtualFunctions: readonly string[];
  readonly totalVirtualFunctions: OrUnknown<number>;
  readonly isBridge: boolean;
  readonly diskSerial: string | null;
  readonly acpiIndex: OrUnknown<number | null>;
  readonly slot: string | null;
  readonly interfaces: readonly string[];
  readonly vfioDevice: string | null;
  /** The module that the alias algorithm would choose; null where there is none, and for bridges, which are never taken. */
  readonly vfioModule: string | null;
}

/** Sysfs attribute (or link) of each field that may be unreadable. */
const attributes = {
  modalias: 'modalias',
  vendor: 'vendor',
  device: 'device',
  subsystemVendor: 'subsystem_vendor',
  subsystemDevice: 'subsystem_device',
  class: 'class',
  driver: 'driver',
  iommuGroup: 'iommu_group',
  numaNode: 'numa_node',
  totalVirtualFunctions: 'sriov_totalvfs',
  acpiIndex: 'acpi_index',
} as const;

/** The view of one device. `directory` is where its attributes were read, as it stands in `unread`. */
export function toDeviceView(
  device: Device,
  directory: string,
  unreadSources: ReadonlySet<string>,
  evidence: { readonly table: AliasTable; readonly catalog: ModuleCatalog },
): DeviceView {
  const known = <T>(field: keyof typeof attributes, value: T): OrUnknown<T> =>
    unreadSources.has(`${directory}/${attributes[field]}`) ? 'unknown' : value;
  return {
    address: device.address,
    bus: device.bus,
    modalias: known('modalias', device.modalias),
    vendor: known('vendor', device.vendor),
    device: known('device', device.device),
    subsystemVendor: known('subsystemVendor', device.subsystemVendor),
    subsystemDevice: known('subsystemDevice', device.subsystemDevice),
    class: known('class', device.classCode),
    driver: known('driver', device.driver),
    iommuGroup: known('iommuGroup', device.iommuGroup),
    numaNode: known('numaNode', device.numaNode),
    function: device.physicalFunction === null ? 'Physical' : 'Virtual',
    physicalFunction: device.physicalFunction,
    virtualFunctions: device.virtualFunctions,
    totalVirtualFunctions: known('totalVirtualFunctions', device.totalVirtualFunctions),
    isBridge: device.isBridge,
    diskSerial: device.diskSerial,
    acpiIndex: known('acpiIndex', device.acpiIndex),
    slot: device.slot,
    interfaces: device.interfaces,
    vfioDevice: device.vfioDevice,
    vfioModule: isBridge(device)
      ? null
      : (chooseDriver(device, evidence.table, evidence.catalog, { policyAliases: [] }).chosen?.module ?? null),
  };
}

/** The sources of unread entries, to look up attributes in. */
export function toSources(unread: readonly Unread[]): ReadonlySet<string> {
  return new Set(unread.map((entry) => entry.source));
}

function isBridge(device: Device): boolean {
  return device.isBridge || device.classCode?.startsWith('06') === true;
}
