// SR-IOV: making VFs on the PFs a policy selects, and removing those we made once no policy wants them and all are free. A PF
// keeps its driver; what is bound and advertised are its VFs, which their own groups plan once they exist.
import type { Assignment } from './assign-devices.ts';
import { virtualFunctionSteps } from './build-steps.ts';
import type { Decision } from './decision.ts';
import type { Device } from './device.ts';
import { type DecisionParts, toDecision } from './draft.ts';
import { findBlocked, findHold } from './find-hold.ts';
import type { LedgerEntry } from './ledger.ts';
import { isHeldOnVfio, isTakenFor, ownEntry } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import type { Policy } from './policy.ts';
import { criticalFinding, type Refusal, refusePhysicalFunction, type RefusalContext } from './refuse-device.ts';
import type { Transaction } from './step.ts';
import { entryMember, physicalFunctionMember } from './transaction-members.ts';

/** What the PF stage answers. */
export interface VirtualFunctionPlan {
  readonly decisions: readonly Decision[];
  readonly transactions: readonly Transaction[];
  /** Addresses decided here: PFs that keep their driver, and VFs that go with their PF. */
  readonly decided: ReadonlySet<string>;
}

type Verdict = Pick<DecisionParts, 'kind' | 'message' | 'code'> & { readonly transaction?: Transaction };

/** Key of a PF's transaction. */
export function physicalFunctionKey(address: string): string {
  return `pf:${address}`;
}

/**
 * Plans every PF whose policy wants VFs, and every PF of the ledger whose VFs nobody wants any more. `conflicted` are the devices of
 * policies in conflict: decided already, and wanted all the same. A PF that we have on VFIO is left to its group, which gives it back
 * first.
 */
export function planVirtualFunctions(
  assignments: ReadonlyMap<string, Assignment>,
  conflicted: ReadonlySet<string>,
  input: PlanInput,
  context: RefusalContext,
): VirtualFunctionPlan {
  const decisions: Decision[] = [];
  const transactions: Transaction[] = [];
  const decided = new Set<string>();
  for (const device of input.inventory.devices.values()) {
    if (conflicted.has(device.address)) continue;
    const assignment = assignments.get(device.address);
    const own = ownEntry(input.ledger, input.inventory, device);
    if (assignment?.frozen === false && own?.role !== 'PhysicalFunction' && isHeldOnVfio(device, input)) continue;
    if (assignment?.role === 'PhysicalFunction') {
      const { transaction, ...verdict } = judgeCreation(assignment, own, input, context);
      decided.add(device.address);
      const { policy, losers } = assignment;
      decisions.push(
        toDecision({ device, role: 'PhysicalFunction', policy: policy.name, losers, ...verdict }, context),
      );
      if (transaction !== undefined) transactions.push(transaction);
    } else if (own?.role === 'PhysicalFunction' && !own.retained) {
      const removal = planRemoval(device, own, assignments, input, context);
      decisions.push(...removal.decisions);
      transactions.push(...removal.transactions);
      for (const address of removal.decided) decided.add(address);
    }
  }
  return { decisions, transactions, decided };
}

function virtualFunctionsOf(device: Device, input: PlanInput): readonly Device[] {
  return device.virtualFunctions.flatMap((address) => input.inventory.devices.get(address) ?? []);
}

function judgeCreation(
  { device, policy, frozen }: Assignment,
  own: LedgerEntry | null,
  input: PlanInput,
  context: RefusalContext,
): Verdict {
  const wanted = policy.virtualFunctions ?? 0;
  const existing = device.virtualFunctions.length;
  const blocked = findBlocked([device, ...virtualFunctionsOf(device, input)], input);
  if (blocked !== null && blocked.address === device.address)
    return { kind: blocked.code, message: blocked.detail, code: blocked.code };
  if (frozen)
    return {
      kind: existing > 0 ? 'Bound' : 'Ignored',
      message: `policy ${policy.name} is in DryRun, so it stays as it is`,
    };
  if (device.totalVirtualFunctions === 0)
    return { kind: 'Ignored', message: 'it cannot make virtual functions (no sriov_totalvfs)' };
  if (existing >= wanted) return judgeExisting(device, own, policy, existing);
  if (existing > 0)
    return {
      kind: 'Refused',
      code: 'PfHasVfs',
      message: `it has ${existing} virtual functions, ${wanted} are wanted, and the kernel changes their number only through 0`,
    };
  const refusal = refusePhysicalFunction(device, policy, context);
  if (refusal !== null) return { kind: 'Refused', ...refusal };
  if (wanted > device.totalVirtualFunctions)
    return {
      kind: 'Failed',
      message: `policy ${policy.name} wants ${wanted} virtual functions, it can make ${device.totalVirtualFunctions}`,
    };
  if (device.driver === null)
    return {
      kind: 'Failed',
      message: 'it has no driver, and virtual functions are made by the driver of the physical function',
    };
  const key = physicalFunctionKey(device.address);
  const failure = input.failures.get(key);
  if (failure !== undefined && !failure.due) return { kind: 'Failed', message: failure.message };
  return {
    kind: 'Bind',
    message: `make ${wanted} virtual functions for policy ${policy.name}`,
    transaction: {
      key,
      kind: 'CreateVirtualFunctions',
      group: device.iommuGroup,
      members: [physicalFunctionMember(device, policy)],
      steps: virtualFunctionSteps(device, wanted),
    },
  };
}

/** VFs that are there are used as they are; those we made go by what the policy that wants them now says of their end. */
function judgeExisting(device: Device, own: LedgerEntry | null, policy: Policy, existing: number): Verdict {
  const mine = own?.role === 'PhysicalFunction' && own.virtualFunctions !== null;
  const verdict: Verdict = {
    kind: 'Bound',
    message: `${existing} virtual functions, ${mine ? 'made by us' : 'there before us'}, for policy ${policy.name}; it stays on ${device.driver ?? 'no driver'}`,
  };
  if (!mine || (isTakenFor(own, policy) && own.onDelete === policy.onDelete)) return verdict;
  const member = physicalFunctionMember(device, policy);
  const { address, iommuGroup: group } = device;
  const key = physicalFunctionKey(address);
  return { ...verdict, transaction: { key, kind: 'CreateVirtualFunctions', group, members: [member], steps: [] } };
}

function planRemoval(
  device: Device,
  own: LedgerEntry,
  assignments: ReadonlyMap<string, Assignment>,
  input: PlanInput,
  context: RefusalContext,
): VirtualFunctionPlan {
  const virtual = virtualFunctionsOf(device, input);
  const living = input.policies.policies.find((policy) => isTakenFor(own, policy));
  const onDelete = living?.onDelete ?? own.onDelete;
  const decide = (subject: Device, verdict: Verdict): Decision => {
    const entry = ownEntry(input.ledger, input.inventory, subject) ?? own;
    return toDecision(
      { device: subject, role: entry.role, policy: entry.policy, resource: entry.resource, ...verdict },
      context,
    );
  };
  const alone = (verdict: Verdict): VirtualFunctionPlan => ({
    decisions: [decide(device, verdict)],
    transactions: [],
    decided: new Set([device.address]),
  });
  const blocked = findBlocked([device, ...virtual], input);
  if (blocked !== null) {
    const { code, address, detail } = blocked;
    const subjects = [device, ...virtual.filter((one) => ownEntry(input.ledger, input.inventory, one) !== null)];
    const message = `${address} is ${code.toLowerCase()}: ${detail}`;
    const held = subjects.filter((one) => one === device || !assignments.has(one.address));
    return {
      decisions: held.map((one) =>
        decide(one, one.address === address ? { kind: code, code, message: detail } : { kind: 'Held', code, message }),
      ),
      transactions: [],
      decided: new Set(held.map((one) => one.address)),
    };
  }
  if (!input.policies.complete)
    return alone({
      kind: 'Bound',
      message: `the policies are not completely known: ${input.policies.why ?? 'unknown'}`,
    });
  const wanted = virtual.filter((one) => assignments.has(one.address));
  if (wanted.length > 0)
    return alone({
      kind: 'Bound',
      message: `policy ${assignments.get(wanted[0]?.address ?? '')?.policy.name ?? ''} still wants its virtual functions`,
    });
  const obstacle = refuseRemoval(device, own, virtual, input, context);
  if (obstacle !== null) return alone({ kind: 'Refused', ...obstacle });
  return removeTogether(device, own, virtual, onDelete, decide, input);
}

/** VFs that are not those we made, or that the host uses, are not ours to remove. */
export function refuseRemoval(
  device: Device,
  own: LedgerEntry,
  virtual: readonly Device[],
  input: PlanInput,
  context: RefusalContext,
): Refusal | null {
  const made = own.virtualFunctions?.count ?? 0;
  if (virtual.length > 0 && virtual.length !== made)
    return {
      code: 'NotOurs',
      message: `we made ${made} virtual functions of ${device.address}, it has ${virtual.length} now: somebody changed them`,
    };
  for (const one of virtual) {
    const use = isHeldOnVfio(one, input) ? null : criticalFinding(one, context);
    if (use !== null) return { code: use.code, message: `virtual function ${one.address}: ${use.message}` };
  }
  return null;
}

function removeTogether(
  device: Device,
  own: LedgerEntry,
  virtual: readonly Device[],
  onDelete: LedgerEntry['onDelete'],
  decide: (subject: Device, verdict: Verdict) => Decision,
  input: PlanInput,
): VirtualFunctionPlan {
  const ours = virtual.flatMap((one) => {
    const entry = ownEntry(input.ledger, input.inventory, one);
    return entry === null ? [] : [{ device: one, entry }];
  });
  const subjects = [device, ...ours.map((one) => one.device)];
  const decided = new Set(subjects.map((subject) => subject.address));
  const key = physicalFunctionKey(device.address);
  const retain = onDelete === 'Retain';
  const hold = findHold([device, ...virtual], input);
  const failure = input.failures.get(key);
  const verdict: Verdict =
    hold !== null
      ? { kind: 'Held', ...hold }
      : failure !== undefined && !failure.due
        ? { kind: 'Failed', message: failure.message }
        : { kind: 'Release', message: `no policy wants its virtual functions any more (made for ${own.policy})` };
  const transaction: Transaction = {
    key,
    kind: 'RemoveVirtualFunctions',
    group: device.iommuGroup,
    members: [entryMember(device, own, onDelete), ...ours.map((one) => entryMember(one.device, one.entry, onDelete))],
    steps:
      retain || virtual.length === 0
        ? []
        : [{ kind: 'SetVirtualFunctions', address: device.address, count: 0, previous: virtual.length }],
  };
  return {
    decisions: subjects.map((subject) => decide(subject, verdict)),
    transactions: verdict.kind === 'Release' ? [transaction] : [],
    decided,
  };
}
