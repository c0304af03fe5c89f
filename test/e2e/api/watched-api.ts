// A service account, and our reflector of policies that runs as it: what connection.e2e.ts looks at.
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApiConnection, createApiConnection } from '../../../src/kube/api-connection.ts';
import { type ClusterAccess, inClusterAccess } from '../../../src/kube/cluster-access.ts';
import { createHttp } from '../../../src/kube/http-adapter.ts';
import { type Reflector, startReflector, type WatchProblem } from '../../../src/kube/reflector.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import type { Clock } from '../../../src/runtime/ports.ts';
import { createRandom } from '../../../src/runtime/random-adapter.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';

export const policiesPath = '/apis/vfio-operator.dev/v1alpha1/vfiopolicies';

/** A service account that may list and watch policies; `directory` is what kubelet would mount. */
export interface PolicyReader {
  readonly directory: string;
  /** A new token in place of the old, as kubelet renews it. */
  renew(): Promise<void>;
  /** No token of it is believed any more. */
  revoke(): Promise<void>;
  /** Takes its right to read away, or gives it. */
  allow(allowed: boolean): Promise<void>;
}

/** Makes it with a token. */
export async function makePolicyReader(cluster: ControlPlane, name: string): Promise<PolicyReader> {
  const directory = join(cluster.directory, name);
  mkdirSync(directory);
  copyFileSync(cluster.caFile, join(directory, 'ca.crt'));
  const apply = (object: object): Promise<string> => cluster.kubectl(['apply', '-f', '-'], JSON.stringify(object));
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'default' } };
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name } };
  const rules = [{ apiGroups: ['vfio-operator.dev'], resources: ['vfiopolicies'], verbs: ['list', 'watch'] }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  const subjects = [{ kind: 'ServiceAccount', name, namespace: 'default' }];
  await apply(account);
  await apply({ ...rbac, kind: 'ClusterRole', rules });
  const allow = async (allowed: boolean): Promise<void> => {
    if (allowed) await apply({ ...rbac, kind: 'ClusterRoleBinding', roleRef, subjects });
    else await cluster.kubectl(['delete', 'clusterrolebinding', name]);
  };
  const renew = async (): Promise<void> => {
    await apply(account);
    writeFileSync(join(directory, 'next'), await cluster.serviceAccountToken('default', name));
    renameSync(join(directory, 'next'), join(directory, 'token'));
  };
  await allow(true);
  await renew();
  return {
    directory,
    renew,
    allow,
    revoke: async () => void (await cluster.kubectl(['delete', 'serviceaccount', name, '-n', 'default'])),
  };
}

export interface WatchedApi {
  readonly connection: ApiConnection;
  readonly reflector: Reflector<number>;
  readonly problems: (WatchProblem | null)[];
  /** Names of all changes, in turn. */
  readonly changes: readonly string[];
  /** Known policies as `name=priority`. */
  items(): readonly string[] | null;
  /** Code of the problem there is now. */
  problem(): string | null;
  close(): void;
}

export interface WatchedApiOptions {
  readonly notBefore?: string;
  readonly pageSize?: number;
  readonly clock?: Clock;
}

/** Access of the service account by this address. */
export function accessOf(reader: PolicyReader, address: string): ClusterAccess {
  const { directory } = reader;
  return inClusterAccess({ files: createFiles(), serviceHost: undefined, servicePort: undefined, address, directory });
}

/** Connects, and watches the policies. */
export function watchApi({ server, credentials }: ClusterAccess, options: WatchedApiOptions = {}): WatchedApi {
  const { clock = createClock(), ...rest } = options;
  const http = createHttp({ server, credentials });
  const connection = createApiConnection({ http, credentials, clock, server, userAgent: 'connection-test' });
  const problems: (WatchProblem | null)[] = [];
  const changes: string[] = [];
  const reflector = startReflector<number>({
    ...rest,
    connection,
    clock,
    random: createRandom(),
    path: policiesPath,
    keep: ({ spec }) => (spec as { readonly priority?: number }).priority ?? 0,
    onChange: (names) => void changes.push(...names),
    onProblem: (problem) => void problems.push(problem),
  });
  return {
    connection,
    reflector,
    problems,
    changes,
    items: () => {
      const { items } = reflector.state;
      return items === null ? null : [...items].map(([name, priority]) => `${name}=${priority}`).toSorted();
    },
    problem: () => reflector.state.problem?.code ?? null,
    close() {
      reflector.close();
      connection.close();
    },
  };
}

/** The machine's clock, on which every wait is so much shorter: for waits of minutes that only have to be there. */
export function hurriedClock(factor: number): Clock {
  const clock = createClock();
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic() * factor,
    after: (milliseconds, run) => clock.after(milliseconds / factor, run),
  };
}
