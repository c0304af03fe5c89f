// Policies, nodes and node states for tests of the aggregation; and the aggregation from scratch, which the incremental one must equal.
import type {
  VfioNodeDevice,
  VfioNodePolicy,
  VfioNodeStateStatus,
  VfioPolicyStatus,
} from '../../src/api/generated/types.ts';
import { digestNodeState } from '../../src/domain/policy-status-digest.ts';
import { createPolicyFleet, type PolicyFleet } from '../../src/domain/policy-status-fleet.ts';
import type { NodeFacts, PolicyFacts } from '../../src/domain/policy-status-share.ts';
import { toPolicyStatus } from '../../src/domain/policy-status.ts';

export const statusTime = Date.parse('2026-11-22T12:00:00Z');

/** Policy `gpus`, generation 1, for every node. */
export function facts(parts: Partial<PolicyFacts> = {}): PolicyFacts {
  return {
    name: 'gpus',
    uid: 'uid-gpus',
    generation: 1,
    mode: 'Enforce',
    nodeSelector: { matchLabels: {}, matchExpressions: [] },
    resource: null,
    invalid: null,
    ...parts,
  };
}

/** A device of policy `gpus`, bound. */
export function device(parts: Partial<VfioNodeDevice> = {}): VfioNodeDevice {
  return { address: '0000:01:00.0', decision: 'Bound', policy: 'gpus', ...parts };
}

/** What the agent says of policy `gpus`, generation 1. */
export function seen(parts: Partial<VfioNodePolicy> = {}): VfioNodePolicy {
  return { name: 'gpus', uid: 'uid-gpus', observedGeneration: 1, ...parts };
}

/** A node with a ready agent that has seen `gpus` and has these devices. */
export function node(
  devices: readonly VfioNodeDevice[] = [],
  parts: Partial<NodeFacts> & { readonly status?: VfioNodeStateStatus } = {},
): NodeFacts {
  const { status, ...rest } = parts;
  return {
    digest: digestNodeState({ policies: [seen()], devices, ...status }),
    labels: {},
    agent: 'Ready',
    ...rest,
  };
}

/** The status of each policy of a fleet, by name. */
export function statusesOf(fleet: PolicyFleet): Readonly<Record<string, VfioPolicyStatus>> {
  const entries = [...fleet.policies.values()].map((policy) => {
    const sums = fleet.sumsOf(policy.name);
    if (sums === null) throw new Error(`no sums of ${policy.name}`);
    return [policy.name, toPolicyStatus({ policy, sums, notes: [], before: null, now: statusTime })] as const;
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The aggregation of a whole world at once. */
export function fleetOf(policies: Iterable<PolicyFacts>, nodes: Iterable<readonly [string, NodeFacts]>): PolicyFleet {
  const fleet = createPolicyFleet();
  for (const policy of policies) fleet.setPolicy(policy.name, policy);
  for (const [name, one] of nodes) fleet.setNode(name, one);
  return fleet;
}

/** The status of `gpus` over these nodes, which are called `node-0`, `node-1` and so on. */
export function statusOf(nodes: readonly NodeFacts[], policy: PolicyFacts = facts()): VfioPolicyStatus {
  const fleet = fleetOf(
    [policy],
    nodes.map((one, index) => [`node-${index}`, one] as const),
  );
  const status = statusesOf(fleet)[policy.name];
  if (status === undefined) throw new Error('no status');
  return status;
}
