// Whose node state is whose, with the chart's RBAC and admission policy on a real API server and real tokens of two nodes: an agent's token
// writes its own node's state and no other's, reads what it needs and nothing else; a host service is its node where the chart allows it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiResponse } from './api-client.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { installOperator, NAMESPACE } from './operator.ts';
import { until } from './until.ts';

const nodes = ['lab1', 'lab2'] as const;
const agent = 'vfio-operator-agent';
const states = '/apis/vfio-operator.dev/v1alpha1/vfionodestates';
const policies = '/apis/vfio-operator.dev/v1alpha1/vfiopolicies';

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: true, crds: false, nodes });
  await installOperator(cluster);
  for (const name of nodes) {
    await cluster.kubectl(
      ['create', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } }),
    );
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `agent-${name}`, namespace: NAMESPACE },
      spec: { nodeName: name, serviceAccountName: agent, containers: [{ name: 'agent', image: 'lab.local/none' }] },
    };
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(pod));
  }
  // Right after a CRD the API server answers 429 for a while: its cache of the new objects fills.
  for (const path of [states, policies])
    await until(path, async () => (await cluster.admin.request({ path })).status === 200);
  for (const name of nodes) expect((await applyState(name, cluster.token('admin'))).status).toBe(201);
  // The API server takes an admission policy to heart some time after it has stored it.
  const unbound = await cluster.serviceAccountToken(NAMESPACE, agent);
  await until('the admission policy', async () => (await applyState('lab1', unbound)).status === 403);
});
afterAll(async () => cluster?.stop());

const tokenOf = (node: string): Promise<string> => cluster.serviceAccountToken(NAMESPACE, agent, `agent-${node}`);

/** Server-side apply of a node state's status, as the agent writes it; the object itself comes first where there is none. */
async function applyState(node: string, token: string, subresource = ''): Promise<ApiResponse> {
  return cluster.admin.request({
    method: 'PATCH',
    path: `${states}/${node}${subresource}?fieldManager=vfio-operator-agent&force=true`,
    contentType: 'application/apply-patch+yaml',
    body: {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioNodeState',
      metadata: { name: node },
      ...(subresource === '' ? {} : { status: { devices: [] } }),
    },
    token,
  });
}

const status = async (token: string, method: 'GET' | 'DELETE', path: string): Promise<number> =>
  (await cluster.admin.request({ method, path, token })).status;

describe.each(nodes)("the agent's token of %s", (own) => {
  const other = own === 'lab1' ? 'lab2' : 'lab1';

  test('writes its own node state, and its status', async () => {
    expect(await applyState(own, await tokenOf(own))).toMatchObject({ status: 200 });
    expect(await applyState(own, await tokenOf(own), '/status')).toMatchObject({ status: 200 });
  });

  test("is refused the other's, in words that say whose it is", async () => {
    const token = await tokenOf(own);
    for (const subresource of ['', '/status']) {
      const answer = await applyState(other, token, subresource);
      expect(answer.status).toBe(403);
      expect(answer.body['message']).toContain(
        `the agent of node ${own} may write the node state of that node alone, not that of ${other}`,
      );
    }
    expect(await status(token, 'DELETE', `${states}/${other}`)).toBe(403);
  });

  test('reads policies, nodes and node states, and nothing else', async () => {
    const token = await tokenOf(own);
    const read = await Promise.all([policies, '/api/v1/nodes', states].map((path) => status(token, 'GET', path)));
    expect(read).toEqual([200, 200, 200]);
    const denied = ['/api/v1/secrets', '/api/v1/pods', '/api/v1/configmaps', `/api/v1/namespaces/${NAMESPACE}/pods`];
    expect(await Promise.all(denied.map((path) => status(token, 'GET', path)))).toEqual(denied.map(() => 403));
    expect(await status(token, 'DELETE', `${policies}/any`)).toBe(403);
  });
});

test('a token of the same account that names no node writes no state', async () => {
  const answer = await applyState('lab1', await cluster.serviceAccountToken(NAMESPACE, agent));
  expect(answer).toMatchObject({ status: 403 });
  expect(answer.body['message']).toContain('this token names no node');
});

test('a node itself writes nothing, until the chart allows host services; then its own state alone', async () => {
  const own = cluster.token('system:node:lab1');
  expect((await applyState('lab1', own, '/status')).status).toBe(403);
  await installOperator(cluster, { 'hostAgents.enabled': true });
  await until('the right of host services', async () => (await applyState('lab1', own, '/status')).status === 200);
  const answer = await applyState('lab2', own, '/status');
  expect(answer).toMatchObject({ status: 403 });
  expect(answer.body['message']).toContain('the agent of node lab1 may write the node state of that node alone');
});
