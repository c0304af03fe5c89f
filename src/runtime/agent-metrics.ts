// The agent's Prometheus metrics. Names and labels are documented in docs/operations.md; no label carries a secret or an address
// of unbounded number.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { addApiRequestsCounter } from './api-requests-counter.ts';

export interface AgentMetrics {
  /** Replaces the counts of devices by decision and code. */
  setDevices(counts: readonly { readonly decision: string; readonly code: string; readonly count: number }[]): void;
  observeStep(kind: string, outcome: string, milliseconds: number): void;
  setStuck(count: number): void;
  setResources(
    resources: readonly {
      readonly resource: string;
      readonly registered: boolean;
      readonly capacity: number;
      readonly healthy: number;
    }[],
  ): void;
  observeAllocate(resource: string, ok: boolean, milliseconds: number): void;
  observePass(milliseconds: number, ok: boolean, finishedAt: number): void;
  observeEvent(reason: string, outcome: string): void;
  /** Whether the policies are completely known. */
  setPoliciesKnown(known: boolean): void;
  /** Asked at every scrape, while the agent has an API server. */
  watchApi(api: ApiFigures): void;
  /** The text exposition format. */
  text(): Promise<string>;
}

/** What the connection to the API server can tell. */
export interface ApiFigures {
  /** Requests sent so far, by verb. */
  readonly sent: Readonly<Record<string, number>>;
  /** When the policies were last known to be current, milliseconds since the epoch; null: never. */
  readonly currentAt: number | null;
}

const seconds = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export function createAgentMetrics(): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  const devices = new Gauge({
    name: 'vfio_operator_devices',
    help: 'Devices of interest by decision and, where it is refused or held, code.',
    labelNames: ['decision', 'code'],
    registers,
  });
  const steps = new Histogram({
    name: 'vfio_operator_step_duration_seconds',
    help: 'Duration of steps of transactions.',
    labelNames: ['kind', 'outcome'],
    buckets: seconds,
    registers,
  });
  const stuck = new Gauge({
    name: 'vfio_operator_stuck_workers',
    help: 'Kernel calls that have not returned.',
    registers,
  });
  const registered = new Gauge({
    name: 'vfio_operator_resource_registered',
    help: '1 while kubelet watches the resource.',
    labelNames: ['resource'],
    registers,
  });
  const capacity = new Gauge({
    name: 'vfio_operator_resource_devices',
    help: 'Advertised devices of a resource by health.',
    labelNames: ['resource', 'health'],
    registers,
  });
  const allocate = new Histogram({
    name: 'vfio_operator_allocate_duration_seconds',
    help: 'Duration of Allocate calls.',
    labelNames: ['resource', 'outcome'],
    buckets: seconds,
    registers,
  });
  const pass = new Histogram({
    name: 'vfio_operator_pass_duration_seconds',
    help: 'Duration of reconcile passes.',
    labelNames: ['outcome'],
    buckets: seconds,
    registers,
  });
  const last = new Gauge({
    name: 'vfio_operator_last_successful_pass_timestamp_seconds',
    help: 'When the last pass succeeded, seconds since the epoch.',
    registers,
  });
  let api: ApiFigures | null = null;
  addApiRequestsCounter('vfio_operator_api_requests_total', registry, () => api?.sent ?? {});
  const current = new Gauge({
    name: 'vfio_operator_policies_current_timestamp_seconds',
    help: 'When the policies of the API server were last known to be current, seconds since the epoch; 0: never.',
    registers: [],
    collect() {
      this.set((api?.currentAt ?? 0) / 1000);
    },
  });
  registry.registerMetric(current);
  const known = new Gauge({
    name: 'vfio_operator_policies_known',
    help: '1 while the policies are completely known; while it is 0 nothing is released.',
    registers,
  });
  const events = new Counter({
    name: 'vfio_operator_events_total',
    help: 'Events, by reason and what became of them.',
    labelNames: ['reason', 'outcome'],
    registers,
  });
  return {
    observeEvent: (reason, outcome) => events.inc({ reason, outcome }),
    setPoliciesKnown: (isKnown) => known.set(isKnown ? 1 : 0),
    watchApi(figures) {
      api = figures;
    },
    setDevices(counts) {
      devices.reset();
      for (const { decision, code, count } of counts) devices.set({ decision, code }, count);
    },
    observeStep: (kind, outcome, milliseconds) => steps.observe({ kind, outcome }, milliseconds / 1000),
    setStuck: (count) => stuck.set(count),
    setResources(resources) {
      registered.reset();
      capacity.reset();
      for (const entry of resources) {
        registered.set({ resource: entry.resource }, entry.registered ? 1 : 0);
        capacity.set({ resource: entry.resource, health: 'Healthy' }, entry.healthy);
        capacity.set({ resource: entry.resource, health: 'Unhealthy' }, entry.capacity - entry.healthy);
      }
    },
    observeAllocate: (resource, ok, milliseconds) =>
      allocate.observe({ resource, outcome: ok ? 'ok' : 'error' }, milliseconds / 1000),
    observePass(milliseconds, ok, finishedAt) {
      pass.observe({ outcome: ok ? 'ok' : 'error' }, milliseconds / 1000);
      if (ok) last.set(finishedAt / 1000);
    },
    text: () => registry.metrics(),
  };
}
