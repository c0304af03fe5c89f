// Keeps the fleet current: policies, node states, nodes and the agents' pods, each listed and watched. Guarantees: nothing is said of
// any policy before all four have been seen whole, since a node whose pod was not yet seen would pass for dead.
import type { KubeVirtConfig } from '../domain/kubevirt-permits.ts';
import { parseKubeVirt } from '../domain/parse-kubevirt.ts';
import type { NodeFacts } from '../domain/policy-status-share.ts';
import { createPolicyFleet, type PolicyFleet } from '../domain/policy-status-fleet.ts';
import type { ApiConnection } from '../kube/api-connection.ts';
import type { KubeObject } from '../kube/kube-object.ts';
import { startReflector, type Watched, type WatchProblem } from '../kube/reflector.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import { keepNode, keepNodeState, keepPod, keepPolicy, type KeptPod, type KeptPolicy } from './read-objects.ts';

/** What must have been seen before anything is said. */
export const collections = ['vfiopolicies', 'vfionodestates', 'nodes', 'pods'] as const;
export type Collection = (typeof collections)[number] | 'kubevirts';

export interface ClusterWatchOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the agents' pods are. */
  readonly namespace: string;
  /** Whether to look at what KubeVirt permits. */
  readonly kubeVirt: boolean;
  /** Policies to look at: their sums, or they themselves, may have changed. Not called before everything was seen. */
  readonly onChange: (policies: readonly string[]) => void;
  readonly onProblem: (collection: Collection, problem: WatchProblem | null) => void;
}

export interface ClusterWatch {
  readonly fleet: PolicyFleet;
  /** The policy as the cluster has it now; null: it is gone. */
  policy(name: string): KeptPolicy | null;
  /** What KubeVirt permits; null: not looked at, not seen, or not installed. */
  kubeVirt(): KubeVirtConfig | null;
  /** Nodes of which anything is known. */
  nodeCount(): number;
  /** Collections that have not been seen whole yet. */
  missing(): readonly Collection[];
  readonly problems: ReadonlyMap<Collection, WatchProblem>;
  close(): void;
}

const agentSelector = 'app.kubernetes.io/name=vfio-operator,app.kubernetes.io/component=agent';

/** Starts all four. */
export function watchCluster(options: ClusterWatchOptions): ClusterWatch {
  const fleet = createPolicyFleet();
  const problems = new Map<Collection, WatchProblem>();
  const pods = createPodIndex();
  const dirty = {
    policies: new Set<string>(),
    nodes: new Set<string>(),
    pods: new Set<string>(),
    kubeVirts: new Set<string>(),
  };

  const open = <T>(
    collection: Collection,
    path: string,
    keep: (object: KubeObject) => T,
    names: Set<string>,
    selector?: string,
  ) =>
    startReflector<T>({
      connection: options.connection,
      clock: options.clock,
      random: options.random,
      path,
      ...(selector === undefined ? {} : { labelSelector: selector }),
      keep,
      onChange: (changed) => {
        for (const name of changed) names.add(name);
        settle();
      },
      onProblem: (problem) => {
        if (problem === null) problems.delete(collection);
        else problems.set(collection, problem);
        if (collection === 'kubevirts') {
          // It may just have been removed, or come.
          dirty.kubeVirts.add('');
          settle();
        }
        options.onProblem(collection, problem);
      },
    });
  const group = '/apis/vfio-operator.dev/v1alpha1';
  const policies = open('vfiopolicies', `${group}/vfiopolicies`, keepPolicy, dirty.policies);
  const states = open('vfionodestates', `${group}/vfionodestates`, keepNodeState, dirty.nodes);
  const nodes = open('nodes', '/api/v1/nodes', keepNode, dirty.nodes);
  const agents = open('pods', `/api/v1/namespaces/${options.namespace}/pods`, keepPod, dirty.pods, agentSelector);
  const kubeVirts = options.kubeVirt
    ? open('kubevirts', '/apis/kubevirt.io/v1/kubevirts', parseKubeVirt, dirty.kubeVirts)
    : null;
  const views: Readonly<Record<(typeof collections)[number], Watched<unknown>>> = {
    vfiopolicies: policies.state,
    vfionodestates: states.state,
    nodes: nodes.state,
    pods: agents.state,
  };
  const missing = () => collections.filter((collection) => views[collection].items === null);

  const factsOf = (name: string): NodeFacts | null => {
    const digest = states.state.items?.get(name) ?? null;
    const node = nodes.state.items?.get(name) ?? null;
    if (digest === null && node === null) return null;
    const agent =
      node?.hostAgent === true ? (node.ready ? ('Ready' as const) : ('NotReady' as const)) : pods.presenceOn(name);
    return { digest, labels: node?.labels ?? null, agent };
  };

  /** Takes over what has changed, once everything has been seen. */
  function settle(): void {
    if (missing().length > 0) return;
    for (const pod of take(dirty.pods))
      for (const node of pods.set(pod, agents.state.items?.get(pod) ?? null)) dirty.nodes.add(node);
    const changedPolicies = take(dirty.policies);
    for (const name of changedPolicies) fleet.setPolicy(name, policies.state.items?.get(name)?.facts ?? null);
    for (const name of take(dirty.nodes)) fleet.setNode(name, factsOf(name));
    const others = take(dirty.kubeVirts).length > 0 ? [...fleet.policies.keys()] : [];
    const changed = new Set([...changedPolicies, ...fleet.takeChanged(), ...others]);
    if (changed.size > 0) options.onChange([...changed]);
  }

  return {
    fleet,
    problems,
    missing,
    policy: (name) => policies.state.items?.get(name) ?? null,
    kubeVirt() {
      const items = kubeVirts?.state.items ?? null;
      if (items === null || problems.get('kubevirts')?.code === 'NotFound') return null;
      const [first = null] = [...items].toSorted(([a], [b]) => (a < b ? -1 : 1));
      return first?.[1] ?? null;
    },
    nodeCount: () => nodes.state.items?.size ?? 0,
    close() {
      for (const reflector of [policies, states, nodes, agents, kubeVirts]) reflector?.close();
    },
  };
}

function take(names: Set<string>): readonly string[] {
  const taken = [...names];
  names.clear();
  return taken;
}

/** The agents' pods by node: an upgrade may show two on one node for a moment, and one that is ready is enough. */
function createPodIndex(): {
  /** A pod as it is now; null: it is gone. Answers which nodes it concerns. */
  set(name: string, pod: KeptPod | null): readonly string[];
  presenceOn(node: string): NodeFacts['agent'];
} {
  const known = new Map<string, KeptPod>();
  const byNode = new Map<string, Set<string>>();
  return {
    set(name, pod) {
      const former = known.get(name)?.node ?? null;
      if (former !== null) {
        byNode.get(former)?.delete(name);
        if (byNode.get(former)?.size === 0) byNode.delete(former);
      }
      if (pod === null) known.delete(name);
      else known.set(name, pod);
      const node = pod?.node ?? null;
      if (node !== null) byNode.set(node, (byNode.get(node) ?? new Set()).add(name));
      return [...new Set([former, node])].filter((one) => one !== null);
    },
    presenceOn(node) {
      const here = byNode.get(node);
      if (here === undefined) return 'Missing';
      return [...here].some((name) => known.get(name)?.ready === true) ? 'Ready' : 'NotReady';
    },
  };
}
