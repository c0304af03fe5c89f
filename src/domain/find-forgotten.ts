// Which records of the ledger have nothing left to say: the device is gone, and no policy waits for it to come back. Until then kubelet
// is told that it is Unhealthy. Records that exempt a disk of another boot from StorageHasData are kept.
import { isTakenFor } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';

/** Addresses to drop from the ledger, sorted; none while policies or pods are not completely known. */
export function findForgotten({ inventory, ledger, policies, inUse }: PlanInput): readonly string[] {
  const { bootId } = inventory.kernel;
  if (!policies.complete || inUse.unreadable !== null || bootId === null) return [];
  const held = new Set(inUse.holders.map((holder) => holder.address));
  const forgotten = [...ledger.entries.values()].filter((entry) => {
    const { address, deviceId, modalias, state } = entry;
    if (state !== 'Taken' || policies.policies.some((policy) => isTakenFor(entry, policy))) return false;
    if (entry.bootId !== bootId) return entry.diskSerial === null;
    if (held.has(address) || (deviceId !== null && held.has(deviceId))) return false;
    return inventory.devices.get(address)?.modalias !== modalias;
  });
  return forgotten.map((entry) => entry.address).sort();
}
