// A group whose two functions are two units, on a whole simulated node: what kubelet and the node state are told of the sibling while a pod
// has the group, and how soon the group is whole again.
import { beforeEach, expect, it } from 'vitest';
import { labAddresses as at, labNode } from '../../../src/simulation/nodes/lab-node.ts';
import { AgentNode } from '../../support/agent-node.ts';
import type { AgentLife } from '../../support/agent-node.ts';
import { aPolicy, aResource } from '../../support/builders.ts';

const resource = 'vfio-operator.dev/pair';
const policy = aPolicy({
  name: 'pair',
  devices: [{ addresses: [at.pair0, at.pair1] }],
  resource: aResource(resource, { unit: 'Function' }),
});
const pod = { namespace: 'default', name: 'vm', containers: [{ name: 'main', limits: { [resource]: 1 } }] };
const whole = { [at.pair0]: 'Healthy', [at.pair1]: 'Healthy' };

let node: AgentNode;
let life: AgentLife;
/** What the pod has, and what it has not. */
let has: string;
let lacks: string;
/** Ends the virtual machine in the pod. */
let close: () => void;

beforeEach(async () => {
  node = new AgentNode(labNode('6.12.95+deb12-amd64'), [policy]);
  await node.boot();
  life = await node.start();
  expect(node.offered(resource)).toEqual(whole);
  await node.when(node.kubelet.run(pod));
  has = node.kubelet.held('default', 'vm').get(resource)?.[0] ?? '';
  lacks = has === at.pair0 ? at.pair1 : at.pair0;
  const opened = node.control.openDevice([has], { command: 'qemu' });
  if ('errno' in opened) throw new Error(opened.errno);
  ({ close } = opened);
});

const toldOf = (address: string): object | undefined =>
  life.agent.report?.pools.flatMap(({ devices }) => devices).find(({ id }) => id === address);

it('the sibling is withdrawn, and the report says why, at once', async () => {
  await node.clock.advance(1_000);
  expect(node.offered(resource)).toEqual({ [has]: 'Healthy', [lacks]: 'Unhealthy' });
  expect(toldOf(has)).toMatchObject({ healthy: true, unhealthyBecause: null });
  expect(toldOf(lacks)).toMatchObject({
    healthy: false,
    unhealthyBecause: expect.stringContaining('belongs to pod default/vm') as unknown,
  });
});

it.each([31, 37, 43, 49, 55])('both are offered again a few seconds after a pod of %i s has ended', async (seconds) => {
  await node.clock.advance(seconds * 1_000);
  close();
  await node.when(node.kubelet.deletePod('default', 'vm'));
  await node.clock.advance(8_000);
  expect(node.offered(resource)).toEqual(whole);
  expect([has, lacks].map(toldOf)).toMatchObject([{ healthy: true }, { healthy: true }]);
});

it('a pod that takes the place of one that has just ended gets a device', async () => {
  await node.clock.advance(10_000);
  close();
  await node.when(node.kubelet.deletePod('default', 'vm'));
  await node.when(node.kubelet.run({ ...pod, name: 'next' }));
  expect(node.kubelet.held('default', 'next').get(resource)).toHaveLength(1);
});

it('neither is while a process of it goes on', async () => {
  await node.when(node.kubelet.deletePod('default', 'vm'));
  await node.clock.advance(60_000);
  expect(node.offered(resource)).toEqual({ [has]: 'Unhealthy', [lacks]: 'Unhealthy' });
  close();
  await node.clock.advance(8_000);
  expect(node.offered(resource)).toEqual(whole);
});
