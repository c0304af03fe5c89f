// Which ledger record speaks for a device: only one of this boot and of the same identity. Records of another boot, or of another
// device at the same address, are never acted on, but for the reservation of frozen policies and the StorageHasData exemption.
import type { Device, Inventory } from './device.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import type { ModuleCatalog } from './driver-choice.ts';
import type { Policy } from './policy.ts';

/** The record that makes `device` ours now, or null. */
export function ownEntry(ledger: Ledger, inventory: Inventory, device: Device): LedgerEntry | null {
  const entry = ledger.entries.get(device.address);
  if (entry === undefined || entry.modalias !== device.modalias || entry.bus !== device.bus) return null;
  return entry.bootId === inventory.kernel.bootId ? entry : null;
}

/** The record of the same device from any boot, or null. */
export function anyBootEntry(ledger: Ledger, device: Device): LedgerEntry | null {
  const entry = ledger.entries.get(device.address);
  return entry !== undefined && entry.modalias === device.modalias && entry.bus === device.bus ? entry : null;
}

/**
 * True when the disk's data is known to be a guest's, not the host's: the ledger has a device of equal disk serial and identity,
 * from this boot or an earlier one. Without a serial there is no exemption.
 */
export function isOurDisk(ledger: Ledger, device: Device): boolean {
  if (device.diskSerial === null) return false;
  for (const entry of ledger.entries.values())
    if (entry.diskSerial === device.diskSerial && entry.modalias === device.modalias) return true;
  return false;
}

/** True when the device is on a VFIO driver now, whoever put it there. */
export function isOnVfio(catalog: ModuleCatalog, device: Device): boolean {
  if (device.driver === null) return false;
  if (device.vfioDevice !== null) return true;
  const module = catalog.moduleOfDriver.get(`${device.bus}:${device.driver}`);
  return module !== undefined && catalog.modules.get(module)?.isVfio === true;
}

/** True for a device of ours that is on VFIO and not left there for good (`onDelete: Retain`). */
export function isHeldOnVfio(
  device: Device,
  input: { readonly ledger: Ledger; readonly inventory: Inventory; readonly catalog: ModuleCatalog },
): boolean {
  const own = ownEntry(input.ledger, input.inventory, device);
  return own !== null && !own.retained && isOnVfio(input.catalog, device);
}

/** True when the record was made for this very policy: a policy deleted and made again under its name is another one. */
export function isTakenFor(entry: LedgerEntry, policy: Policy): boolean {
  return entry.policy === policy.name && entry.policyUid === policy.uid;
}

/** The policies that compete: those in Enforce, and those in DryRun that still have devices of this boot, frozen and advertised. */
export function policiesInForce(policies: readonly Policy[], ledger: Ledger, inventory: Inventory): readonly Policy[] {
  const taken = [...ledger.entries.values()].filter(
    (entry) => entry.bootId === inventory.kernel.bootId && !entry.retained,
  );
  return policies.filter((policy) => policy.mode === 'Enforce' || taken.some((entry) => isTakenFor(entry, policy)));
}
