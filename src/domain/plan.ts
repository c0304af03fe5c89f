// plan(): from what is to what shall be. Pure and deterministic: the same answer for any order of its inputs, one decision for each
// device that a policy wants or that is ours, at most one transaction per IOMMU group or PF, and none once the host is as planned.
import { assignDevices } from './assign-devices.ts';
import { findConflicts } from './find-conflicts.ts';
import type { Decision, Plan } from './decision.ts';
import { compareAddresses, type Device } from './device.ts';
import { draftDevice, decideDraft } from './draft.ts';
import { ownEntry } from './ownership.ts';
import { groupKey, planGroup } from './plan-group.ts';
import type { PlanInput } from './plan-input.ts';
import { planVirtualFunctions } from './plan-virtual-functions.ts';
import type { Policy } from './policy.ts';
import { toRefusalContext } from './refuse-device.ts';
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
  return {
    decisions: first.decisions,
    transactions: first.transactions,
    dryRun: second?.decisions.filter((decision) => decision.policy !== null && rehearsed.has(decision.policy)) ?? [],
    policyProblems: findConflicts(policies).map(({ policy, message }) => ({
      policy: policy.name,
      code: 'Conflict' as const,
      message,
    })),
  };
}

function planOnce(
  policies: readonly Policy[],
  input: PlanInput,
): { readonly decisions: readonly Decision[]; readonly transactions: readonly Transaction[] } {
  const context = toRefusalContext(input);
  const conflicts = new Map(findConflicts(policies).map(({ policy, message }) => [policy, message]));
  const all = assignDevices(policies, input.inventory, input.ledger);
  const assignments = new Map([...all].filter(([, entry]) => entry.frozen || !conflicts.has(entry.policy)));
  const refused = [...all.values()].flatMap((entry): Decision[] => {
    const message = entry.frozen ? undefined : conflicts.get(entry.policy);
    if (message === undefined) return [];
    const own = ownEntry(input.ledger, input.inventory, entry.device);
    const draft = draftDevice(entry, 'Selected', own, input, context);
    return [decideDraft(draft, 'Refused', message, 'Conflict', context)];
  });
  const virtual = planVirtualFunctions(assignments, input, context);
  const elsewhere = new Set([...virtual.decided, ...refused.map((decision) => decision.address)]);
  const groups = [...groupMembers(input, assignments).values()].map((members) =>
    planGroup(members, assignments, elsewhere, input, context),
  );
  const decisions = [...refused, ...virtual.decisions, ...groups.flatMap((group) => group.decisions)];
  const transactions = [...virtual.transactions, ...groups.flatMap((group) => group.transaction ?? [])];
  return {
    decisions: decisions.sort((a, b) => compareAddresses(a.address, b.address)),
    transactions: transactions.sort((a, b) => compareAddresses(a.key, b.key)),
  };
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
