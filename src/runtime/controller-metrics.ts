// The controller's Prometheus metrics. Names and labels are documented in docs/controller.md; policies are the only names among labels.
import { Counter, Gauge, Registry } from 'prom-client';
import { addApiRequestsCounter } from './api-requests-counter.ts';

/** The sums of one policy, as far as metrics show them. */
interface MeasuredSums {
  readonly tally: Readonly<Record<'matched' | 'ready' | 'degraded' | 'vanished', number>>;
  readonly problemCount: number;
}

/** What is measured of the aggregation. */
export interface MeasuredFleet {
  readonly policies: ReadonlyMap<string, unknown>;
  sumsOf(policy: string): MeasuredSums | null;
}

export interface ControllerMetrics {
  setLeader(leads: boolean): void;
  /** Replaces what is shown of policies and nodes. */
  setFleet(fleet: MeasuredFleet, nodes: number): void;
  countWrite(outcome: string): void;
  /** `code` null: list and watch work. */
  setWatchProblem(collection: string, code: string | null): void;
  /** Requests to the API server by verb since the start. */
  setRequests(sent: Readonly<Record<string, number>>): void;
  /** The text exposition format. */
  text(): Promise<string>;
}

export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const leader = new Gauge({
    name: 'vfio_operator_controller_leader',
    help: '1 while this replica leads.',
    registers,
  });
  const nodes = new Gauge({ name: 'vfio_operator_controller_nodes', help: 'Nodes of the cluster.', registers });
  const policies = new Gauge({ name: 'vfio_operator_controller_policies', help: 'Policies.', registers });
  const policyNodes = new Gauge({
    name: 'vfio_operator_policy_nodes',
    help: 'Nodes of a policy by state: matched, ready, degraded, vanished.',
    labelNames: ['policy', 'state'],
    registers,
  });
  const problems = new Gauge({
    name: 'vfio_operator_policy_problems',
    help: 'What is wrong under a policy, over all nodes.',
    labelNames: ['policy'],
    registers,
  });
  const writes = new Counter({
    name: 'vfio_operator_controller_status_writes_total',
    help: 'Writes of policy statuses by outcome: written, gone, failed.',
    labelNames: ['outcome'],
    registers,
  });
  const watchProblem = new Gauge({
    name: 'vfio_operator_controller_watch_problem',
    help: '1 while a collection cannot be listed or watched, by code.',
    labelNames: ['collection', 'code'],
    registers,
  });
  let requests: Readonly<Record<string, number>> = {};
  addApiRequestsCounter('vfio_operator_controller_api_requests_total', registry, () => requests);
  leader.set(0);
  const codes = new Map<string, string>();
  return {
    setLeader: (leads) => leader.set(leads ? 1 : 0),
    setFleet(fleet, count) {
      nodes.set(count);
      policies.set(fleet.policies.size);
      policyNodes.reset();
      problems.reset();
      for (const policy of fleet.policies.keys()) {
        const sums = fleet.sumsOf(policy);
        if (sums === null) continue;
        for (const state of ['matched', 'ready', 'degraded', 'vanished'] as const)
          policyNodes.set({ policy, state }, sums.tally[state]);
        problems.set({ policy }, sums.problemCount);
      }
    },
    countWrite: (outcome) => writes.inc({ outcome }),
    setWatchProblem(collection, code) {
      const former = codes.get(collection);
      if (former !== undefined) watchProblem.remove({ collection, code: former });
      codes.delete(collection);
      if (code === null) return;
      codes.set(collection, code);
      watchProblem.set({ collection, code }, 1);
    },
    setRequests(sent) {
      requests = sent;
    },
    text: () => registry.metrics(),
  };
}
