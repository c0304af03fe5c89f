// A simulated node in a simulated cluster: the agent's real code with its real connection, below it an API server that behaves, or not.
import { createClusterOrigin } from '../../src/agent/cluster/cluster-origin.ts';
import type { PolicyOrigin } from '../../src/agent/policy-origin.ts';
import { createApiConnection } from '../../src/kube/api-connection.ts';
import type { Credentials } from '../../src/kube/ports.ts';
import { createApiServer, type SimulatedApiServer } from '../../src/simulation/api-server.ts';
import type { KernelSpec } from '../../src/simulation/kernel/spec.ts';
import { demoNode } from '../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import type { VirtualClock } from '../../src/simulation/virtual-clock.ts';
import { AgentNode } from './agent-node.ts';
import { aNodeObject } from './cluster-objects.ts';

const noCredentials: Credentials = {
  token: () => 'token',
  tls: () => ({ ca: null, certificate: null, key: null, serverName: null }),
  forget: () => undefined,
};

export interface ClusterNode {
  readonly node: AgentNode;
  readonly api: SimulatedApiServer;
  readonly clock: VirtualClock;
  /** That of the last agent. */
  origin(): PolicyOrigin;
  /** The node state as the API server has it. */
  nodeState(): NodeStateObject | null;
  /** Writes that the API server was asked for since the last call, as `VERB path`. */
  takeWrites(): readonly string[];
}

export interface NodeStateObject {
  readonly metadata: { readonly uid: string; readonly ownerReferences?: readonly { readonly uid: string }[] };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[];
    readonly devices?: readonly { readonly address: string; readonly decision: string; readonly code?: string }[];
    readonly resources?: readonly { readonly name: string; readonly healthy: number; readonly allocated: number }[];
    readonly policies?: readonly {
      readonly name: string;
      readonly observedGeneration: number;
      readonly code?: string;
    }[];
  };
}

/** A cluster with this node in it, booted; no agent runs yet. */
export async function clusterNode(spec: KernelSpec = demoNode): Promise<ClusterNode> {
  let looked = 0;
  let origin: PolicyOrigin | null = null;
  // The API server lives in the node's time.
  const node = new AgentNode(spec, [], (process, logger, metrics) => {
    const { clock, files } = process;
    const server = { host: '10.96.0.1', port: 443 };
    const connection = createApiConnection({
      http: api.connect(),
      credentials: noCredentials,
      clock,
      server,
      userAgent: 'test',
    });
    return (origin = createClusterOrigin({
      connection,
      files,
      clock,
      random: createSeededRandom(process.processes.self.pid),
      logger,
      metrics,
      config: { state: '/var/lib/vfio-operator', nodeName: 'node-1', nodeAddresses: [], apiServers: [] },
    }));
  });
  const api = createApiServer({ clock: node.clock });
  const cluster: ClusterNode = {
    node,
    api,
    clock: node.clock,
    origin() {
      if (origin === null) throw new Error('no agent was started');
      return origin;
    },
    nodeState: () => api.get('vfionodestates', 'node-1') as NodeStateObject | null,
    takeWrites() {
      const writes = api.seen.slice(looked).filter(({ verb }) => !['GET', 'WATCH'].includes(verb));
      looked = api.seen.length;
      return writes.map(({ verb, path }) => `${verb} ${path.replace('/apis/vfio-operator.dev/v1alpha1/', '')}`);
    },
  };
  api.put('nodes', toJson(aNodeObject('node-1')));
  await node.boot();
  return cluster;
}

/** Objects of ours as the API server's own type. */
export function toJson(object: object): Parameters<SimulatedApiServer['put']>[1] {
  return JSON.parse(JSON.stringify(object)) as Parameters<SimulatedApiServer['put']>[1];
}
