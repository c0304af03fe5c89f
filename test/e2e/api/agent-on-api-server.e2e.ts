// The agent against a real API server: what it writes there, and that nothing it cannot see is taken for gone.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AgentLife, nicResource } from '../../support/agent-node.ts';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';
import type { KubernetesObject } from '../cluster/api-client.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { applyCrds } from '../cluster/crds.ts';
import { type FaultProxy, startFaultProxy } from '../cluster/fault-proxy.ts';
import { until } from '../cluster/until.ts';
import { type SimulatedNode, simulatedNode } from './simulated-node.ts';

const group = '/apis/vfio-operator.dev/v1alpha1';
const statePath = `${group}/vfionodestates/node-1`;
const account = { namespace: 'default', name: 'agent' };

let cluster: ControlPlane;
let proxy: FaultProxy;
let machine: SimulatedNode;
let life: AgentLife;

/** What the chart grants the agent. */
const role = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'agent' },
  rules: [
    { apiGroups: ['vfio-operator.dev'], resources: ['vfiopolicies', 'vfionodestates'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
    { apiGroups: ['vfio-operator.dev'], resources: ['vfionodestates'], verbs: ['create', 'patch'] },
    { apiGroups: ['vfio-operator.dev'], resources: ['vfionodestates/status'], verbs: ['patch'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ],
};
const binding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'agent' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'agent' },
  subjects: [{ kind: 'ServiceAccount', namespace: account.namespace, name: account.name }],
};
const policy = {
  apiVersion: 'vfio-operator.dev/v1alpha1',
  kind: 'VfioPolicy',
  metadata: { name: 'nics' },
  spec: { devices: [{ addresses: [at.spareNic] }], resource: { name: nicResource } },
};

const apply = (object: object): Promise<string> => cluster.kubectl(['apply', '-f', '-'], JSON.stringify(object));
const driver = (): unknown => machine.node.driverOf(at.spareNic);
const known = (): unknown => life.agent.report?.policies.complete;
const why = (): string => life.agent.report?.policies.why ?? '';
const nodeState = async (): Promise<KubernetesObject> => cluster.admin.expect({ path: statePath });
const condition = async (type: string): Promise<unknown> => {
  const { status } = (await nodeState()) as unknown as {
    status?: { conditions: readonly { readonly type: string; readonly status: string }[] };
  };
  return status?.conditions.find((one) => one.type === type)?.status;
};
const untilKnown = (expected: boolean): Promise<void> =>
  until(`the policies to be ${expected ? '' : 'un'}known`, () => Promise.resolve(known() === expected), 240);
const untilDriver = (expected: string): Promise<void> =>
  until(`the device on ${expected}`, () => Promise.resolve(driver() === expected), 240);
const seconds = (count: number): Promise<void> => sleep(count * 1000);

beforeAll(async () => {
  cluster = await startControlPlane();
  proxy = await startFaultProxy(cluster);
  await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1', labels: { zone: 'a' } } });
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
  await apply(role);
});
afterAll(async () => {
  await proxy?.close();
  await cluster?.stop();
});

describe('an agent with its own rights', () => {
  beforeEach(async () => {
    await apply(binding);
    await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
    await applyCrds(cluster.admin);
    await apply(policy);
    const token = await cluster.serviceAccountToken(account.namespace, account.name);
    const kubeconfig = `${cluster.directory}/agent.kubeconfig`;
    writeFileSync(kubeconfig, cluster.kubeconfigText(token, proxy.url), { mode: 0o600 });
    machine = await simulatedNode('node-1', kubeconfig);
    life = await machine.start();
    await untilDriver('vfio-pci');
    await untilKnown(true);
    await until(
      'Ready',
      async () =>
        (await cluster.admin.request({ path: statePath })).status === 200 && (await condition('Registered')) === 'True',
    );
    return async () => {
      life.kill();
      await machine.close();
      proxy.accept();
      proxy.intercept(null);
    };
  });

  /** Waits until the agent has sent no write for 6 s: what was gathered last has arrived then. */
  async function untilQuiet(): Promise<void> {
    let before = '';
    await until('six seconds without a write', async () => {
      const { PATCH, POST, PUT, DELETE } = machine.sent();
      const now = JSON.stringify([PATCH, POST, PUT, DELETE]);
      const quiet = now === before;
      before = now;
      if (!quiet) await seconds(6);
      return quiet;
    });
  }

  test('writes its node state as the CRD has it, owned by its Node, and tells events about it', async () => {
    const node = await cluster.admin.expect({ path: '/api/v1/nodes/node-1' });
    const state = (await nodeState()) as unknown as { metadata: { uid: string; managedFields: unknown } };
    expect(state).toMatchObject({
      metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1', uid: node.metadata?.['uid'] }] },
      status: {
        devices: [{ address: at.spareNic, decision: 'Bound', driver: 'vfio-pci', policy: 'nics' }],
        policies: [{ name: 'nics', observedGeneration: 1 }],
        resources: [{ name: nicResource, capacity: 1, healthy: 1, registered: true }],
      },
    });
    expect(JSON.stringify(state.metadata.managedFields)).toContain('vfio-operator-agent');
    await until('the event', async () =>
      (await cluster.kubectl(['describe', 'vfionodestate', 'node-1'])).includes('bound to vfio-pci, was on e1000e'),
    );
    const listed = await cluster.kubectl([
      'get',
      'events',
      '-n',
      'default',
      '-o',
      'custom-columns=R:.reason',
      '--no-headers',
    ]);
    expect(listed.trim().split('\n')).toContain('Bound');
  });

  test('started again, changes nothing there; idle, it sends no write', async () => {
    await untilQuiet();
    const before = await nodeState();
    await machine.node.when(life.agent.stop());
    life = await machine.start();
    await untilKnown(true);
    await untilQuiet();
    const sent = machine.sent();
    const after = await nodeState();
    expect(after['status']).toEqual(before['status']);
    expect(after.metadata?.['resourceVersion']).toBe(before.metadata?.['resourceVersion']);
    await seconds(6);
    const { PATCH, POST, PUT, DELETE } = machine.sent();
    expect({ PATCH, POST, PUT, DELETE }).toEqual({ PATCH: sent['PATCH'], POST: sent['POST'], PUT: 0, DELETE: 0 });
  });

  test('writes its state again when somebody deleted it', async () => {
    await cluster.kubectl(['delete', 'vfionodestate', 'node-1']);
    await until('the state', async () => (await cluster.admin.request({ path: statePath })).status === 200, 120);
    await until('its status', async () => (await condition('Ready')) === 'True', 120);
  });

  test('gives back what a deleted policy had, also when it was deleted behind its back', async () => {
    proxy.refuse();
    await cluster.kubectl(['delete', 'vfiopolicy', 'nics']);
    await seconds(5);
    expect(driver()).toBe('vfio-pci');
    proxy.accept();
    await untilDriver('e1000e');
  });

  test('releases nothing while the API server is stopped, nor after a start without it, nor when it is back', async () => {
    await cluster.apiServer.stop();
    await seconds(5);
    expect([driver(), known()]).toEqual(['vfio-pci', true]);
    life.kill();
    life = await machine.start();
    await seconds(5);
    expect([driver(), known(), machine.node.offered(nicResource)]).toEqual([
      'vfio-pci',
      false,
      { [at.spareNic]: 'Healthy' },
    ]);
    await cluster.apiServer.start();
    await untilKnown(true);
    expect(driver()).toBe('vfio-pci');
  });

  test('releases nothing while the API server is frozen', async () => {
    cluster.apiServer.pause();
    await seconds(6);
    expect([driver(), known()]).toEqual(['vfio-pci', true]);
    cluster.apiServer.resume();
    await cluster.kubectl(['delete', 'vfiopolicy', 'nics']);
    await untilDriver('e1000e');
  });

  test('releases nothing when it is nobody any more (401): its service account was deleted', async () => {
    await cluster.kubectl(['delete', 'serviceaccount', account.name, '-n', account.namespace]);
    // The API server remembers a token for 10 s.
    await seconds(12);
    proxy.cut();
    await untilKnown(false);
    expect(why()).toContain('401');
    await cluster.kubectl(['delete', 'vfiopolicy', 'nics']);
    await seconds(6);
    expect(driver()).toBe('vfio-pci');
  });

  test('releases nothing when it may not read any more (403); once it may again, what is gone is gone', async () => {
    await cluster.kubectl(['delete', 'clusterrolebinding', 'agent']);
    proxy.cut();
    await untilKnown(false);
    expect(why()).toContain('403');
    await cluster.kubectl(['delete', 'vfiopolicy', 'nics']);
    await seconds(6);
    expect(driver()).toBe('vfio-pci');
    await apply(binding);
    await untilDriver('e1000e');
    expect(known()).toBe(true);
  });

  test('releases nothing when the CRD is deleted, and its objects with it; once it is there again, what is gone is gone', async () => {
    await cluster.kubectl(['delete', 'crd', 'vfiopolicies.vfio-operator.dev']);
    await untilKnown(false);
    await seconds(6);
    expect([driver(), known(), machine.node.offered(nicResource)]).toEqual([
      'vfio-pci',
      false,
      { [at.spareNic]: 'Healthy' },
    ]);
    expect(await condition('PoliciesKnown')).toBe('False');
    life.kill();
    life = await machine.start();
    await seconds(5);
    expect([driver(), known()]).toEqual(['vfio-pci', false]);
    await applyCrds(cluster.admin);
    await untilDriver('e1000e');
    expect(known()).toBe(true);
  });

  test('releases nothing when its Node is deleted', async () => {
    await cluster.kubectl(['delete', 'node', 'node-1']);
    await untilKnown(false);
    await seconds(5);
    expect([driver(), why()]).toEqual(['vfio-pci', expect.stringContaining('there is no Node node-1')]);
    await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1', labels: { zone: 'a' } } });
    await untilKnown(true);
  });

  test('obeys 429, and what it had to say arrives', async () => {
    proxy.intercept(({ method }) =>
      method === 'PATCH' ? { status: 429, headers: { 'retry-after': '4' } } : undefined,
    );
    machine.node.control.unplug(at.spareNic);
    await seconds(9);
    const refused = proxy.seen.filter(({ method, at: time }) => method === 'PATCH' && time > Date.now() - 8_500).length;
    expect(refused).toBeLessThanOrEqual(3);
    proxy.intercept(null);
    await until('the state', async () => JSON.stringify(await nodeState()).includes('"healthy":0'), 240);
    machine.node.control.plug(at.spareNic);
  });
});
