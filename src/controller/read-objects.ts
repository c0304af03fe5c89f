// What the controller keeps of the API's objects: the few words that a status depends on. Objects may come from newer versions, so
// nothing here throws.
import type { VfioPolicy, VfioPolicyStatus } from '../api/generated/types.ts';
import { parsePolicy } from '../domain/parse-policy.ts';
import { digestNodeState, type NodeDigest } from '../domain/policy-status-digest.ts';
import type { PolicyFacts } from '../domain/policy-status-share.ts';
import { isRecord, type KubeObject } from '../kube/kube-object.ts';

/** Nodes with this label have the agent as a service of the host. */
const hostAgentLabel = 'vfio-operator.dev/agent';

export interface KeptPolicy {
  readonly facts: PolicyFacts;
  readonly resourceVersion: string;
  /** As it is in the cluster; null: none yet. */
  readonly status: VfioPolicyStatus | null;
}

export interface KeptNode {
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: boolean;
  /** The agent is a service of the host. */
  readonly hostAgent: boolean;
}

export interface KeptPod {
  /** Null before it is scheduled. */
  readonly node: string | null;
  readonly ready: boolean;
}

export function keepPolicy(object: KubeObject): KeptPolicy {
  const { name, uid, resourceVersion, generation } = object.metadata;
  const identity = { name, uid, generation: typeof generation === 'number' ? generation : 0 };
  const kept = {
    resourceVersion,
    status: isRecord(object.status) ? (object.status as VfioPolicyStatus) : null,
  };
  const unreadable = (why: string): KeptPolicy => ({
    ...kept,
    facts: {
      ...identity,
      resource: null,
      mode: 'Enforce',
      nodeSelector: { matchLabels: {}, matchExpressions: [] },
      invalid: why,
    },
  });
  try {
    const parsed = parsePolicy(object as unknown as VfioPolicy, `VfioPolicy/${name}`);
    if ('problems' in parsed)
      return unreadable(parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; '));
    const { mode, nodeSelector, resource } = parsed.policy;
    const offered =
      resource === null ? null : { name: resource.name, kubeVirt: resource.environment.includes('KubeVirt') };
    return { ...kept, facts: { ...identity, mode, nodeSelector, resource: offered, invalid: null } };
  } catch (error) {
    // Another version's CRD let through what this version's parser was never shown.
    return unreadable(`this version cannot read it: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function keepNodeState(object: KubeObject): NodeDigest {
  try {
    return digestNodeState(isRecord(object.status) ? object.status : undefined);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      policies: new Map(),
      policiesUnknown: `its state cannot be read by this version: ${why}`,
      offered: new Map(),
    };
  }
}

export function keepNode(object: KubeObject): KeptNode {
  const labels = isRecord(object.metadata.labels) ? (object.metadata.labels as Record<string, string>) : {};
  return { labels, ready: isReady(object), hostAgent: labels[hostAgentLabel] === 'host' };
}

export function keepPod(object: KubeObject): KeptPod {
  const spec = isRecord(object.spec) ? object.spec : {};
  return { node: typeof spec.nodeName === 'string' ? spec.nodeName : null, ready: isReady(object) };
}

/** The condition Ready, as nodes and pods have it. */
function isReady({ status }: KubeObject): boolean {
  const conditions: unknown = isRecord(status) ? status.conditions : null;
  return (
    Array.isArray(conditions) &&
    conditions.some((one: unknown) => isRecord(one) && one.type === 'Ready' && one.status === 'True')
  );
}
