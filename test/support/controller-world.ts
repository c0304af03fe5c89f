// The controller on the simulated API server: nodes with agents, policies, node states, in virtual time.
import type { VfioNodeStateStatus, VfioPolicySpec, VfioPolicyStatus } from '../../src/api/generated/types.ts';
import { type Controller, startController } from '../../src/controller/start-controller.ts';
import { createApiConnection } from '../../src/kube/api-connection.ts';
import type { Credentials } from '../../src/kube/ports.ts';
import { createControllerMetrics, type ControllerMetrics } from '../../src/runtime/controller-metrics.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import { createApiServer, type SimulatedApiServer, usualResources } from '../../src/simulation/api-server.ts';
import type { JsonObject } from '../../src/simulation/api-server-merge.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createVirtualClock, type VirtualClock } from '../../src/simulation/virtual-clock.ts';

export interface ControllerWorld {
  readonly clock: VirtualClock;
  readonly api: SimulatedApiServer;
  /** Starts a replica. */
  start(identity: string, seed?: number, kubeVirt?: boolean): Replica;
  policy(name: string, spec?: Partial<VfioPolicySpec>): void;
  /** A Node object with an agent's pod on it. */
  node(name: string, parts?: { readonly ready?: boolean; readonly labels?: Readonly<Record<string, string>> }): void;
  state(name: string, status: VfioNodeStateStatus): void;
  statusOf(policy: string): VfioPolicyStatus | null;
  /** Statuses written so far. */
  writes(): number;
}

export interface Replica {
  readonly controller: Controller;
  readonly metrics: ControllerMetrics;
  /** What it logged, as `level message`. */
  readonly log: readonly string[];
  /** Why it lost the Lease; null: it did not. */
  lost(): string | null;
}

const anyone: Credentials = {
  token: () => 'token',
  tls: () => ({ ca: null, certificate: null, key: null, serverName: null }),
  forget: () => undefined,
};

function recordingLogger(log: string[]): Logger {
  const record = (level: string) => (_fields: object, message: string) => void log.push(`${level} ${message}`);
  return {
    debug: record('debug'),
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    child: () => recordingLogger(log),
  };
}

const kubeVirts = {
  name: 'kubevirts',
  kind: 'KubeVirt',
  apiVersion: 'kubevirt.io/v1',
  root: '/apis/kubevirt.io/v1',
  namespaced: true,
};

/** Plain JSON, as the API server stores it. */
export function jsonOf(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

export function createControllerWorld(): ControllerWorld {
  const clock = createVirtualClock({ settle: settleByImmediate });
  const api = createApiServer({ clock, resources: [...usualResources, kubeVirts] });
  const metadata = (name: string) => ({ name, namespace: 'vfio' });
  return {
    clock,
    api,
    start(identity, seed = 1, kubeVirt = false) {
      const metrics = createControllerMetrics();
      const log: string[] = [];
      let lost: string | null = null;
      const server = { host: 'api', port: 6443 };
      const connect = () =>
        createApiConnection({ http: api.connect(), credentials: anyone, clock, server, userAgent: 'test' });
      const controller = startController({
        connection: connect(),
        leaseConnection: connect(),
        clock,
        random: createSeededRandom(seed),
        logger: recordingLogger(log),
        metrics,
        namespace: 'vfio',
        lease: 'controller',
        identity,
        kubeVirt,
        onLost: (why) => {
          lost = why;
        },
      });
      return { controller, metrics, log, lost: () => lost };
    },
    policy(name, spec = {}) {
      api.put('vfiopolicies', {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioPolicy',
        metadata: { name },
        spec: jsonOf({ devices: [{ vendor: '10de' }], ...spec }),
      });
    },
    node(name, { ready = true, labels = {} } = {}) {
      api.put('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, status: {} });
      api.put('pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          ...metadata(`agent-${name}`),
          labels: { 'app.kubernetes.io/name': 'vfio-operator', 'app.kubernetes.io/component': 'agent' },
        },
        spec: { nodeName: name },
        status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
      });
    },
    state(name, status) {
      api.put('vfionodestates', {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioNodeState',
        metadata: { name },
        status: jsonOf(status),
      });
    },
    statusOf: (policy) => (api.get('vfiopolicies', policy)?.status as VfioPolicyStatus | undefined) ?? null,
    writes: () => api.seen.filter(({ verb, path }) => verb === 'PATCH' && path.endsWith('/status')).length,
  };
}
