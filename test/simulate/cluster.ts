// The cluster of a simulated node: policies, Node and node state live on a simulated API server, which may be away, old, or say things
// twice. The agent's own connection, reflectors and node state publisher run on it.
import { createClusterOrigin } from '../../src/agent/cluster/cluster-origin.ts';
import type { ClusterOriginParts } from '../../src/agent/cluster/cluster-origin.ts';
import type { PolicyOrigin } from '../../src/agent/policy-origin.ts';
import { createApiConnection } from '../../src/kube/api-connection.ts';
import type { Credentials } from '../../src/kube/ports.ts';
import { disturbApiServer } from '../../src/simulation/api-server-disturb.ts';
import { createApiServer } from '../../src/simulation/api-server.ts';
import type { SimulatedApiServer } from '../../src/simulation/api-server.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import type { Clock } from '../../src/runtime/ports.ts';
import type { SimulatedEvent } from './event.ts';
import { createMortalHttp } from './mortal-http.ts';
import type { LifeOfProcess } from './mortal-grpc.ts';
import { policyDocument } from './policy-templates.ts';
import type { PolicySpec } from './policy-templates.ts';

const nodeName = 'node-1';
const groupPath = '/apis/vfio-operator.dev/v1alpha1';

const credentials: Credentials = {
  token: () => 'token',
  tls: () => ({ ca: null, certificate: null, key: null, serverName: null }),
  forget: () => undefined,
};

/** Longest pause of a client before it asks again, with room: milliseconds. */
export const clusterPatience = 90_000;

/** One cluster. */
export class Cluster {
  readonly api: SimulatedApiServer;
  /** What people want, whether or not the API server has it now. */
  private readonly wanted = new Map<string, PolicySpec>();
  private withoutCrd = false;
  private looked = 0;

  constructor(clock: Clock) {
    this.api = createApiServer({ clock });
    this.putNode();
  }

  /** What a life of the agent has of it; `end` closes its connections. */
  open(
    parts: Omit<ClusterOriginParts, 'connection' | 'config'>,
    state: string,
    life: LifeOfProcess,
  ): { readonly origin: PolicyOrigin; end(): void } {
    const inner = this.api.connect();
    const connection = createApiConnection({
      http: createMortalHttp(inner, life),
      credentials,
      clock: parts.clock,
      server: { host: '10.96.0.1', port: 443 },
      userAgent: 'simulated',
    });
    const config = { state, nodeName, nodeAddresses: [], apiServers: [] };
    return { origin: createClusterOrigin({ ...parts, connection, config }), end: () => inner.close() };
  }

  setPolicy(name: string, spec: PolicySpec): void {
    this.wanted.set(name, spec);
    if (!this.withoutCrd) this.putPolicy(name, spec);
  }

  private putPolicy(name: string, spec: PolicySpec): void {
    const { uid } = (this.api.get('vfiopolicies', name)?.metadata ?? {}) as { readonly uid?: string };
    const document = policyDocument(name, spec);
    this.api.put('vfiopolicies', uid === undefined ? document : { ...document, metadata: { name, uid } });
  }

  removePolicy(name: string): void {
    this.wanted.delete(name);
    this.api.delete('vfiopolicies', name);
  }

  /** Nothing that the agent can be sure of is to be had; says what was done. */
  hide(event: SimulatedEvent): string {
    const { faults } = this.api;
    const ways: readonly (() => string)[] = [
      () => {
        faults.goAway();
        return 'the API server goes away';
      },
      () => {
        faults.freeze();
        return 'the API server stands still';
      },
      () => {
        faults.refuse('vfiopolicies', 404);
        faults.expireWatches();
        return 'the CRD is not served';
      },
      () => {
        this.withoutCrd = true;
        this.api.deleteCrd('vfiopolicies');
        return 'the CRD is deleted, and all policies with it';
      },
      ...([401, 403] as const).map((status) => () => {
        faults.refuse('vfiopolicies', status);
        faults.cutWatches();
        return `policies are refused with ${status}`;
      }),
      () => {
        faults.refuse('nodes', 403);
        faults.cutWatches();
        return 'the Node is refused with 403';
      },
      () => {
        this.api.delete('nodes', nodeName);
        return 'the Node is deleted';
      },
    ];
    return ways[Math.floor(event.what * ways.length)]?.() ?? '';
  }

  /** Something is wrong with it, by chance. */
  disturb(event: SimulatedEvent): string {
    return disturbApiServer(this.api, createSeededRandom(1 + Math.floor(event.what * 0x7fff_fffe)));
  }

  /** Everything works again. */
  heal(): void {
    this.api.faults.heal();
    if (this.withoutCrd) {
      this.withoutCrd = false;
      this.api.createCrd('vfiopolicies');
      for (const [name, spec] of this.wanted) this.putPolicy(name, spec);
    }
    if (this.api.get('nodes', nodeName) === null) this.putNode();
  }

  /** Writes that it was asked for since the last call. */
  takeWrites(): readonly string[] {
    const writes = this.api.seen.slice(this.looked).filter(({ verb }) => verb !== 'GET' && verb !== 'WATCH');
    this.looked = this.api.seen.length;
    return writes.map(({ verb, path }) => `${verb} ${path.replace(`${groupPath}/`, '')}`);
  }

  private putNode(): void {
    this.api.put('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: nodeName, labels: { zone: 'a' } },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.2.15' }] },
    });
  }
}
