// The node state and the events at the API server: what an agent writes over its life, and how little.
import { beforeEach, describe, expect, it, test } from 'vitest';
import type { AgentLife } from '../../support/agent-node.ts';
import { nicPod, nicResource } from '../../support/agent-node.ts';
import { aNodeObject, aPolicyObject } from '../../support/cluster-objects.ts';
import { clusterNode, toJson, type ClusterNode } from '../../support/cluster-node.ts';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';

let cluster: ClusterNode;
let life: AgentLife;

const policy = (name: string, spec: Record<string, unknown>): ReturnType<typeof toJson> =>
  toJson(aPolicyObject(name, { spec }));
const nics = policy('nics', { devices: [{ addresses: [at.spareNic] }], resource: { name: nicResource } });
const events = (): readonly { reason: string; note: string; regarding: { uid: string } }[] =>
  cluster.api.list('events') as unknown as { reason: string; note: string; regarding: { uid: string } }[];
const told = (): readonly string[] => events().map(({ reason, note }) => `${reason} ${note}`);
const states = (writes: readonly string[]): readonly string[] => writes.filter((one) => one.includes('vfionodestates'));

beforeEach(async () => {
  cluster = await clusterNode();
  cluster.api.put('vfiopolicies', nics);
  life = await cluster.node.start();
  await cluster.clock.advance(30_000);
});

test('an idle agent sends no write in an hour, and what it asks is only to go on watching', async () => {
  cluster.takeWrites();
  const before = cluster.api.seen.length;
  await cluster.clock.advance(3_600_000);
  expect(cluster.takeWrites()).toEqual([]);
  const asked = cluster.api.seen.slice(before);
  expect(new Set(asked.map(({ verb }) => verb))).toEqual(new Set(['WATCH']));
  expect(asked.length).toBeLessThan(60);
});

test('an agent that restarts changes nothing at the API server', async () => {
  const status = JSON.stringify(cluster.nodeState()?.status);
  await cluster.node.when(life.agent.stop());
  cluster.takeWrites();
  life = await cluster.node.start();
  await cluster.clock.advance(60_000);
  expect(states(cluster.takeWrites())).toEqual(['PATCH vfionodestates/node-1', 'PATCH vfionodestates/node-1/status']);
  expect(JSON.stringify(cluster.nodeState()?.status)).toBe(status);
});

test('a state that somebody deleted is written again, with its owner', async () => {
  cluster.api.delete('vfionodestates', 'node-1');
  await cluster.clock.advance(10_000);
  expect(cluster.nodeState()).toMatchObject({
    metadata: { ownerReferences: [{ kind: 'Node', name: 'node-1' }] },
    status: { devices: [{ address: at.spareNic, decision: 'Bound' }] },
  });
});

test('a pod that comes and goes is told, in few writes', async () => {
  cluster.takeWrites();
  await cluster.node.when(cluster.node.kubelet.run(nicPod));
  await cluster.clock.advance(60_000);
  expect(cluster.nodeState()?.status).toMatchObject({ resources: [{ name: nicResource, allocated: 1 }] });
  await cluster.node.when(cluster.node.kubelet.deletePod('default', 'vm'));
  await cluster.clock.advance(60_000);
  expect(cluster.nodeState()?.status).toMatchObject({ resources: [{ name: nicResource, allocated: 0 }] });
  expect(states(cluster.takeWrites()).length).toBeLessThanOrEqual(4);
});

describe('with an API server in trouble', () => {
  it('the last state arrives, and there was no storm', async () => {
    cluster.api.faults.goAway();
    const before = cluster.api.seen.length;
    cluster.node.control.unplug(at.spareNic);
    await cluster.clock.advance(600_000);
    expect(cluster.api.seen.length - before).toBeLessThan(200);
    cluster.api.faults.comeBack();
    await cluster.clock.advance(120_000);
    expect(cluster.nodeState()?.status?.resources).toMatchObject([{ name: nicResource, healthy: 0 }]);
  });

  it('429 is obeyed', async () => {
    cluster.api.faults.throttle(1_000_000, 120);
    cluster.node.control.unplug(at.spareNic);
    await cluster.clock.advance(10_000);
    const before = cluster.api.seen.length;
    await cluster.clock.advance(100_000);
    expect(cluster.api.seen.slice(before).filter(({ verb }) => verb !== 'WATCH')).toEqual([]);
    cluster.api.faults.heal();
    await cluster.clock.advance(300_000);
    expect(cluster.nodeState()?.status?.resources).toMatchObject([{ healthy: 0 }]);
  });

  it('403 for the node state does not keep the agent from its work', async () => {
    cluster.api.faults.refuse('vfionodestates', 403);
    cluster.api.put('vfiopolicies', policy('disks', { devices: [{ addresses: [at.spareDisk] }] }));
    await cluster.clock.advance(30_000);
    expect(cluster.node.driverOf(at.spareDisk)).toBe('vfio-pci');
    cluster.api.faults.heal();
    await cluster.clock.advance(120_000);
    expect(cluster.nodeState()?.status?.devices).toHaveLength(2);
  });
});

describe('the Node', () => {
  it('deleted, its state is not made again, until the Node is back', async () => {
    cluster.api.delete('nodes', 'node-1');
    cluster.api.delete('vfionodestates', 'node-1');
    await cluster.clock.advance(10_000);
    cluster.takeWrites();
    await cluster.clock.advance(3_600_000);
    expect(states(cluster.takeWrites())).toEqual([]);
    expect([cluster.nodeState(), cluster.node.driverOf(at.spareNic)]).toEqual([null, 'vfio-pci']);
    cluster.api.put('nodes', toJson(aNodeObject('node-1')));
    await cluster.clock.advance(30_000);
    const uid = (cluster.api.get('nodes', 'node-1') as unknown as { metadata: { uid: string } }).metadata.uid;
    expect(cluster.nodeState()?.metadata.ownerReferences?.map((owner) => owner.uid)).toEqual([uid]);
  });

  it('has addresses whose interfaces must stay', async () => {
    const { network } = cluster.origin();
    expect(network.nodeAddresses).toEqual(['192.0.2.7', '2001:db8::7', '198.51.100.7']);
    expect(network.endpoints).toEqual([{ address: '10.96.0.1', port: 443 }]);
    // Without an API server, from what was kept.
    await cluster.node.when(life.agent.stop());
    cluster.api.faults.goAway();
    life = await cluster.node.start();
    expect(cluster.origin().network.nodeAddresses).toEqual(['192.0.2.7', '2001:db8::7', '198.51.100.7']);
  });
});

describe('events', () => {
  it('tell what was bound and released, about the node state', async () => {
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(30_000);
    expect(told()).toEqual([
      `Bound ${at.spareNic} (policy nics): bound to vfio-pci, was on e1000e`,
      `Released ${at.spareNic} (policy nics): given back`,
    ]);
    expect(events()[0]?.regarding).toEqual({
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioNodeState',
      name: 'node-1',
      uid: cluster.nodeState()?.metadata.uid,
    });
  });

  it('tell a refusal once, over restarts too', async () => {
    cluster.api.put('vfiopolicies', policy('disks', { devices: [{ class: '0108' }] }));
    await cluster.clock.advance(30_000);
    const refusals = (): number => told().filter((one) => one.startsWith('Refused')).length;
    expect(refusals()).toBe(1);
    await cluster.node.when(life.agent.stop());
    life = await cluster.node.start();
    await cluster.clock.advance(600_000);
    expect(refusals()).toBe(1);
  });

  it('tell what is held for long', async () => {
    await cluster.node.when(cluster.node.kubelet.run(nicPod));
    cluster.api.delete('vfiopolicies', 'nics');
    await cluster.clock.advance(500_000);
    expect(told().filter((one) => one.startsWith('HeldLong'))).toEqual([]);
    await cluster.clock.advance(200_000);
    expect(told().filter((one) => one.startsWith('HeldLong'))).toHaveLength(1);
    await cluster.clock.advance(300_000);
    expect(told().filter((one) => one.startsWith('HeldLong'))).toHaveLength(1);
  });
});
