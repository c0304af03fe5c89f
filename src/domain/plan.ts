// plan(): from what is to what shall be. Pure and deterministic: the same answer for any order of its inputs, one decision for each
// device that a policy wants or that is ours, at most one transaction per IOMMU group or PF, and none once the host is as planned.
import { type Assignment, assignDevices } from './assign-devices.ts';
import { findBlocked } from './find-hold.ts';
import { findConflicts, type PolicyConflict } from './find-conflicts.ts';
import type { Decision, Plan } from './decision.ts';
import { compareAddresses, type Device } from './device.ts';
import { draftDevice, decideDraft } from './draft.ts';
import { isTakenFor, ownEntry, policiesInForce } from './ownership.ts';
import type { GroupPlaces } from './find-staying.ts';
import { groupKey, planGroup } from './plan-group.ts';
import type { PlanInput } from './plan-input.ts';
import { planVirtualFunctions } from './plan-virtual-functions.ts';
import type { Policy } from './policy.ts';
import { type RefusalContext, toRefusalContext } from './refuse-device.ts';
import { nodeMatches } from './select-devices.ts';
import type { Transaction } from './step.ts';

/** The policies whose node selector meets this node. */
export function policiesOfNode(input: Pick<PlanInput, 'node' | 'policies'>): readonly Policy[] {
  return input.policies.policies.filter((policy) => nodeMatches(policy.nodeSelector, input.node.labels));
}

/** Plans the node. DryRun policies are planned in a second pass, as if they were enforced beside the others, and only reported. */
export function plan(input: PlanInput): Plan {
  const policies = policiesOfNode(input);
  const first = planOnce(policies, input);
  const rehearsed = new Set(policies.filter((policy) => policy.mode === 'DryRun').map((policy) => policy.name));
  const second =
    rehearsed.size === 0
      ? null
      : planOnce(
          policies.map((policy): Policy => (policy.mode === 'DryRun' ? { ...policy, mode: 'Enforce' } : policy)),
          input,
        );
  const problems = [
    ...first.conflicts,
    ...(second?.conflicts ?? []).filter(
      ({ policy }) => rehearsed.has(policy.name) && !first.conflicts.some((known) => known.policy.name === policy.name),
    ),
  ];
  return {
    decisions: first.decisions,
    transactions: first.transactions,
    dryRun: second?.decisions.filter((decision) => decision.policy !== null && rehearsed.has(decision.policy)) ?? [],
    policyProblems: problems.map(({ policy, message }) => ({
      policy: policy.name,
      code: 'Conflict' as const,
      message,
    })),
  };
}

interface Pass {
  readonly decisions: readonly Decision[];
  readonly transactions: readonly Transaction[];
  readonly conflicts: readonly PolicyConflict[];
}

function planOnce(policies: readonly Policy[], input: PlanInput): Pass {
  const context = toRefusalContext(input);
  const conflicts = findConflicts(policiesInForce(policies, input.ledger, input.inventory));
  const messages = new Map(conflicts.map(({ policy, message }) => [policy, message]));
  const all = withoutUnseenOwners(assignDevices(policies, input.inventory, input.ledger), input);
  const assignments = new Map([...all].filter(([, entry]) => entry.frozen || !messages.has(entry.policy)));
  const refused = [...all.values()].flatMap((entry): Decision[] => {
    const message = entry.frozen ? undefined : messages.get(entry.policy);
    return message === undefined ? [] : [decideConflict(entry, message, input, context)];
  });
  const conflicted = new Set(refused.map((decision) => decision.address));
  const virtual = planVirtualFunctions(all, conflicted, input, context);
  const places: GroupPlaces = { elsewhere: new Set([...virtual.decided, ...conflicted]), conflicted };
  const groups = [...groupMembers(input, assignments).values()].map((members) =>
    planGroup(members, assignments, places, input, context),
  );
  const decisions = [...refused, ...virtual.decisions, ...groups.flatMap((group) => group.decisions)];
  const transactions = [...virtual.transactions, ...groups.flatMap((group) => group.transaction ?? [])];
  return {
    decisions: decisions.sort((a, b) => compareAddresses(a.address, b.address)),
    transactions: transactions.sort((a, b) => compareAddresses(a.key, b.key)),
    conflicts,
  };
}

/** While the policies are not completely known, a device of a policy that is not seen is nobody else's. */
function withoutUnseenOwners(
  assignments: ReadonlyMap<string, Assignment>,
  input: PlanInput,
): ReadonlyMap<string, Assignment> {
  const { complete, policies } = input.policies;
  if (complete) return assignments;
  return new Map(
    [...assignments].filter(([, { device }]) => {
      const own = ownEntry(input.ledger, input.inventory, device);
      return own === null || own.retained || policies.some((policy) => isTakenFor(own, policy));
    }),
  );
}

function decideConflict(entry: Assignment, message: string, input: PlanInput, context: RefusalContext): Decision {
  const own = ownEntry(input.ledger, input.inventory, entry.device);
  const draft = draftDevice(entry, 'Selected', own, input, context);
  const blocked = findBlocked([entry.device], input);
  const decision =
    blocked?.address === entry.device.address
      ? decideDraft(draft, blocked.code, blocked.detail, blocked.code, context)
      : decideDraft(draft, 'Refused', message, 'Conflict', context);
  return entry.role === 'PhysicalFunction' ? { ...decision, role: entry.role, resource: null } : decision;
}

/** Members of every group that has an assigned device or one of ours; a device without a group stands alone. */
function groupMembers(
  input: PlanInput,
  assignments: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, readonly Device[]> {
  const groups = new Map<string, readonly Device[]>();
  for (const device of input.inventory.devices.values()) {
    if (!assignments.has(device.address) && !input.ledger.entries.has(device.address)) continue;
    const key = groupKey(device);
    if (groups.has(key)) continue;
    const members =
      device.iommuGroup === null
        ? [device]
        : (input.inventory.groups.get(device.iommuGroup)?.members ?? [device.address]).flatMap(
            (address) => input.inventory.devices.get(address) ?? [],
          );
    groups.set(
      key,
      [...members].sort((a, b) => compareAddresses(a.address, b.address)),
    );
  }
  return groups;
}
