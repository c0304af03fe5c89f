// Kubelet's Topology Manager and the NUMA nodes that we tell it of, on a machine with two: which pods are admitted, to which devices, and
// which are refused. Two NICs are on node 0, one on node 1, two on none (the firmware says nothing of them; −1 in sysfs).
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps, Life } from './cluster-steps.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Node } from './node.ts';
import { NODE_0_NICS, NUMA_QEMU } from './numa-machine.ts';
import { startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy, boxPod } from './operator.ts';

const placed = 'vfio-operator.dev/placed';
const nowhere = 'vfio-operator.dev/nowhere';
const misplaced = { phase: 'Failed', reason: 'TopologyAffinityError' };

let operator: OperatorOnNode;
let cluster: ControlPlane;
let node: Node;
let steps: ClusterSteps;
let at: Readonly<Record<(typeof NODE_0_NICS)[number] | 'numa-nic' | 'nic' | 'hot', string>>;

beforeAll(async () => {
  operator = await startOperatorOnNode({
    topology: 'full',
    qemu: NUMA_QEMU,
    kubelet: { topologyManagerPolicy: 'single-numa-node' },
  });
  ({ cluster, node } = operator);
  steps = stepsOn(operator);
  at = await addressesOf(node.guest, [...NODE_0_NICS, 'numa-nic', 'nic', 'hot']);
  await applyPolicy(cluster, 'placed', {
    devices: [{ addresses: [at.zero0, at.zero1, at['numa-nic']] }],
    resource: { name: placed },
  });
  await applyPolicy(cluster, 'nowhere', {
    devices: [{ addresses: [at.nic, at.hot] }],
    resource: { name: nowhere },
  });
  await steps.waitForUnits(placed, 3);
  await steps.waitForUnits(nowhere, 2);
});
afterAll(async () => operator?.stop());

/** NUMA node of a device, by sysfs. */
async function numaNodeOf(address: string): Promise<number> {
  return Number(await node.guest.readText(`/sys/bus/pci/devices/${address}/numa_node`));
}

/** Creates a pod that asks for these and waits until kubelet runs or refuses it. */
async function ask(pod: string, limits: Readonly<Record<string, number>>): Promise<Life> {
  const script = "tr '\\0' '\\n' < /proc/1/environ | grep ^PCI_RESOURCE_; echo told; sleep 100000";
  await cluster.kubectl(['create', '-f', '-'], JSON.stringify(boxPod(pod, script, limits)));
  const decided = ({ phase }: Life): boolean => phase === 'Running' || phase === 'Failed';
  return steps.wait(`pod ${pod} running or refused`, () => steps.lifeOf(pod), decided);
}

/** NUMA nodes of a running pod's devices by the resource's last word, each list sorted. */
async function nodesGiven(pod: string): Promise<Readonly<Record<string, readonly number[]>>> {
  const log = await steps.wait(
    `pod ${pod} telling its devices`,
    () => node.podLog('default', pod, 'main'),
    (said) => /^told$/m.test(said),
  );
  const lines = [...log.matchAll(/^PCI_RESOURCE_\S*_([A-Z]+)=(\S+)$/gm)];
  const entries = lines.map(async ([, name = '', addresses = '']) => {
    const nodes = await Promise.all(addresses.split(',').map(numaNodeOf));
    return [name.toLowerCase(), nodes.sort()] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

test('the machine has NICs on two NUMA nodes and on none', async () => {
  const nodes = await Promise.all([at.zero0, at.zero1, at['numa-nic'], at.nic, at.hot].map(numaNodeOf));
  expect(nodes).toEqual([0, 0, 1, -1, -1]);
});

describe('single-numa-node', () => {
  test('two devices come from one node', async () => {
    expect(await ask('aligned', { [placed]: 2 })).toMatchObject({ phase: 'Running' });
    expect(await nodesGiven('aligned')).toEqual({ placed: [0, 0] });
  });

  test('devices without a node go with those of any node', async () => {
    expect(await ask('mixed', { [placed]: 1, [nowhere]: 2 })).toMatchObject({ phase: 'Running' });
    expect(await nodesGiven('mixed')).toEqual({ placed: [1], nowhere: [-1, -1] });
    await steps.deletePod('mixed');
    await steps.deletePod('aligned');
  });

  test('three devices, which no node has, are refused', async () => {
    expect(await ask('across', { [placed]: 3 })).toMatchObject(misplaced);
  });

  test('two devices are refused while only one is left on each node', async () => {
    expect(await ask('first', { [placed]: 1 })).toMatchObject({ phase: 'Running' });
    expect(await nodesGiven('first')).toEqual({ placed: [0] });
    expect(await ask('split', { [placed]: 2 })).toMatchObject(misplaced);
  });
});

describe('restricted', () => {
  test('a pod that has its device keeps it when kubelet starts anew with this policy', async () => {
    const before = await steps.lifeOf('first');
    await node.configureKubelet({ topologyManagerPolicy: 'restricted' });
    await node.stopKubelet();
    await node.startKubelet();
    await node.waitUntilReady();
    await steps.waitForUnits(placed, 3);
    expect(await steps.lifeOf('first')).toEqual(before);
  });

  test('two devices are refused while only one is left on each node, since one node could have both', async () => {
    expect(await ask('split-again', { [placed]: 2 })).toMatchObject(misplaced);
    await steps.deletePod('first');
  });

  test('three devices are given, since no node could ever have them', async () => {
    expect(await ask('across-again', { [placed]: 3 })).toMatchObject({ phase: 'Running' });
    expect(await nodesGiven('across-again')).toEqual({ placed: [0, 0, 1] });
  });

  test('devices without a node are given beside them', async () => {
    expect(await ask('nowhere', { [nowhere]: 2 })).toMatchObject({ phase: 'Running' });
    expect(await nodesGiven('nowhere')).toEqual({ nowhere: [-1, -1] });
  });
});
