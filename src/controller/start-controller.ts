// The controller: waits to lead, then keeps every policy's status what the node states say. Guarantees: writes nothing but statuses,
// and only while it leads; a replica that waits watches nothing. Losing the Lease ends the program: the next start begins clean.
import { toKubeVirtNote } from '../domain/kubevirt-note.ts';
import type { ApiConnection } from '../kube/api-connection.ts';
import { type LeaderElection, type LeaseTimes, startLeaderElection } from '../kube/leader-election.ts';
import type { ControllerMetrics } from '../runtime/controller-metrics.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Verdict } from '../runtime/ops-server-adapter.ts';
import type { Clock, Random } from '../runtime/ports.ts';
import { createStatusWriter, type StatusWriter } from './status-writer.ts';
import { type ClusterWatch, watchCluster } from './watch-cluster.ts';

export interface ControllerParts {
  readonly connection: ApiConnection;
  /** For the Lease alone: a renewal must not wait behind the lists of a new leader. */
  readonly leaseConnection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ControllerMetrics;
  /** Where the Lease and the agents' pods are. */
  readonly namespace: string;
  readonly lease: string;
  /** Unique for each process. */
  readonly identity: string;
  /** Whether to say what KubeVirt still needs. */
  readonly kubeVirt: boolean;
  readonly times?: LeaseTimes;
  /** Called once when the Lease is lost; the program ends. */
  readonly onLost: (why: string) => void;
}

export interface Controller {
  ready(): Verdict;
  /** Ends what runs and gives the Lease back. */
  stop(): Promise<void>;
}

/** A new leader writes nothing for as long as the one before may have written last. */
const quietAfterSuccession = 5000;
const metricsInterval = 5000;

/** Starts asking for the Lease. */
export function startController(parts: ControllerParts): Controller {
  const { logger, metrics, identity } = parts;
  let term: Term | null = null;
  let waitingFor = 'nobody has answered yet';
  const election = startLeaderElection({
    connection: parts.leaseConnection,
    clock: parts.clock,
    random: parts.random,
    namespace: parts.namespace,
    lease: parts.lease,
    identity,
    ...(parts.times === undefined ? {} : { times: parts.times }),
    onLead: ({ succession }) => {
      logger.info({ identity, lease: parts.lease }, 'leading');
      metrics.setLeader(true);
      term = startTerm(parts, () => election, succession);
    },
    onLost: (why) => {
      metrics.setLeader(false);
      logger.error({ why }, 'no longer leading; ending');
      term?.watch.close();
      parts.onLost(why);
    },
    onWait: (why) => {
      waitingFor = why;
      logger.info({ why }, 'waiting');
    },
  });
  return {
    ready() {
      if (term === null) return { ok: true, message: `waiting to lead: ${waitingFor}` };
      const missing = term.watch.missing();
      if (missing.length > 0) return { ok: false, message: `not seen yet: ${missing.join(', ')}${problemsOf(term)}` };
      const problems = problemsOf(term);
      return { ok: problems === '', message: `leading${problems}` };
    },
    async stop() {
      term?.watch.close();
      await term?.writer.stop();
      await election.release();
      metrics.setLeader(false);
    },
  };
}

interface Term {
  readonly watch: ClusterWatch;
  readonly writer: StatusWriter;
}

function problemsOf({ watch }: Term): string {
  // KubeVirt is not what we are here for.
  const ours = [...watch.problems].filter(([collection]) => collection !== 'kubevirts');
  return ours.map(([collection, { code, message }]) => `; ${collection}: ${code}: ${message}`).join('');
}

function startTerm(parts: ControllerParts, election: () => LeaderElection, succession: boolean): Term {
  const { connection, clock, random, logger, metrics } = parts;
  const writer = createStatusWriter({
    connection,
    clock,
    random,
    policy: (name) => watch.policy(name),
    sums: (name) => watch.fleet.sumsOf(name),
    notes: ({ facts: { resource } }) => {
      const config = watch.kubeVirt();
      if (config === null || resource === null || !resource.kubeVirt) return [];
      return [toKubeVirtNote(config, { name: resource.name, ids: watch.fleet.idsOf(resource.name) })];
    },
    mayAct: () => election().mayAct(),
    patience: () => Math.max(1, election().remaining()),
    quietAtFirst: succession ? quietAfterSuccession : 0,
    onOutcome: (policy, outcome, why) => {
      metrics.countWrite(outcome);
      if (outcome === 'written') logger.debug({ policy }, 'status written');
      else logger.warn({ policy, outcome, why }, 'status not written');
    },
  });
  const watch = watchCluster({
    connection,
    clock,
    random,
    namespace: parts.namespace,
    kubeVirt: parts.kubeVirt,
    onChange: (policies) => {
      for (const name of policies) writer.check(name);
    },
    onProblem: (collection, problem) => {
      metrics.setWatchProblem(collection, problem?.code ?? null);
      if (problem === null) logger.info({ collection }, 'list and watch work again');
      else logger.warn({ collection, ...problem }, 'cannot list and watch; what was known stays');
    },
  });
  const measure = (): void => {
    if (watch.missing().length === 0) metrics.setFleet(watch.fleet, watch.nodeCount());
    metrics.setRequests(addUp(connection.sent, parts.leaseConnection.sent));
    clock.after(metricsInterval, measure);
  };
  measure();
  return { watch, writer };
}

function addUp(one: ApiConnection['sent'], other: ApiConnection['sent']): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(one).map(([verb, count]) => [
      verb,
      count + (Object.entries(other).find(([name]) => name === verb)?.[1] ?? 0),
    ]),
  );
}
