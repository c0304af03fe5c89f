// A reflector on the simulated API server, in virtual time: what the tests of both look at.
import { type ApiConnection, createApiConnection } from '../../src/kube/api-connection.ts';
import type { KubeObject } from '../../src/kube/kube-object.ts';
import type { Credentials, TlsMaterial } from '../../src/kube/ports.ts';
import { type Reflector, startReflector, type WatchProblem } from '../../src/kube/reflector.ts';
import { type ApiServerOptions, createApiServer, type SimulatedApiServer } from '../../src/simulation/api-server.ts';
import type { JsonObject } from '../../src/simulation/api-server-merge.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createVirtualClock, type VirtualClock } from '../../src/simulation/virtual-clock.ts';

export const policiesPath = '/apis/vfio-operator.dev/v1alpha1/vfiopolicies';

const noTls: TlsMaterial = { ca: null, certificate: null, key: null, serverName: null };

/** Nobody in particular. */
export const anonymous: Credentials = {
  token: () => null,
  tls: () => noTls,
  forget: () => undefined,
};

/** A policy whose priority tells one version from another. */
export function policyObject(name: string, priority = 0, labels: JsonObject = {}): JsonObject {
  return { metadata: { name, labels }, spec: { priority, devices: [{ vendor: '10de' }] } };
}

/** A server with these policies, of priorities 0, 1, 2 and so on. */
export const withPolicies =
  (...names: readonly string[]) =>
  (server: SimulatedApiServer): void => {
    for (const [index, name] of names.entries()) server.put('vfiopolicies', policyObject(name, index));
  };

export interface WatchedPolicies {
  readonly clock: VirtualClock;
  readonly server: SimulatedApiServer;
  readonly connection: ApiConnection;
  readonly reflector: Reflector<number>;
  /** Names of every call of onChange. */
  readonly changes: (readonly string[])[];
  /** Every problem in turn, null for its end. */
  readonly problems: (WatchProblem | null)[];
  /** How often `keep` was called. */
  readonly kept: () => number;
  /** Known items as `name=priority`. */
  items(): readonly string[] | null;
  /** The truth, likewise. */
  truth(): readonly string[];
}

export interface WatchedPoliciesOptions extends Partial<ApiServerOptions> {
  readonly seed?: number;
  readonly pageSize?: number;
  readonly notBefore?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Done to the server before the reflector begins. */
  readonly prepare?: (server: SimulatedApiServer) => void;
  readonly keep?: (object: KubeObject) => number;
  readonly maxAnswerBytes?: number;
}

/** A server, a connection and a reflector of policies that keeps their priority. */
export function watchPolicies(options: WatchedPoliciesOptions = {}): WatchedPolicies {
  const { seed = 1, prepare, keep = priorityOf, maxAnswerBytes, pageSize, notBefore, ...rest } = options;
  const clock = createVirtualClock({ settle: settleByImmediate });
  const server = createApiServer({ ...rest, clock });
  prepare?.(server);
  const connection = createApiConnection({
    http: server.connect(),
    credentials: anonymous,
    clock,
    server: { host: 'simulated', port: 6443 },
    userAgent: 'test',
    ...(maxAnswerBytes === undefined ? {} : { maxAnswerBytes }),
  });
  const changes: (readonly string[])[] = [];
  const problems: (WatchProblem | null)[] = [];
  let kept = 0;
  const reflector = startReflector<number>({
    connection,
    clock,
    random: createSeededRandom(seed),
    path: policiesPath,
    ...(pageSize === undefined ? {} : { pageSize }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(options.fieldSelector === undefined ? {} : { fieldSelector: options.fieldSelector }),
    ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
    keep: (object) => {
      kept += 1;
      return keep(object);
    },
    onChange: (names) => changes.push(names),
    onProblem: (problem) => problems.push(problem),
  });
  return {
    clock,
    server,
    connection,
    reflector,
    changes,
    problems,
    kept: () => kept,
    items: () => {
      const { items } = reflector.state;
      return items === null ? null : [...items].map(([name, priority]) => `${name}=${priority}`).sort();
    },
    truth: () =>
      server
        .list('vfiopolicies')
        .map((object) => `${(object.metadata as JsonObject).name as string}=${priorityOf(object as never)}`)
        .sort(),
  };
}

function priorityOf(object: KubeObject): number {
  return (object.spec as { readonly priority: number }).priority;
}
