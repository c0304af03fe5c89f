// A simulated node whose agent talks to a real API server: the machine and its kubelet are the simulation's, the connection is the
// agent's own over TLS. The node's time goes as fast as ours.
import { setTimeout as sleep } from 'node:timers/promises';
import { createClusterOrigin } from '../../../src/agent/cluster/cluster-origin.ts';
import { createApiConnection } from '../../../src/kube/api-connection.ts';
import { createHttp } from '../../../src/kube/http-adapter.ts';
import { readKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { type AgentLife, AgentNode } from '../../support/agent-node.ts';

const tick = 20;

export interface SimulatedNode {
  readonly node: AgentNode;
  /** Requests that its agents sent, by verb, beginning with the last start. */
  sent(): Readonly<Record<string, number>>;
  /** Starts an agent, which lives until it is stopped or killed. */
  start(): Promise<AgentLife>;
  /** Ends the node's time. */
  close(): Promise<void>;
}

/** The demo's node, named `name`, booted; its agents are who the kubeconfig says. */
export async function simulatedNode(name: string, kubeconfig: string): Promise<SimulatedNode> {
  const access = await readKubeconfig({ files: createFiles(), path: kubeconfig, address: null });
  let sent: () => Readonly<Record<string, number>> = () => ({});
  const node = new AgentNode(demoNode, [], ({ files, clock, processes }, logger, metrics) => {
    const connection = createApiConnection({
      ...access,
      http: createHttp(access),
      clock,
      userAgent: 'vfio-operator-agent/test',
    });
    sent = () => ({ ...connection.sent });
    return createClusterOrigin({
      connection,
      files,
      clock,
      random: createSeededRandom(processes.self.pid),
      logger,
      metrics,
      config: { state: '/var/lib/vfio-operator', nodeName: name, nodeAddresses: [], apiServers: [] },
    });
  });
  await node.boot();
  const end = new AbortController();
  const time = (async () => {
    for (let last = Date.now(); !end.signal.aborted; await sleep(tick)) {
      const now = Date.now();
      await node.clock.advance(now - last);
      last = now;
    }
  })();
  return {
    node,
    sent: () => sent(),
    // Its time is ours: ten seconds at one stroke would be over before a real API server has answered.
    start: () => node.start(0),
    async close() {
      end.abort();
      await time;
    },
  };
}
