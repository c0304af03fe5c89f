// Puts a device together from what was found about it, about its PF or VFs, and about what hangs below it.
import { compareAddresses, type Device } from '../domain/device.ts';
import type { BusDescription, Identity } from './buses.ts';
import type { Children } from './scan-children.ts';
import type { ScanView } from './scan-view.ts';

/** A device as found on its bus. */
export interface FoundDevice {
  readonly description: BusDescription;
  /** Its directory in sysfs. */
  readonly directory: string;
  readonly identity: Identity;
  readonly serialNumber: string | null;
  readonly driver: string | null;
  readonly iommuGroup: number | null;
}

/** Everything a scan has seen; maps are keyed by address. */
export interface Findings {
  readonly found: ReadonlyMap<string, FoundDevice>;
  readonly children: Children;
  /** Slot names by PCI address without function. */
  readonly slots: ReadonlyMap<string, string>;
}

/** The devices, by address, in the order found. Reads the `virtfn` and `vfio-dev` entries, which change too often to remember. */
export async function assembleDevices(
  view: ScanView,
  { found, children, slots }: Findings,
): Promise<Map<string, Device>> {
  const virtualFunctions = await readVirtualFunctions(view, found);
  const parents = new Map<string, string>();
  for (const [parent, names] of virtualFunctions) for (const name of names) parents.set(name, parent);
  const slotOf = (address: string | null) => slots.get(withoutFunction(address ?? '')) ?? null;
  const devices = new Map<string, Device>();
  for (const [address, { description, directory, identity, serialNumber, driver, iommuGroup }] of found) {
    await view.pause();
    const physicalFunction = parents.get(address) ?? identity.physicalFunction;
    devices.set(address, {
      bus: description.bus,
      address,
      ...identity,
      driver,
      iommuGroup,
      physicalFunction,
      virtualFunctions: virtualFunctions.get(address) ?? [],
      serialNumber,
      diskSerial: children.diskSerials.get(address) ?? null,
      // With ARI a VF's device number is not that of the card's slot.
      slot: slotOf(address) ?? slotOf(physicalFunction),
      interfaces: children.interfaces.get(address) ?? [],
      vfioDevice: driver === null ? null : (view.structure.listNames(`${directory}/vfio-dev`)?.[0] ?? null),
      guarded: null,
    });
  }
  return devices;
}

// The kernel makes a VF's directory first, then the PF's `virtfnN` and last the VF's `physfn` link, and takes `virtfnN` away in
// ascending order while the VFs are still there (pci_iov_add_virtfn, sriov_del_vfs): only both directions together see every VF.
async function readVirtualFunctions(
  { structure, pause }: ScanView,
  found: ReadonlyMap<string, FoundDevice>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const byParent = new Map<string, string[]>();
  for (const [address, { description, directory, identity }] of found) {
    const names: string[] = [];
    for (let index = 0; index < identity.totalVirtualFunctions; index += 1) {
      await pause();
      const name = structure.readLinkName(`${directory}/${description.sriov?.virtualFunction}${index}`);
      if (name === null) break;
      if (found.has(name)) names.push(name);
    }
    if (names.length > 0) byParent.set(address, names);
  }
  const linked = new Set([...byParent.values()].flat());
  for (const address of [...found.keys()].sort(compareAddresses)) {
    const parent = found.get(address)?.identity.physicalFunction ?? null;
    if (parent === null || linked.has(address) || !found.has(parent)) continue;
    byParent.set(parent, [...(byParent.get(parent) ?? []), address]);
  }
  return byParent;
}

function withoutFunction(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf('.')));
}
