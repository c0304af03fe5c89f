// The operator as its users run it: the chart installed with helm, policies applied with kubectl, a real kubelet, real pods with real
// devices, on a live kernel. What is true is read from the kernel and from the pods; what policies and node states say is held against it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf, kernelComplaints, onHost, onVfio, readDevices } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Node } from './node.ts';
import { NODE, startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import {
  applyPolicy,
  boxPod,
  HOLD_DEVICES,
  NAMESPACE,
  readAllocatable,
  readNodeState,
  readPolicyStatus,
} from './operator.ts';

const resource = 'vfio-operator.dev/igb-vf';
const virtualFunctions = { devices: [{ vendor: '8086', device: '10c9' }], sriov: { virtualFunctions: 3 } };

let operator: OperatorOnNode;
let cluster: ControlPlane;
let node: Node;
let steps: ClusterSteps;
/** Devices beside the VFs. */
let at: Readonly<Record<'igb' | 'nic' | 'numa-nic' | 'hot' | 'pair0' | 'pair1', string>>;

beforeAll(async () => {
  operator = await startOperatorOnNode();
  ({ cluster, node } = operator);
  steps = stepsOn(operator);
  at = await addressesOf(node.guest, ['igb', 'nic', 'numa-nic', 'hot', 'pair0', 'pair1']);
});
afterAll(async () => operator?.stop());

describe('a policy in the cluster', () => {
  test('its devices are bound, offered, and it says so', async () => {
    const began = performance.now();
    await applyPolicy(cluster, 'igb', { ...virtualFunctions, resource: { name: resource } });
    await steps.wait(
      'three healthy units told to kubelet',
      async () => (await readNodeState(cluster, NODE)).resources.find(({ name }) => name === resource),
      (found) => found?.registered === true && found.healthy === 3,
    );
    process.stderr.write(`policy applied to registered: ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
    await steps.waitForUnits(resource, 3);
    await steps.waitForPolicy('igb', 'True');

    const virtual = await steps.virtualFunctionsOf(at.igb);
    expect(virtual).toHaveLength(3);
    const bound = await steps.readNamed(virtual);
    for (const address of virtual) expect(bound[address]).toMatchObject(onVfio('igbvf_vfio_pci'));
    const { devices, conditions } = await readNodeState(cluster, NODE);
    expect(conditions.map(({ type }) => type)).not.toContain('WorkerOutsidePod');
    for (const address of virtual)
      expect(devices.find((device) => device.address === address)).toMatchObject({
        decision: 'Bound',
        driver: 'igbvf_vfio_pci',
        iommuGroup: Number(bound[address]?.group),
        policy: 'igb',
        resource,
        health: 'Healthy',
      });
  });

  test('a pod gets the node of the group of the device that its environment names, and can use it', async () => {
    const held = await steps.startHolder('vm-1', resource);
    expect(await steps.virtualFunctionsOf(at.igb)).toContain(held.address);
    expect(held.variable).toBe('PCI_RESOURCE_VFIO-OPERATOR_DEV_IGB-VF');
    const group = (await steps.readNamed([held.address]))[held.address]?.group;
    expect(held.nodes).toEqual([String(group), 'vfio'].sort());
  });
});

describe('a second node', () => {
  const other = 'lab2';
  const states = '/apis/vfio-operator.dev/v1alpha1/vfionodestates';
  test('whose agent does not live is counted as degraded and named; gone, as vanished, and then no more', async () => {
    await steps.waitForNodes('igb', { matched: 1, ready: 1, degraded: 0, vanished: 0 });
    const policy = await cluster.admin.expect({ path: '/apis/vfio-operator.dev/v1alpha1/vfiopolicies/igb' });
    const known = { name: 'igb', uid: policy.metadata?.uid, observedGeneration: policy.metadata?.['generation'] };
    const document = { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioNodeState', metadata: { name: other } };
    await cluster.admin.expect({
      method: 'POST',
      path: '/api/v1/nodes',
      body: { apiVersion: 'v1', kind: 'Node', metadata: { name: other } },
    });
    await cluster.admin.apply(`${states}/${other}`, document);
    const devices = [{ address: '0000:81:10.0', decision: 'Bound', policy: 'igb', driver: 'igbvf_vfio_pci' }];
    const status = { policies: [known], devices };
    await cluster.admin.apply(`${states}/${other}/status`, { ...document, status });
    await steps.waitForNodes('igb', { matched: 2, ready: 1, degraded: 1, vanished: 0 });
    const { problems } = (await readPolicyStatus(cluster, 'igb')) as { problems?: readonly object[] };
    expect(problems).toMatchObject([{ node: other, code: 'AgentNotReady' }]);
    await steps.waitForPolicy('igb', 'True');

    await cluster.kubectl(['delete', 'node', other]);
    await steps.waitForNodes('igb', { matched: 1, ready: 1, degraded: 0, vanished: 1 });
    await steps.waitForPolicy('igb', 'True');
    await cluster.kubectl(['delete', 'vfionodestate', other]);
    await steps.waitForNodes('igb', { matched: 1, ready: 1, degraded: 0, vanished: 0 });
  });
});

describe('while a pod holds a device', () => {
  /** Every resource is registered once: one socket of ours that kubelet is connected to, no other. */
  async function expectOneRegistration(): Promise<void> {
    const sockets = await node.guest.run(
      'cd /var/lib/kubelet/device-plugins; ls | grep -v -e kubelet -e DEPRECATION || true',
    );
    expect(sockets.split('\n').filter((name) => name !== '')).toHaveLength(1);
    await steps.waitForUnits(resource, 3);
  }

  test("the agent's pod is deleted: another one takes over", async () => {
    const name = (await operator.agentPod())?.metadata?.name ?? '';
    await steps.unchanged('vm-1', () =>
      steps.measureGap(resource, 3, async () => {
        await cluster.kubectl(['delete', 'pod', '-n', NAMESPACE, name]);
        await operator.waitForAgent(name);
      }),
    );
    await expectOneRegistration();
  });

  test('the agent is killed: it starts again and goes on', async () => {
    await steps.unchanged('vm-1', () =>
      steps.measureGap(resource, 3, async () => {
        const before = await steps.agentProcess();
        await node.guest.run(`kill -KILL ${before}`);
        await steps.wait('another agent process', steps.agentProcess, (pid) => pid !== '' && pid !== before);
        await operator.waitForAgent();
      }),
    );
    await expectOneRegistration();
  });

  test('the agent is upgraded to another image', async () => {
    const name = (await operator.agentPod())?.metadata?.name ?? '';
    const { repository, tag } = operator.image;
    await node.tagImage(`${repository}:${tag}`, `${repository}:next`);
    await steps.unchanged('vm-1', () =>
      steps.measureGap(resource, 3, async () => {
        await operator.upgrade({ 'image.tag': 'next' });
        await operator.waitForAgent(name);
      }),
    );
    await expectOneRegistration();
    const spec = (await operator.agentPod())?.['spec'] as { containers: readonly { image: string }[] };
    expect(spec.containers[0]?.image).toBe(`${repository}:next`);
  });

  test('kubelet is restarted, and devices are given out again', async () => {
    await steps.unchanged('vm-1', async () => {
      await node.stopKubelet();
      await node.startKubelet();
      await node.waitUntilReady();
      await steps.waitForUnits(resource, 3);
    });
    const other = await steps.startHolder('vm-2', resource);
    expect(other.address).not.toBe((await steps.heldBy('vm-1')).address);
    await steps.deletePod('vm-2');
  });

  test('kubelet is killed while a pod with a device is being created: it gets the device, or fails by order of admission', async () => {
    const rounds = process.env['FULL_TIER'] === '1' ? 20 : 2;
    const outcomes: string[] = [];
    for (let round = 1; round <= rounds; round++) {
      await steps.unchanged('vm-1', async () => {
        const pod = `made-${round}`;
        const document = boxPod(pod, HOLD_DEVICES, { [resource]: 1 });
        await cluster.kubectl(['create', '-f', '-'], JSON.stringify(document));
        // From its binding to its container's start takes kubelet about a second here; each round kills it somewhere else in that.
        await steps.wait(
          `pod ${pod} on the node`,
          () => steps.nodeOf(pod),
          (name) => name === NODE,
        );
        await new Promise((resolve) => setTimeout(resolve, (round * 230) % 1500));
        await node.stopKubelet('SIGKILL');
        await node.startKubelet();
        await node.waitUntilReady();
        const { phase, reason } = await steps.wait(
          `pod ${pod} to run or to have failed`,
          () => steps.lifeOf(pod),
          (life) => life.phase === 'Running' || life.phase === 'Failed',
        );
        outcomes.push(reason === '' ? phase : reason);
        if (phase === 'Running')
          await steps.wait(
            'its device',
            () => steps.heldBy(pod),
            (held) => held.holding,
          );
        await steps.deletePod(pod);
        await steps.waitForUnits(resource, 3);
      });
    }
    process.stderr.write(`pods being created when kubelet was killed: ${outcomes.join(', ')}\n`);
    for (const outcome of outcomes) expect(['Running', 'UnexpectedAdmissionError']).toContain(outcome);
    await expectOneRegistration();
  });

  test('a policy that gives it up waits for the pod, and the device goes by itself', async () => {
    const held = (await steps.heldBy('vm-1')).address;
    await applyPolicy(cluster, 'igb', {
      ...virtualFunctions,
      exclude: [{ addresses: [held] }],
      resource: { name: resource },
    });
    const state = await steps.waitForState('a held device', (devices) => devices[held]?.decision === 'Held');
    expect(state[held]).toMatchObject({ code: 'HeldByPod', health: 'Unhealthy' });
    expect(state[held]?.heldBy).toContain('default/vm-1');
    await steps.waitForPolicy('igb', 'False/DevicesHeld');
    expect(await steps.lifeOf('vm-1')).toMatchObject({ phase: 'Running', restarts: 0 });
    expect((await steps.readNamed([held]))[held]).toMatchObject(onVfio('igbvf_vfio_pci'));
    await steps.waitForUnits(resource, 2);

    await steps.deletePod('vm-1');
    await steps.waitForState('the device given back', (devices) => devices[held]?.decision !== 'Held');
    await steps.waitForPolicy('igb', 'True');
    expect((await steps.readNamed([held]))[held]).toMatchObject({ override: '(null)', groupNode: false });
  });
});

describe('the API server goes away in the middle of a bind', () => {
  const offered = 'vfio-operator.dev/nic';
  const away = process.env['FULL_TIER'] === '1' ? 120 : 20;

  test('the bind goes on, pods keep their devices, and the status is right when it is back', async () => {
    const before = await steps.startHolder('vm-3', resource);
    const bindsBefore = await node.guest.run('cat /sys/kernel/uevent_seqnum');
    await applyPolicy(cluster, 'nic', {
      devices: [{ addresses: [at.nic, at['numa-nic']] }],
      resource: { name: offered },
    });
    // As soon as the kernel has said anything, something is being done.
    const events = (): Promise<string> => node.guest.run('cat /sys/kernel/uevent_seqnum');
    await steps.wait('the first write', events, (number) => number !== bindsBefore);
    await cluster.apiServer.stop();
    await steps.wait(
      'both bound',
      () => readDevices(node.guest, { nic: at.nic, numa: at['numa-nic'] }),
      (devices) => Object.values(devices).every(({ driver, groupNode }) => driver === 'e1000e-vfio' && groupNode),
    );
    await new Promise((resolve) => setTimeout(resolve, away * 1000));
    await cluster.apiServer.start();
    await steps.waitForUnits(offered, 2);
    await steps.waitForPolicy('nic', 'True');
    expect(await steps.lifeOf('vm-3')).toMatchObject({ phase: 'Running', restarts: 0 });
    expect(await steps.heldBy('vm-3')).toEqual(before);
    await steps.startHolder('vm-4', offered);
    await steps.deletePod('vm-4');
    await steps.deletePod('vm-3');
  });

  test('a changed resource name moves the devices to the new resource', async () => {
    await applyPolicy(cluster, 'nic', {
      devices: [{ addresses: [at.nic] }],
      resource: { name: 'vfio-operator.dev/renamed' },
    });
    await steps.waitForUnits('vfio-operator.dev/renamed', 1);
    await steps.waitForUnits(offered, 0);
    await steps.waitForPolicy('nic', 'True');
    expect(await readDevices(node.guest, { nic: at.nic, numa: at['numa-nic'] })).toMatchObject({
      nic: onVfio('e1000e-vfio'),
      numa: onHost('e1000e'),
    });
  });
});

describe('DryRun', () => {
  const readThem = (): ReturnType<typeof steps.readNamed> => steps.readNamed([at.hot, at.pair0, at.pair1]);
  const spec = (mode: string): object => ({
    mode,
    devices: [{ addresses: [at.hot, at.pair0, at.pair1] }],
    resource: { name: 'vfio-operator.dev/planned' },
  });

  test('tells what Enforce then does, and does nothing', async () => {
    const before = await readThem();
    await applyPolicy(cluster, 'planned', spec('DryRun'));
    const plan = await steps.wait(
      'a plan',
      async () => (await readNodeState(cluster, NODE)).dryRun.filter(({ policy }) => policy === 'planned'),
      (devices) => devices.length === 3,
    );
    expect(plan.map(({ decision }) => decision)).toEqual(['Bind', 'Bind', 'Bind']);
    expect(await readThem()).toEqual(before);

    await applyPolicy(cluster, 'planned', spec('Enforce'));
    const done = await steps.waitForState('all three bound', (devices) =>
      plan.every(({ address }) => devices[address]?.decision === 'Bound'),
    );
    for (const planned of plan)
      expect(done[planned.address]).toMatchObject({
        driver: expect.stringMatching(variantOf(planned.driverWanted)) as unknown,
        driverBefore: planned.driver,
        iommuGroup: planned.iommuGroup,
        resource: planned.resource,
      });
    expect((await readNodeState(cluster, NODE)).dryRun).toEqual([]);
    const bound = await readThem();
    expect(Object.values(bound).map(({ driver }) => driver)).toEqual(['e1000e-vfio', 'e1000e-vfio', 'e1000e-vfio']);
    await steps.waitForUnits('vfio-operator.dev/planned', 2);
  });

  test('back in DryRun, everything stays as it is and stays offered', async () => {
    await applyPolicy(cluster, 'planned', { ...spec('DryRun'), devices: [{ addresses: [at.hot] }] });
    await steps.waitForPolicy('planned', 'True');
    const frozen = await readThem();
    expect(Object.values(frozen).map(({ driver }) => driver)).toEqual(['e1000e-vfio', 'e1000e-vfio', 'e1000e-vfio']);
    expect(await readAllocatable(cluster, NODE, 'vfio-operator.dev/planned')).toBe(2);
    const held = await steps.startHolder('vm-5', 'vfio-operator.dev/planned');
    expect([at.hot, at.pair0, at.pair1]).toContain(held.address);
    await steps.deletePod('vm-5');
  });
});

describe('the end', () => {
  test('deleted policies give every device back', async () => {
    await cluster.kubectl(['delete', 'vfiopolicies', '--all']);
    await steps.wait(
      'no device of ours',
      async () => (await readNodeState(cluster, NODE)).devices,
      (devices) => devices.length === 0,
    );
    const { igb, nic, hot, pair0, pair1 } = at;
    const devices = await readDevices(node.guest, { igb, nic, hot, pair0, pair1, numa: at['numa-nic'] });
    expect(devices.igb).toMatchObject({ ...onHost('igb'), virtualFunctions: 0 });
    for (const name of ['nic', 'hot', 'pair0', 'pair1', 'numa'] as const)
      expect([name, devices[name]]).toMatchObject([name, onHost('e1000e')]);
    for (const name of [resource, 'vfio-operator.dev/renamed', 'vfio-operator.dev/planned'])
      await steps.waitForUnits(name, 0);
  });

  test('the release goes, and the kernel has nothing to complain of', async () => {
    await cluster.helm(['uninstall', 'vfio-operator', '--namespace', NAMESPACE]);
    await steps.wait('no agent', operator.agentPod, (pod) => pod === undefined);
    expect(await kernelComplaints(node.guest)).toEqual([]);
  });
});

/** A plan names the module before it is loaded; the driver's name may differ from it by `-` and `_` or more. */
function variantOf(wanted: string | undefined): RegExp {
  return wanted?.startsWith('e1000e') === true ? /^e1000e[-_]vfio/ : new RegExp(`^${wanted}$`);
}
