// How much is known of the policies of this node: which are in force, and whether not seeing one proves that it is gone. Pure.
import type { PolicySet } from '../../domain/policy.ts';
import type { Watched, WatchProblem } from '../../kube/reflector.ts';
import type { ClusterPolicies } from './kept-cluster.ts';
import type { NodeFacts } from './node-facts.ts';
import type { PolicyObject } from './read-policy-object.ts';

export interface Knowledge {
  readonly nodeName: string;
  /** null: nothing was ever known. */
  readonly inForce: ClusterPolicies | null;
  /** As last known; null: never seen. */
  readonly node: NodeFacts | null;
  readonly policies: Watched<PolicyObject>;
  readonly nodes: Watched<NodeFacts>;
  /** Why policies that vanished may not be gone; null when none did. */
  readonly doubt: string | null;
}

/** The set. Without any knowledge of the Node's labels no policy is in force: which of them select it is not known. */
export function judgeKnowledge(knowledge: Knowledge): PolicySet {
  const why = findDoubts(knowledge)[0] ?? null;
  const documents = knowledge.node === null ? [] : [...(knowledge.inForce?.values() ?? [])];
  const policies = documents.flatMap((one) => (one === null ? [] : [one.policy]));
  return { complete: why === null, policies, why };
}

function findDoubts({ nodeName, inForce, node, policies, nodes, doubt }: Knowledge): readonly string[] {
  const unread = [...(inForce ?? [])].flatMap(([name, policy]) => (policy === null ? [name] : []));
  return [
    ...(node === null ? [`the labels of Node ${nodeName} are not known yet${because(nodes.problem)}`] : []),
    ...doubtsOf('the policies', policies),
    ...(doubt === null ? [] : [doubt]),
    ...(unread.length === 0
      ? []
      : [
          `no good version of ${unread.join(', ')} is known, so what it wants is unknown; nothing is released until it is right`,
        ]),
    ...doubtsOf(`Node ${nodeName}`, nodes),
    ...(nodes.items?.has(nodeName) === false ? [`there is no Node ${nodeName}; its labels stay as last known`] : []),
  ];
}

/** What was seen once stays proven while there is merely no answer; an answer that contradicts it makes it unknown. */
function doubtsOf(what: string, { items, problem }: Watched<unknown>): readonly string[] {
  if (items === null) return [`${what} of the API server are not known yet${because(problem)}`];
  if (problem === null || problem.code === 'Unreachable' || problem.code === 'Throttled') return [];
  return [`${problem.message}; ${what} stay as last known`];
}

function because(problem: WatchProblem | null): string {
  return problem === null ? '' : `: ${problem.message}`;
}
