// Whether a group must wait: while any member has a holder, or a kernel call on one has not returned, nothing is written to any.
import type { HoldCode } from './codes.ts';
import type { Device } from './device.ts';
import { isOnVfio } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';

/** Why a group waits. */
export interface Hold {
  readonly code: HoldCode;
  readonly message: string;
}

const order: readonly HoldCode[] = ['HeldByPod', 'HeldByProcess', 'RecentlyAllocated'];

/** The hold on a set of devices that a write is wanted for, or null. Unreadable PodResources count as use of what is on VFIO. */
export function findHold(members: readonly Device[], input: Pick<PlanInput, 'inUse' | 'catalog'>): Hold | null {
  const addresses = new Set(members.map((device) => device.address));
  const [holder] = input.inUse.holders
    .filter((entry) => addresses.has(entry.address))
    .sort(
      (a, b) =>
        order.indexOf(a.code) - order.indexOf(b.code) || (a.address < b.address ? -1 : 1) || (a.who < b.who ? -1 : 1),
    );
  if (holder !== undefined) return { code: holder.code, message: `${holder.address} is in use: ${holder.who}` };
  if (input.inUse.unreadable === null) return null;
  const bound = members.find((device) => isOnVfio(input.catalog, device));
  return bound === undefined
    ? null
    : {
        code: 'PodResourcesUnreadable',
        message: `${bound.address} is on VFIO, and whether a pod holds it cannot be read: ${input.inUse.unreadable}`,
      };
}

/** A member that is stuck or quarantined holds all the others with that code. */
export function findBlocked(
  members: readonly Device[],
  input: PlanInput,
): { readonly address: string; readonly code: 'Stuck' | 'Quarantined'; readonly detail: string } | null {
  for (const device of members) {
    const entry = input.ledger.entries.get(device.address);
    if (entry === undefined || entry.bootId !== input.inventory.kernel.bootId) continue;
    if (entry.state === 'Stuck' || entry.state === 'InTransaction')
      return { address: device.address, code: 'Stuck', detail: entry.detail ?? 'a transaction on it has not ended' };
    if (entry.state === 'Quarantined')
      return { address: device.address, code: 'Quarantined', detail: entry.detail ?? 'it could not be put back' };
  }
  return null;
}
