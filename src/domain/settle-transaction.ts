// What the ledger says once a transaction has ended as planned: which entries it writes, and which it drops.
import type { LedgerEntry, VirtualFunctionRecord } from './ledger.ts';
import type { Step, Transaction, TransactionMember } from './step.ts';

/** Entries to write (in place of those at the same address) and addresses to forget. */
export interface LedgerChange {
  readonly set: readonly LedgerEntry[];
  readonly drop: readonly string[];
}

/**
 * The change that a completed transaction makes. `steps` are its steps with the drivers' names resolved; `before` the entries its
 * members had.
 */
export function settleTransaction(
  transaction: Transaction,
  steps: readonly Step[],
  bootId: string,
  before: ReadonlyMap<string, LedgerEntry>,
): LedgerChange {
  switch (transaction.kind) {
    case 'Release':
    case 'RemoveVirtualFunctions':
      return toRelease(transaction, before);
    case 'Bind':
    case 'ChangeDriver':
    case 'CreateVirtualFunctions':
      return {
        set: transaction.members.map((member) =>
          toEntry(member, transaction, steps, bootId, before.get(member.identity.address) ?? null),
        ),
        drop: [],
      };
  }
}

// A member that is released without a step under `onDelete: Retain` stays bound: its entry stays, so that we know it for ours no longer.
// Removing VFs is one step for all of them.
function toRelease(transaction: Transaction, before: ReadonlyMap<string, LedgerEntry>): LedgerChange {
  const { kind, steps, members } = transaction;
  const isTouched = (address: string): boolean =>
    kind === 'RemoveVirtualFunctions'
      ? steps.length > 0
      : steps.some((step) => 'address' in step && step.address === address);
  const retained = new Set(
    members.flatMap(({ onDelete, identity: { address } }) =>
      onDelete === 'Retain' && !isTouched(address) ? [address] : [],
    ),
  );
  const addresses = transaction.members.map((member) => member.identity.address);
  return {
    set: [...retained].flatMap((address) => before.get(address) ?? []).map((entry) => ({ ...entry, retained: true })),
    drop: addresses.filter((address) => !retained.has(address)),
  };
}

function toEntry(
  member: TransactionMember,
  { kind }: Transaction,
  steps: readonly Step[],
  bootId: string,
  before: LedgerEntry | null,
): LedgerEntry {
  const { address, modalias } = member.identity;
  const target = steps.findLast((step) => step.kind === 'Bind' && step.address === address);
  return {
    address,
    bus: member.bus,
    modalias,
    diskSerial: member.diskSerial ?? (sameDevice(member, bootId, before) ? before.diskSerial : null),
    bootId,
    ...toOrigin(member, kind, bootId, before),
    ...toDriver(member, target, before),
    role: member.role,
    policy: member.policy,
    policyUid: member.policyUid,
    onDelete: member.onDelete,
    resource: member.resource,
    deviceId: member.deviceId,
    adopted: member.adopted,
    retained: false,
    virtualFunctions:
      toVirtualFunctions(address, steps) ?? (sameDevice(member, bootId, before) ? before.virtualFunctions : null),
    state: 'Taken',
    detail: null,
  };
}

/**
 * What a release shall restore. A device that we hold already (a driver change, also from a VFIO driver that somebody else has put it
 * on since; a bind again after somebody unbound it by hand) keeps the origin it had when we took it; one that has a host driver again by now has been given back behind our back, and what
 * it has now is its origin.
 */
function toOrigin(
  member: TransactionMember,
  kind: Transaction['kind'],
  bootId: string,
  before: LedgerEntry | null,
): Pick<LedgerEntry, 'originalDriver' | 'originalOverride'> {
  const { driver } = member.identity;
  if (sameDevice(member, bootId, before) && (kind === 'ChangeDriver' || driver === null || driver === before.driver)) {
    return { originalDriver: before.originalDriver, originalOverride: before.originalOverride };
  }
  return {
    originalDriver: member.adopted ? null : driver,
    originalOverride: member.adopted ? null : member.override,
  };
}

/** The driver it has afterwards; without a bind (adopted, or only handed to another policy) the one it has already. */
function toDriver(
  member: TransactionMember,
  bind: Step | undefined,
  before: LedgerEntry | null,
): Pick<LedgerEntry, 'driver' | 'module'> {
  if (bind?.kind === 'Bind') return { driver: bind.driver.name, module: bind.driver.module };
  if (member.role === 'PhysicalFunction') return { driver: null, module: null };
  return { driver: member.identity.driver, module: before?.module ?? null };
}

function sameDevice(member: TransactionMember, bootId: string, before: LedgerEntry | null): before is LedgerEntry {
  return before !== null && before.bootId === bootId && before.modalias === member.identity.modalias;
}

function toVirtualFunctions(address: string, steps: readonly Step[]): VirtualFunctionRecord | null {
  const made = steps.find((step) => step.kind === 'SetVirtualFunctions' && step.address === address);
  if (made?.kind !== 'SetVirtualFunctions') return null;
  const autoprobe = steps.find((step) => step.kind === 'SetAutoprobe' && step.address === address);
  return {
    previousCount: made.previous,
    count: made.count,
    autoprobe: autoprobe?.kind === 'SetAutoprobe' ? autoprobe.previous : null,
  };
}
