// The VfioNodeState of one node: everything the agent sees and does, as one document. Pure and deterministic: lists are sorted, absent
// means unknown or the usual, and the whole fits into what etcd stores, whatever the node has.
import { apiVersion, nodeStateKind } from '../api/constants.ts';
import type {
  VfioDeviceCounts,
  VfioNodePolicy,
  VfioNodeResource,
  VfioNodeState,
  VfioNodeStateStatus,
} from '../api/generated/types.ts';
import { toAliasEvidence } from './alias-evidence.ts';
import { clip } from './clip.ts';
import type { DecisionKind } from './codes.ts';
import type { Decision, Plan } from './decision.ts';
import type { Inventory } from './device.ts';
import { fitNodeState } from './fit-node-state.ts';
import type { InUse, Ledger } from './ledger.ts';
import { toNodeConditions } from './node-conditions.ts';
import type { TimelessCondition } from './conditions.ts';
import { toNodeDevices } from './node-devices.ts';
import { policiesOfNode } from './plan.ts';
import type { NodeIdentity } from './plan-input.ts';
import type { PolicySet } from './policy.ts';
import type { ResourcePool } from './resource-pool.ts';

/** What is known of one resource at kubelet. */
export interface RegistrationFacts {
  readonly registered: boolean;
  /** Why not; null when it is. */
  readonly message: string | null;
  /** Ids that containers have, as far as known. */
  readonly allocated: readonly string[];
}

/** A policy that the agent could not read, e.g. because it has words of a newer API. */
export interface InvalidPolicy {
  readonly name: string;
  readonly uid: string | null;
  readonly generation: number;
  readonly message: string;
}

/** Everything the document is made of. */
export interface NodeStateInput {
  readonly node: NodeIdentity;
  readonly agentVersion: string;
  readonly inventory: Inventory;
  readonly plan: Plan;
  readonly policies: PolicySet;
  readonly invalidPolicies: readonly InvalidPolicy[];
  readonly ledger: Ledger;
  readonly inUse: InUse;
  readonly pools: readonly ResourcePool[];
  /** By resource name. */
  readonly registrations: ReadonlyMap<string, RegistrationFacts>;
  /** What a person may want to know of a device, though it changes nothing; by address. */
  readonly notices: ReadonlyMap<string, string>;
  /** False: this node has no kubelet, and nothing is registered. */
  readonly hasKubelet: boolean;
  /** Further conditions, e.g. that the kernel worker cannot leave the pod's cgroup. */
  readonly extraConditions: readonly TimelessCondition[];
  /** The document written last, for the times of unchanged conditions; null: none. */
  readonly before: VfioNodeState | null;
  /** Milliseconds since the epoch, for the times of changed conditions. */
  readonly now: number;
}

/** Builds the document. The same input gives the same text, so an agent that compares texts writes only changes. */
export function toNodeState(input: NodeStateInput): VfioNodeState {
  const { plan, inventory } = input;
  const { kernel } = inventory;
  const status: VfioNodeStateStatus = {
    agentVersion: clip(input.agentVersion, 64),
    kernel: {
      release: clip(kernel.release, 128),
      ...(kernel.bootId === null ? {} : { bootId: clip(kernel.bootId, 64) }),
      iommu: kernel.iommu,
      iommufd: kernel.iommufd,
      noIommuMode: kernel.noIommuMode,
    },
    conditions: toNodeConditions(input),
    counts: countDecisions(plan.decisions),
    policies: toNodePolicies(input),
    resources: input.pools.map((pool) => toNodeResource(pool, input.registrations.get(pool.resource) ?? null)),
    devices: toNodeDevices(plan.decisions, input),
    dryRun: toNodeDevices(plan.dryRun, input),
    aliasEvidence: toAliasEvidence([...plan.decisions, ...plan.dryRun], inventory),
    unread: inventory.unread
      .slice(0, 32)
      .map(({ source, why }) => ({ source: clip(source, 512), why: clip(why, 512) })),
  };
  return { apiVersion, kind: nodeStateKind, metadata: { name: input.node.name }, status: fitNodeState(status) };
}

/** Devices by decision, with every count there. */
function countDecisions(decisions: readonly Pick<Decision, 'kind'>[]): Required<VfioDeviceCounts> {
  const count = (kind: DecisionKind): number => decisions.filter((decision) => decision.kind === kind).length;
  return {
    bind: count('Bind'),
    bound: count('Bound'),
    release: count('Release'),
    refused: count('Refused'),
    held: count('Held'),
    failed: count('Failed'),
    quarantined: count('Quarantined'),
    stuck: count('Stuck'),
    ignored: count('Ignored'),
  };
}

/**
 * Policies of this node by name, the invalid ones among them: what the controller needs to know that this generation was seen. One that
 * became invalid stands there once, as it is now, though its last good version is still in force.
 */
function toNodePolicies(input: NodeStateInput): readonly VfioNodePolicy[] {
  const conflicts = new Map(input.plan.policyProblems.map((problem) => [problem.policy, problem]));
  const isInvalid = new Set(input.invalidPolicies.map(({ name }) => name));
  const inForce = policiesOfNode(input).filter(({ name }) => !isInvalid.has(name));
  const valid = inForce.map(({ name, uid, generation }): VfioNodePolicy => {
    const problem = conflicts.get(name);
    return {
      name,
      ...(uid === null ? {} : { uid }),
      observedGeneration: generation,
      ...(problem === undefined ? {} : { code: problem.code, message: clip(problem.message, 1024) }),
    };
  });
  const invalid = input.invalidPolicies.map(({ name, uid, generation, message }): VfioNodePolicy => ({
    name,
    ...(uid === null ? {} : { uid }),
    observedGeneration: generation,
    code: 'Invalid',
    message: clip(message, 1024),
  }));
  return [...valid, ...invalid].toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, 512);
}

function toNodeResource(pool: ResourcePool, facts: RegistrationFacts | null): VfioNodeResource {
  const ids = new Set(pool.devices.map(({ id }) => id));
  return {
    name: pool.resource,
    capacity: pool.devices.length,
    healthy: pool.devices.filter(({ healthy }) => healthy).length,
    allocated: new Set(facts?.allocated.filter((id) => ids.has(id))).size,
    registered: facts?.registered ?? false,
    ...(facts === null || facts.message === null ? {} : { message: clip(facts.message, 1024) }),
  };
}
