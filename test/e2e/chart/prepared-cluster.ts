// A control plane made ready for the chart: its namespace, two nodes; and what tests do with an installed one.

import type { KubernetesObject } from '../cluster/api-client.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { until } from '../cluster/until.ts';
import { CHART, NAMESPACE, RELEASE, valuesFile } from './chart.ts';

export const policies = '/apis/vfio-operator.dev/v1alpha1/vfiopolicies';
export const nodeStates = '/apis/vfio-operator.dev/v1alpha1/vfionodestates';

/** A control plane without the CRDs, with the release's namespace as Pod Security wants it, and the nodes lab1 and lab2. */
export async function startPrepared(): Promise<ControlPlane> {
  const cluster = await startControlPlane({ crds: false, nodes: ['lab1', 'lab2'] });
  const create = (path: string, body: KubernetesObject): Promise<KubernetesObject> =>
    cluster.admin.expect({ method: 'POST', path, body });
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
  await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } });
  for (const name of ['lab1', 'lab2'])
    await create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  return cluster;
}

/** Installs the chart and waits until policies are served; its pods have nobody to run them. */
export async function install(cluster: ControlPlane, values: object = {}): Promise<void> {
  await cluster.helm(['install', RELEASE, CHART, '--namespace', NAMESPACE, '--values', valuesFile(values)]);
  await until('the policies are served', async () => (await cluster.admin.request({ path: policies })).status === 200);
}

/** A token as an agent's pod on `node` has it; the pod is never run, it is what the token is bound to. */
export async function tokenOfAgentOn(cluster: ControlPlane, node: string): Promise<string> {
  const name = `agent-${node}`;
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
  if ((await cluster.admin.request({ path: `${path}/${name}` })).status === 404) {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        nodeName: node,
        serviceAccountName: 'vfio-operator-agent',
        containers: [{ name: 'agent', image: 'lab.local/none' }],
      },
    };
    await cluster.admin.expect({ method: 'POST', path, body });
  }
  return cluster.serviceAccountToken(NAMESPACE, 'vfio-operator-agent', name);
}
