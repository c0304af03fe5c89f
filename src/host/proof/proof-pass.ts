// What every proof of one pass works with: the host's files, the devices that matter, the notebook. And the two questions that all
// of them ask: which of those devices does a sysfs path lead through, and can a device have anything beneath it at all.
import type { Device, Inventory } from '../../domain/device.ts';
import type { Files } from '../../runtime/ports.ts';
import type { HostPaths } from '../host-paths.ts';
import { createEvidence, type Evidence } from './evidence.ts';
import { createProofNotes, type ProofNotes } from './proof-notes.ts';

/** One pass. */
export interface ProofPass {
  readonly paths: HostPaths;
  readonly evidence: Evidence;
  readonly inventory: Inventory;
  /** The devices of interest and the members of their IOMMU groups, sorted by address. */
  readonly wanted: ReadonlyMap<string, Device>;
  readonly notes: ProofNotes;
  /** Gives other work of the process a turn; called between processes. */
  readonly pause: () => Promise<void>;
}

/** Starts a pass over the devices of interest and the members of their groups. */
export function createProofPass(
  files: Files,
  paths: HostPaths,
  inventory: Inventory,
  interest: ReadonlySet<string>,
  pause: () => Promise<void>,
): ProofPass {
  const addresses = new Set<string>();
  for (const address of interest) {
    addresses.add(address);
    const group = inventory.devices.get(address)?.iommuGroup ?? null;
    if (group === null) continue;
    for (const member of inventory.groups.get(group)?.members ?? []) addresses.add(member);
  }
  const wanted = new Map<string, Device>();
  for (const address of [...addresses].sort()) {
    const device = inventory.devices.get(address);
    if (device !== undefined) wanted.set(address, device);
  }
  return { paths, evidence: createEvidence(files), inventory, wanted, notes: createProofNotes(), pause };
}

/**
 * The wanted devices that a resolved sysfs path leads through: the device itself and whatever lies above it (a USB controller above
 * a disk, a bridge, a VMD controller). The bus does not matter: every directory of a device carries its address.
 */
export function wantedIn(pass: ProofPass, realPath: string): readonly string[] {
  return realPath.split('/').filter((component) => pass.wanted.has(component));
}

/**
 * The wanted devices whose user is somebody who uses what lies at a resolved sysfs path: the device itself and, as with a VMD
 * controller, devices above that make it; not the bridges on the way, which serve everything behind them.
 */
export function usedIn(pass: ProofPass, realPath: string): readonly string[] {
  return wantedIn(pass, realPath).filter((address) => pass.wanted.get(address)?.isBridge === false);
}

/** The device of the inventory that a resolved sysfs path belongs to, when it is wanted. */
export function ownerIn(pass: ProofPass, realPath: string): readonly string[] {
  const owner = realPath.split('/').findLast((component) => pass.inventory.devices.has(component));
  return owner !== undefined && pass.wanted.has(owner) ? [owner] : [];
}

/** Addresses of the wanted devices for which `test` holds. */
export function wantedWhere(pass: ProofPass, test: (device: Device) => boolean): readonly string[] {
  return [...pass.wanted.values()].filter(test).map((device) => device.address);
}

/**
 * No host driver works on it: none is bound, or a VFIO driver, or pci-stub, which never makes devices beneath. Then nothing of the
 * host can use it but through VFIO. A bridge always has devices beneath. Before 6.1 there is no `vfio-dev/`, and the name is all
 * there is; every VFIO driver of the kernel carries `vfio` in it.
 */
export function isInert(device: Device): boolean {
  if (device.isBridge) return false;
  return device.driver === null || device.driver === 'pci-stub' || isOnVfio(device);
}

/** Whether a VFIO driver is bound. */
export function isOnVfio(device: Device): boolean {
  return device.driver !== null && (device.vfioDevice !== null || device.driver.includes('vfio'));
}
