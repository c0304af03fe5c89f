// The preflight's judgement: whether a planned transaction may still be begun, from a fresh look at its group. Holders first, then
// everything that speaks against taking a device from the host.
import type { HoldCode, RefusalCode } from './codes.ts';
import type { Device } from './device.ts';
import { findHold } from './find-hold.ts';
import { isOnVfio, ownEntry } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import { criticalFinding, findingAgainst, type RefusalContext, toRefusalContext } from './refuse-device.ts';
import type { Transaction, TransactionMember } from './step.ts';

/** Go on, or the code with its proof. */
export type TransactionCheck =
  { readonly ok: true } | { readonly ok: false; readonly code: RefusalCode | HoldCode; readonly message: string };

/** What the check looks at: freshly read, but for the ledger. */
export type CheckInput = Pick<PlanInput, 'inventory' | 'findings' | 'inUse' | 'ledger' | 'catalog'>;

/** Every device that a transaction's writes can reach: its members, the rest of their groups, the VFs of a PF that loses them. */
export function reachedDevices(transaction: Transaction, input: CheckInput): readonly Device[] {
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
  for (const device of reachedDevices(transaction, input)) {
    const member = members.get(device.address);
    const refusal =
      member === undefined
        ? checkBystander(device, transaction, input, context)
        : isTaken(device, member, transaction, input)
          ? findingAgainst(device, member.allow, member.role, context)
          : null;
    if (refusal !== null) return { ok: false, ...refusal };
  }
  return { ok: true };
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

function checkBystander(
  device: Device,
  transaction: Transaction,
  input: CheckInput,
  context: RefusalContext,
): { readonly code: RefusalCode; readonly message: string } | null {
  if (transaction.kind !== 'Bind' && transaction.kind !== 'ChangeDriver') return null;
  if (ownEntry(input.ledger, input.inventory, device) !== null && isOnVfio(input.catalog, device)) return null;
  const critical = criticalFinding(device, context);
  const allowed = critical !== null && transaction.members.some((member) => member.allow.includes(critical.code));
  return critical === null || allowed
    ? null
    : { code: 'GroupHasCritical', message: `member ${device.address}: ${critical.code}: ${critical.message}` };
}
