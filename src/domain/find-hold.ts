// Whether a group must wait: while any member has a holder, or a kernel call on one has not returned, nothing is written to any.
import type { HoldCode } from './codes.ts';
import { compareAddresses, type Device } from './device.ts';
import type { LedgerState } from './ledger.ts';
import { isOnVfio } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';

/** Why a group waits. */
export interface Hold {
  readonly code: HoldCode;
  readonly message: string;
}

const order: readonly HoldCode[] = ['HeldByPod', 'HeldByProcess', 'RecentlyAllocated'];

/**
 * The hold on a set of devices that a write is wanted for, or null. Kubelet knows a group by the id it was offered under, which may be
 * the address of a member that is gone by now. Unreadable PodResources count as use of what is on VFIO.
 */
export function findHold(
  members: readonly Device[],
  input: Pick<PlanInput, 'inUse' | 'catalog' | 'ledger'>,
): Hold | null {
  const addresses = new Set(
    members.flatMap(({ address }) => [address, input.ledger.entries.get(address)?.deviceId ?? address]),
  );
  const [holder] = input.inUse.holders
    .filter((entry) => addresses.has(entry.address))
    .sort(
      (a, b) =>
        order.indexOf(a.code) - order.indexOf(b.code) ||
        compareAddresses(a.address, b.address) ||
        compareAddresses(a.who, b.who),
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

/** A device on which something has not ended. */
export interface Blocked {
  readonly address: string;
  readonly code: 'Stuck' | 'Quarantined';
  readonly detail: string;
}

const blockingStates: readonly LedgerState[] = ['Stuck', 'InTransaction', 'Quarantined'];

/**
 * A member that is stuck or quarantined holds all the others with that code, and a PF that is being given VFs, or loses them, holds
 * its VFs. Of several the stuck one, since it says which call has not returned.
 */
export function findBlocked(members: readonly Device[], input: PlanInput): Blocked | null {
  const { ledger, inventory } = input;
  const addresses = new Set(members.map((device) => device.address));
  const parents = members.flatMap(({ physicalFunction }) =>
    physicalFunction !== null && ledger.entries.get(physicalFunction)?.role === 'PhysicalFunction'
      ? [physicalFunction]
      : [],
  );
  const entries = [...addresses, ...parents]
    .flatMap((address) => ledger.entries.get(address) ?? [])
    .filter((entry) => entry.bootId === inventory.kernel.bootId);
  for (const state of blockingStates)
    for (const entry of entries)
      if (entry.state === state)
        return state === 'Quarantined'
          ? { address: entry.address, code: state, detail: entry.detail ?? 'it could not be put back' }
          : { address: entry.address, code: 'Stuck', detail: entry.detail ?? 'a transaction on it has not ended' };
  return null;
}
