// A whole small cluster with the operator in it: control plane, one node of the lab with the image, the chart installed, its pods ready.

import type { BootOptions } from '../lab/boot.ts';
import { LabError, say } from '../lab/lab-error.ts';
import type { KubernetesObject } from './api-client.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { startNode } from './node.ts';
import type { Node, NodeOptions } from './node.ts';
import { clusterImage } from './operator-image.ts';
import type { OperatorImage } from '../image/operator-image.ts';
import { eventually, installOperator, NAMESPACE } from './operator.ts';
import type { Values } from './operator.ts';

export interface OperatorOnNode {
  readonly cluster: ControlPlane;
  readonly node: Node;
  readonly image: OperatorImage;
  /** The agent's pod on the node; undefined while there is none that is not being deleted. */
  agentPod(): Promise<KubernetesObject | undefined>;
  /** Waits until an agent's pod is Ready, another one than `not` if given, and returns it. */
  waitForAgent(not?: string): Promise<KubernetesObject>;
  /** `helm upgrade` with `values` beside those it was installed with. */
  upgrade(values: Values): Promise<void>;
  /** What the cluster and the node have to say for a failure. */
  explain(): Promise<string>;
  /** Ends node and control plane. */
  stop(): Promise<void>;
}

export interface OperatorOnNodeOptions extends Partial<Omit<NodeOptions, 'name'>> {
  readonly values?: Values;
  readonly kernel?: BootOptions['kernel'];
}

/** Name of the one node. */
export const NODE = 'lab1';

/** Starts it all; ends it all when something does not come up. */
export async function startOperatorOnNode(options: OperatorOnNodeOptions = {}): Promise<OperatorOnNode> {
  const image = await clusterImage();
  const cluster = await startControlPlane({ controllerManager: true, scheduler: true, crds: false, nodes: [NODE] });
  let node: Node | undefined;
  try {
    const values = { 'image.repository': image.repository, 'image.tag': image.tag, ...options.values };
    await installOperator(cluster, values);
    node = await startNode(cluster, { kernel: '6.12', ...options, name: NODE, images: [image.archive] });
    const operator = joined(cluster, node, image, values);
    const began = performance.now();
    await operator.waitForAgent();
    say(`the agent's pod was Ready ${((performance.now() - began) / 1000).toFixed(1)} s after its node`);
    return operator;
  } catch (error) {
    await node?.guest.kill();
    await cluster.stop();
    throw error;
  }
}

function joined(cluster: ControlPlane, node: Node, image: OperatorImage, values: Values): OperatorOnNode {
  const selector = 'labelSelector=app.kubernetes.io%2Fcomponent%3Dagent';
  const agentPod = async (): Promise<KubernetesObject | undefined> => {
    const pods = await cluster.admin.list(`/api/v1/namespaces/${NAMESPACE}/pods?${selector}`);
    const living = pods.filter(
      (pod) =>
        pod.metadata?.deletionTimestamp === undefined && (pod['spec'] as { nodeName?: string }).nodeName === NODE,
    );
    if (living.length > 1) throw new LabError(`There are ${living.length} agents for one node.`);
    return living[0];
  };
  const explain = async (): Promise<string> => {
    const told = await cluster.tryKubectl(['get', 'pods,vfiopolicies,vfionodestates,events', '-A', '-o', 'wide']);
    const described = await cluster.tryKubectl(['describe', 'pods', '-n', NAMESPACE]);
    const logs = await node.guest
      .run(`for f in /var/log/pods/${NAMESPACE}_*/*/*.log; do echo "== $f"; tail -n 30 $f | cut -c 1-600; done`)
      .catch(String);
    const states = await cluster.tryKubectl(['get', 'vfiopolicies,vfionodestates', '-o', 'yaml']);
    return [told.stdout, told.stderr, described.stdout, states.stdout, logs, await node.complaints()].join('\n');
  };
  return {
    cluster,
    node,
    image,
    agentPod,
    waitForAgent: async (not) => {
      const pod = await eventually('a ready agent', agentPod, (one) => one?.metadata?.name !== not && isReady(one), {
        seconds: 400,
        explain,
      });
      return pod ?? {};
    },
    upgrade: (more) => installOperator(cluster, { ...values, ...more }),
    explain,
    stop: async () => {
      await node.shutdown();
      await cluster.stop();
    },
  };
}

/** Whether the pod's condition Ready is True. */
export function isReady(pod: KubernetesObject | undefined): boolean {
  const status = pod?.['status'] as { conditions?: readonly { type: string; status: string }[] } | undefined;
  return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
}
