// The preflight's judgement: whether a planned transaction may still be begun, from a fresh look at its group. Holders first, then
// everything that speaks against taking a device from the host.
import type { HoldCode, RefusalCode } from './codes.ts';
import type { Device } from './device.ts';
import { findHold } from './find-hold.ts';
import { isHeldOnVfio, isOnVfio, ownEntry } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import {
  criticalFinding,
  findingAgainst,
  type Refusal,
  type RefusalContext,
  toRefusalContext,
} from './refuse-device.ts';
import type { Transaction, TransactionMember } from './step.ts';

/** Go on, or the code with its proof. */
export type TransactionCheck =
  { readonly ok: true } | { readonly ok: false; readonly code: RefusalCode | HoldCode; readonly message: string };

/** What the check looks at: freshly read, but for the ledger. */
export type CheckInput = Pick<PlanInput, 'inventory' | 'findings' | 'inUse' | 'ledger' | 'catalog'>;

/** Every device that a transaction's writes can reach: its members, the rest of their groups, the VFs of a PF that loses them. */
function reachedDevices(transaction: Transaction, input: CheckInput): readonly Device[] {
  const addresses = new Set<string>();
  for (const { identity } of transaction.members) {
    addresses.add(identity.address);
    const device = input.inventory.devices.get(identity.address);
    if (transaction.kind === 'RemoveVirtualFunctions' || transaction.kind === 'CreateVirtualFunctions') {
      for (const virtual of device?.virtualFunctions ?? []) addresses.add(virtual);
    } else if (device !== undefined && device.iommuGroup !== null) {
      for (const member of input.inventory.groups.get(device.iommuGroup)?.members ?? []) addresses.add(member);
    }
  }
  return [...addresses].sort().flatMap((address) => input.inventory.devices.get(address) ?? []);
}

/** Whether anybody uses what the transaction reaches. */
export function checkHolders(transaction: Transaction, input: CheckInput): TransactionCheck {
  const hold = findHold(reachedDevices(transaction, input), input);
  return hold === null ? { ok: true } : { ok: false, ...hold };
}

/** Whether the transaction may be begun. */
export function checkTransaction(transaction: Transaction, input: CheckInput): TransactionCheck {
  const held = checkHolders(transaction, input);
  if (!held.ok) return held;
  const context = toRefusalContext(input);
  const members = new Map(transaction.members.map((member) => [member.identity.address, member]));
  const reached = reachedDevices(transaction, input);
  const takes = reached.some((device) => {
    const member = members.get(device.address);
    return member !== undefined && isTaken(device, member, transaction, input);
  });
  for (const device of reached) {
    const member = members.get(device.address);
    const refusal =
      member === undefined
        ? checkBystander(device, transaction, takes, input, context)
        : isTaken(device, member, transaction, input)
          ? checkMember(device, member, transaction, context)
          : null;
    if (refusal !== null) return { ok: false, ...refusal };
  }
  return { ok: true };
}

/** What has come up since the plan was made: a use, VFs, or an override that somebody else has set. */
function checkMember(
  device: Device,
  member: TransactionMember,
  transaction: Transaction,
  context: RefusalContext,
): Refusal | null {
  const finding = findingAgainst(device, member.allow, member.role, context);
  if (finding !== null || (transaction.kind !== 'Bind' && transaction.kind !== 'ChangeDriver')) return finding;
  if (device.virtualFunctions.length > 0)
    return {
      code: 'PfHasVfs',
      message: `${device.address} has ${device.virtualFunctions.length} virtual functions now`,
    };
  if (device.guarded === null)
    return { code: 'Unproven', message: `the driver_override of ${device.address} could not be read` };
  const override = device.guarded.driverOverride;
  return override === member.override
    ? null
    : {
        code: 'NotOurs',
        message: `the driver_override of ${device.address} is '${override ?? ''}' now: not our doing`,
      };
}

/** Whether the transaction takes this member from the host, so that the host's use of it counts. */
function isTaken(device: Device, member: TransactionMember, transaction: Transaction, input: CheckInput): boolean {
  switch (transaction.kind) {
    case 'Bind':
    case 'ChangeDriver':
      return !(ownEntry(input.ledger, input.inventory, device) !== null && isOnVfio(input.catalog, device));
    case 'CreateVirtualFunctions':
      return true;
    case 'Release':
      // Only when its undo would take the device back from a host driver.
      return (
        device.driver !== null &&
        !isOnVfio(input.catalog, device) &&
        transaction.steps.some((step) => step.kind === 'Unbind' && step.address === member.identity.address)
      );
    case 'RemoveVirtualFunctions':
      return false;
  }
}

/** `takes`: some member is taken from the host. A release that only gives back is what a use that has come up beside it calls for. */
function checkBystander(
  device: Device,
  transaction: Transaction,
  takes: boolean,
  input: CheckInput,
  context: RefusalContext,
): Refusal | null {
  if (transaction.kind === 'RemoveVirtualFunctions') {
    const use = isHeldOnVfio(device, input) ? null : criticalFinding(device, context);
    return use === null ? null : { code: use.code, message: `virtual function ${device.address}: ${use.message}` };
  }
  const { kind } = transaction;
  if (kind !== 'Bind' && kind !== 'ChangeDriver' && !(kind === 'Release' && takes)) return null;
  if (ownEntry(input.ledger, input.inventory, device) !== null && isOnVfio(input.catalog, device)) return null;
  const critical = criticalFinding(device, context);
  const allowed = critical !== null && transaction.members.some((member) => member.allow.includes(critical.code));
  return critical === null || allowed
    ? null
    : { code: 'GroupHasCritical', message: `member ${device.address}: ${critical.code}: ${critical.message}` };
}
