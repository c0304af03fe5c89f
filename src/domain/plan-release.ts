// Giving one device back because a person asks for it: what no policy can say (a retained or frozen device, a quarantined one that was
// mended by hand). While a policy that is in force wants the device, the answer is no, since the next pass would take it again.
import { releaseSteps } from './build-steps.ts';
import type { Device } from './device.ts';
import { findBlocked, findHold } from './find-hold.ts';
import { foreignClaim } from './foreign-claim.ts';
import type { LedgerEntry } from './ledger.ts';
import { ownEntry } from './ownership.ts';
import type { Plan } from './decision.ts';
import { groupKey } from './plan-group.ts';
import type { PlanInput } from './plan-input.ts';
import { physicalFunctionKey, refuseRemoval } from './plan-virtual-functions.ts';
import { toRefusalContext } from './refuse-device.ts';
import type { Transaction } from './step.ts';
import { entryMember } from './transaction-members.ts';

/** A transaction that gives the device back, or the sentence why not. */
export type ReleasePlan = { readonly transaction: Transaction } | { readonly refusal: string };

/** Plans the release of `address`; `current` is the plan of the same input. */
export function planRelease(address: string, current: Plan, input: PlanInput): ReleasePlan {
  const device = input.inventory.devices.get(address);
  if (device === undefined) return { refusal: `${address}: there is no such device on this host` };
  const entry = ownEntry(input.ledger, input.inventory, device);
  if (entry === null)
    return { refusal: `${address} is not ours: we did not take it in this boot, so there is nothing to give back` };
  if (!input.policies.complete)
    return { refusal: `the policies are not completely known: ${input.policies.why ?? 'unknown'}` };
  const claim = device.driver === entry.driver ? foreignClaim(device, entry, null) : null;
  if (claim !== null)
    return { refusal: `the driver_override of ${address} is '${claim}', and we did not set it: clear it first` };
  const members = membersOf(device, entry, input);
  const virtual = entry.role === 'PhysicalFunction' ? virtualFunctionsOf(device, input) : [];
  const wanting = findWanting([device, ...virtual], current, input);
  if (wanting !== null) return { refusal: wanting };
  const reached = [...groupOf(device, input), ...members.map((member) => member.device), ...virtual];
  const blocked = findBlocked(reached, input);
  if (blocked !== null) return { refusal: `${blocked.address} is ${blocked.code.toLowerCase()}: ${blocked.detail}` };
  const hold = findHold(reached, input);
  if (hold !== null) return { refusal: hold.message };
  const use =
    entry.role === 'PhysicalFunction' ? refuseRemoval(device, entry, virtual, input, toRefusalContext(input)) : null;
  if (use !== null) return { refusal: use.message };
  return { transaction: toTransaction(device, entry, members) };
}

/** The policy in force that wants one of the devices, as the sentence that says no. */
function findWanting(devices: readonly Device[], current: Plan, input: PlanInput): string | null {
  for (const { address } of devices) {
    const wanted = current.decisions.find((decision) => decision.address === address);
    const policy = input.policies.policies.find((one) => one.name === wanted?.policy);
    if (policy?.mode === 'Enforce' && wanted !== undefined && ['Bound', 'Bind', 'Failed'].includes(wanted.kind))
      return `policy ${policy.name} (${policy.source}) wants ${address}; change or delete it, or exclude the device`;
  }
  return null;
}

interface Member {
  readonly device: Device;
  readonly entry: LedgerEntry;
}

function virtualFunctionsOf(device: Device, input: PlanInput): readonly Device[] {
  return device.virtualFunctions.flatMap((address) => input.inventory.devices.get(address) ?? []);
}

function membersOf(device: Device, entry: LedgerEntry, input: PlanInput): readonly Member[] {
  const virtual = virtualFunctionsOf(device, input).flatMap((one): Member[] => {
    const own = ownEntry(input.ledger, input.inventory, one);
    return own === null ? [] : [{ device: one, entry: own }];
  });
  return [{ device, entry }, ...virtual];
}

function groupOf(device: Device, input: PlanInput): readonly Device[] {
  const group = device.iommuGroup === null ? [] : (input.inventory.groups.get(device.iommuGroup)?.members ?? []);
  return group.flatMap((address) => input.inventory.devices.get(address) ?? []);
}

function toTransaction(device: Device, entry: LedgerEntry, members: readonly Member[]): Transaction {
  if (entry.role === 'PhysicalFunction')
    return {
      key: physicalFunctionKey(device.address),
      kind: 'RemoveVirtualFunctions',
      group: device.iommuGroup,
      members: members.map((member) => entryMember(member.device, member.entry, 'Restore')),
      steps: [
        { kind: 'SetVirtualFunctions', address: device.address, count: 0, previous: device.virtualFunctions.length },
      ],
    };
  return {
    key: groupKey(device),
    kind: 'Release',
    group: device.iommuGroup,
    members: [entryMember(device, entry, 'Restore')],
    steps: releaseSteps(device, entry),
  };
}
