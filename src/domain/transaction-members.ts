// The members of transactions: who each device is, for the preflight and the ledger.
import type { Device } from './device.ts';
import type { Draft } from './draft.ts';
import type { LedgerEntry } from './ledger.ts';
import type { Policy } from './policy.ts';
import type { Identity, TransactionMember } from './step.ts';

/** Who `device` is now. */
function identityOf(device: Device): Identity {
  return {
    address: device.address,
    modalias: device.modalias,
    driver: device.driver,
    iommuGroup: device.iommuGroup,
  };
}

/** A drafted device as member of a bind. `deviceId` is kubelet's id for it, null when it is not advertised. */
export function draftMember(draft: Draft, deviceId: string | null, adopted: boolean): TransactionMember {
  const { device, policy, role } = draft;
  return {
    identity: identityOf(device),
    bus: device.bus,
    override: device.guarded?.driverOverride ?? null,
    role,
    policy: policy.name,
    policyUid: policy.uid,
    onDelete: policy.onDelete,
    resource: deviceId === null ? null : (policy.resource?.name ?? null),
    deviceId,
    adopted,
    diskSerial: device.diskSerial,
    allow: policy.allow,
  };
}

/** A device of the ledger as member of its release; `onDelete` is the living policy's wish, else the one recorded. */
export function entryMember(device: Device, entry: LedgerEntry, onDelete: LedgerEntry['onDelete']): TransactionMember {
  return {
    identity: identityOf(device),
    bus: device.bus,
    override: device.guarded?.driverOverride ?? null,
    role: entry.role,
    policy: entry.policy,
    policyUid: entry.policyUid,
    onDelete,
    resource: entry.resource,
    deviceId: entry.deviceId,
    adopted: entry.adopted,
    diskSerial: entry.diskSerial,
    allow: [],
  };
}

/** A PF as member of the transaction that makes its VFs. */
export function physicalFunctionMember(device: Device, policy: Policy): TransactionMember {
  return {
    identity: identityOf(device),
    bus: device.bus,
    override: device.guarded?.driverOverride ?? null,
    role: 'PhysicalFunction',
    policy: policy.name,
    policyUid: policy.uid,
    onDelete: policy.onDelete,
    resource: null,
    deviceId: null,
    adopted: false,
    diskSerial: device.diskSerial,
    allow: policy.allow,
  };
}
