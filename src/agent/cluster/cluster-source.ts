// Policies and the Node from the API server. Not seeing is not "none": what was in force stays until a complete list, not older than the
// newest acted on, or a deletion that was seen, proves it gone; 404, 401, 403, a Node that is missing, garbage, all mean unknown.
// It never waits: an agent starts with what was kept on disk.
import type { InvalidPolicy } from '../../domain/node-state.ts';
import type { PolicySet } from '../../domain/policy.ts';
import type { ApiConnection } from '../../kube/api-connection.ts';
import { startReflector, type Reflector, type WatchProblem } from '../../kube/reflector.ts';
import type { Clock, Files, Random } from '../../runtime/ports.ts';
import { createKeeper } from '../kept-file.ts';
import { createLookTimer } from '../look-timer.ts';
import { judgeKnowledge } from './judge-knowledge.ts';
import { formatKeptCluster, readKeptCluster, type ClusterPolicies } from './kept-cluster.ts';
import { mergePolicyObjects, type MergedObjects } from './merge-policy-objects.ts';
import { toNodeFacts, type NodeFacts } from './node-facts.ts';
import { proveServed } from './prove-served.ts';
import { readPolicyObject, type GoodPolicy, type PolicyObject } from './read-policy-object.ts';

/** What is known of the cluster now. */
export interface ClusterSnapshot {
  readonly set: PolicySet;
  /** Policies that this program does not understand, as they are now. */
  readonly invalid: readonly InvalidPolicy[];
  /** This Node as last known; null: never seen. */
  readonly node: NodeFacts | null;
  /** UID of the Node object that is there now; null while it is not known to be. */
  readonly liveNodeUid: string | null;
  /** Why the state directory cannot keep this, or what was kept cannot be used; null otherwise. */
  readonly keepingProblem: string | null;
}

export interface ClusterSourceOptions {
  readonly connection: ApiConnection;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodeName: string;
  /** File in the state directory. */
  readonly keptFile: string;
  /** Called after the snapshot changed. */
  readonly onChange: (snapshot: ClusterSnapshot) => void;
  /** Milliseconds that a policy must be missing before its absence is looked into. Default 2 s: the deletion of a CRD begins so. */
  readonly settle?: number;
}

export interface ClusterSource {
  readonly current: ClusterSnapshot;
  /** The API server has said something, be it no, or has had its time to. */
  readonly heard: boolean;
  /** When policies and Node were last known to be current, wall clock in milliseconds; null: never in this life. */
  readonly currentAt: number | null;
  /** Ends both watches, and waits for a look in progress. */
  close(): Promise<void>;
}

/** How long, in milliseconds, the first answer is waited for before "no answer" is worth telling. */
const patience = 10_000;
/** Milliseconds between two questions whether the policies' CRD is being deleted. */
const proofInterval = 10_000;
const policiesPath = '/apis/vfio-operator.dev/v1alpha1/vfiopolicies';

/** Opens: reads what was kept, starts both watches, and returns at once. */
export function openClusterSource(options: ClusterSourceOptions): ClusterSource {
  const { connection, files, clock, random, nodeName, keptFile, settle = 2_000 } = options;
  const kept = readKeptCluster(files, keptFile, nodeName);
  const opened = clock.monotonic();
  let inForce: ClusterPolicies | null = kept.policies;
  let node: NodeFacts | null = kept.node;
  let invalid: readonly InvalidPolicy[] = [];
  const keeper = createKeeper(files, keptFile, 'what was last known of the cluster', {
    words: keptWords(inForce, node),
    problem: kept.problem === null ? null : `${keptFile} ${kept.problem}`,
  });
  /** By name, when it was first missed. */
  const missedSince = new Map<string, number>();
  let doubt: string | null = null;
  let currentAt: number | null = null;
  let wasCurrent = false;
  let closed = false;
  let looking: Promise<void> = Promise.resolve();

  const policies: Reflector<PolicyObject> = startReflector({
    connection,
    clock,
    random,
    path: policiesPath,
    keep: readPolicyObject,
    ...(kept.policiesVersion === null ? {} : { notBefore: kept.policiesVersion }),
    onChange: () => look(),
    onProblem: () => look(),
  });
  const nodes: Reflector<NodeFacts> = startReflector({
    connection,
    clock,
    random,
    path: '/api/v1/nodes',
    fieldSelector: `metadata.name=${nodeName}`,
    keep: toNodeFacts,
    ...(kept.nodeVersion === null ? {} : { notBefore: kept.nodeVersion }),
    onChange: () => look(),
    onProblem: () => look(),
  });

  const look = (): void => {
    looking = looking.then(lookOnce);
  };

  const next = createLookTimer(clock, look);

  const lookOnce = async (): Promise<void> => {
    if (closed) return;
    noteCurrent();
    const seen = policies.state.items;
    if (seen !== null) {
      const merged = mergePolicyObjects(seen, inForce);
      const gone = await findGone(merged);
      inForce = withoutGone(merged, gone);
      ({ invalid } = merged);
    }
    node = nodes.state.items?.get(nodeName) ?? node;
    await keep();
    publish();
    if (!hasAnswered()) next.within(Math.max(1, patience - (clock.monotonic() - opened)));
  };

  /** Of what has no object any more, the names that are proven gone. */
  const findGone = async ({ lost }: MergedObjects): Promise<ReadonlySet<string>> => {
    const now = clock.monotonic();
    for (const name of missedSince.keys()) if (!lost.has(name)) missedSince.delete(name);
    for (const name of lost.keys()) if (!missedSince.has(name)) missedSince.set(name, now);
    const waits = [...missedSince.values()].map((since) => since + settle - now).filter((wait) => wait > 0);
    if (waits.length > 0) next.within(Math.min(...waits));
    const due = [...missedSince].filter(([, since]) => now - since >= settle).map(([name]) => name);
    doubt = null;
    // A problem of list or watch is told as such, and its end is a reason to look again.
    if (due.length === 0 || policies.state.problem !== null) return new Set();
    const why = await proveServed(connection);
    if (why === null && policies.state.problem === null) return new Set(due.filter((name) => isMissing(name)));
    doubt = why === null ? null : `${due.join(', ')} cannot be seen, and that proves nothing: ${why}`;
    next.within(proofInterval);
    return new Set();
  };

  const isMissing = (name: string): boolean => policies.state.items?.has(name) === false;

  const hasAnswered = (): boolean =>
    [policies, nodes].every(({ state }) => state.items !== null || state.problem !== null) ||
    clock.monotonic() - opened >= patience;

  const keep = async (): Promise<void> => {
    await keeper.keep(keptWords(inForce, node), () =>
      formatKeptCluster({
        policies: inForce,
        policiesVersion: policies.state.resourceVersion ?? kept.policiesVersion,
        node,
        nodeVersion: nodes.state.resourceVersion ?? kept.nodeVersion,
      }),
    );
  };

  const steadyPolicies = createSteadyProblem();
  const steadyNodes = createSteadyProblem();
  const build = (): ClusterSnapshot => {
    const set = judgeKnowledge({
      nodeName,
      inForce,
      node,
      policies: { ...policies.state, problem: steadyPolicies(policies.state.problem) },
      nodes: { ...nodes.state, problem: steadyNodes(nodes.state.problem) },
      doubt,
    });
    const liveNodeUid = nodes.state.problem === null ? (nodes.state.items?.get(nodeName)?.uid ?? null) : null;
    return { set, invalid, node, liveNodeUid, keepingProblem: keeper.problem };
  };

  /** Called at every change of a problem: until this very moment it was current, if it was before. */
  const noteCurrent = (): void => {
    const isCurrent = [policies, nodes].every(({ state }) => state.items !== null && state.problem === null);
    if (isCurrent || wasCurrent) currentAt = clock.now();
    wasCurrent = isCurrent;
  };

  let current = build();
  let told = JSON.stringify(current);
  const publish = (): void => {
    const snapshot = build();
    const text = JSON.stringify(snapshot);
    if (text === told) return;
    told = text;
    current = snapshot;
    options.onChange(current);
  };

  next.within(patience);
  return {
    get current() {
      return current;
    },
    get heard() {
      return hasAnswered();
    },
    get currentAt() {
      noteCurrent();
      return currentAt;
    },
    async close() {
      closed = true;
      policies.close();
      nodes.close();
      next.close();
      await looking;
    },
  };
}

function withoutGone({ inForce, lost }: MergedObjects, gone: ReadonlySet<string>): ClusterPolicies {
  const staying = [...lost].filter(([name]) => !gone.has(name));
  return new Map<string, GoodPolicy | null>([...inForce, ...staying].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The same problem in other words (a version, a time in its message) is no news: the first words stay. */
function createSteadyProblem(): (problem: WatchProblem | null) => WatchProblem | null {
  let said: WatchProblem | null = null;
  return (problem) => {
    if (problem?.code !== said?.code) said = problem;
    return said;
  };
}

/** What is worth a write to the disk; versions alone are not, since they move with every status. */
function keptWords(policies: ClusterPolicies | null, node: NodeFacts | null): string {
  return formatKeptCluster({ policies, policiesVersion: null, node, nodeVersion: null });
}
