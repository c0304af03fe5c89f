// A kernel write that does not return, with the agent in the chart's own pod on a real kubelet. The pod is deleted while the write hangs,
// before its deadline and after it: each time the DaemonSet has its next pod while the write still hangs. That agent finds the process by
// the journal, leaves the device's group alone, and serves all others; when the device's user lets go, all ends as planned.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProcessIdentity } from '../../../src/runtime/ports.ts';
import type { GuestProcess } from '../lab/guest.ts';
import {
  addressesOf,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readJournalInGuest,
} from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import type { KubernetesObject } from './api-client.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Node } from './node.ts';
import { NODE, startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy, NAMESPACE, readNodeState } from './operator.ts';

const hangs = 'vfio-operator.dev/hangs';
const other = 'vfio-operator.dev/other';
const later = 'vfio-operator.dev/later';

let operator: OperatorOnNode;
let cluster: ControlPlane;
let node: Node;
let steps: ClusterSteps;
let at: Readonly<Record<'nic' | 'hot' | 'pair0' | 'pair1', string>>;
let holder: GuestProcess;
/** The process that is in the kernel. */
let worker: ProcessIdentity;

beforeAll(async () => {
  operator = await startOperatorOnNode({ topology: 'small' });
  ({ cluster, node } = operator);
  steps = stepsOn(operator);
  at = await addressesOf(node.guest, ['nic', 'hot', 'pair0', 'pair1']);
  await applyPolicy(cluster, 'hangs', { devices: [{ addresses: [at.nic] }], resource: { name: hangs } });
  await applyPolicy(cluster, 'other', { devices: [{ addresses: [at.hot] }], resource: { name: other } });
  await steps.waitForUnits(hangs, 1);
  await steps.waitForUnits(other, 1);
});
afterAll(async () => operator?.stop());

/** The write that is in the kernel by the journal; the file may just be written. */
async function readInFlight(): Promise<{ readonly kind: string; readonly worker: ProcessIdentity | null } | null> {
  const journal = await readJournalInGuest(node.guest).catch(() => null);
  const [open] = journal === null ? [] : journal.open.values();
  const found = open?.inFlight;
  return found === undefined || found === null ? null : { kind: found.step.kind, worker: found.worker };
}

/** The process as /proc has it: when it started, where it sleeps, its cgroup; null once it is gone. */
async function readProcess(pid: number): Promise<{ startTime: string; stack: string; cgroup: string } | null> {
  const said = await node.guest.exec(
    `cd /proc/${pid} && sed 's/.*) //' stat | cut -d ' ' -f 20 && cat cgroup && cat stack`,
  );
  if (said.code !== 0) return null;
  const [startTime = '', cgroup = '', ...stack] = said.stdout.split('\n');
  return { startTime, cgroup, stack: stack.join('\n') };
}

/** Deletes the agent's pod, waits until the next one is Ready, and says how long that took: a figure, which nothing is judged by. */
async function replaceAgent(when: string): Promise<void> {
  const [pod, before] = [(await operator.agentPod())?.metadata?.name ?? '', await steps.agentProcess()];
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  await cluster.kubectl(['delete', 'pod', '-n', NAMESPACE, pod, '--wait=false']);
  await steps.wait('another pod', operator.agentPod, (one) => one !== undefined && one.metadata?.name !== pod);
  const made = seconds();
  const phaseOf = (one: KubernetesObject | undefined): unknown =>
    (one?.['status'] as { phase?: string } | undefined)?.phase;
  await steps.wait('it running', operator.agentPod, (one) => phaseOf(one) === 'Running');
  const runs = seconds();
  await operator.waitForAgent(pod);
  const times = [made, runs, seconds()].map((one) => one.toFixed(1));
  process.stderr.write(
    `agent deleted ${when}: its next pod is there after ${times[0]} s, runs after ${times[1]} s, is Ready after ${times[2]} s\n`,
  );
  expect(await steps.agentProcess()).not.toBe(before);
}

/** What must hold whenever an agent has come while the write hangs. */
async function expectLeftAlone(): Promise<void> {
  const state = await steps.waitForState('the device stuck', (devices) => devices[at.nic]?.decision === 'Stuck');
  expect(state[at.nic]?.message).toContain(String(worker.pid));
  expect(state[at.hot]).toMatchObject({ decision: 'Bound', health: 'Healthy' });
  expect(await readInFlight()).toEqual({ kind: 'Unbind', worker });
  expect(await readProcess(worker.pid)).toMatchObject({ startTime: worker.startTime, cgroup: '0::/vfio-operator' });
}

test("the agent's pod is deleted while nothing hangs, to compare with", async () => {
  await replaceAgent('while nothing hangs');
  await steps.waitForUnits(hangs, 1);
});

test('an unbind hangs, outside the pod', async () => {
  const { group } = (await readDevices(node.guest, at)).nic;
  // A user of the device that no look at processes shows: else the agent would wait for it.
  holder = await node.guest.spawn(`exec /lab/vfio-holder map ${group} ${at.nic}`);
  await holder.waitFor('holding');
  await cluster.kubectl(['delete', 'vfiopolicy', 'hangs']);
  const found = await steps.wait('the write in the journal', readInFlight, (write) => write?.kind === 'Unbind');
  if (found?.worker == null) throw new Error('the journal names no process');
  ({ worker } = found);
  const seen = await readProcess(worker.pid);
  expect(seen).toMatchObject({ startTime: worker.startTime, cgroup: '0::/vfio-operator' });
  expect(seen?.stack).toMatch(/vfio_unregister_group_dev/);
});

test("the agent's pod is deleted before the deadline: the next one runs, and finds the process by the journal", async () => {
  await replaceAgent('before the deadline of a write that hangs');
  await expectLeftAlone();
  await steps.waitForUnits(hangs, 0);
});

test('all other devices are served meanwhile', async () => {
  const held = await steps.startHolder('vm', other);
  expect(held.address).toBe(at.hot);
  await applyPolicy(cluster, 'later', { devices: [{ addresses: [at.pair0, at.pair1] }], resource: { name: later } });
  await steps.waitForUnits(later, 1);
  await steps.waitForPolicy('later', 'True');
  const { pair0, pair1 } = at;
  expect(await readDevices(node.guest, { pair0, pair1 }, 'links only')).toMatchObject({
    pair0: { driver: 'e1000e-vfio', groupNode: true },
    pair1: { driver: 'e1000e-vfio', groupNode: true },
  });
});

test('it is deleted once more, now that it knows: the same again, and a pod with a device runs on', async () => {
  await steps.unchanged('vm', async () => {
    await replaceAgent('that waits for the process of another');
    await expectLeftAlone();
  });
  await steps.waitForUnits(other, 1);
});

test('when the user lets go, the write returns and all is planned anew', async () => {
  await holder.signal('SIGTERM');
  expect((await holder.ended).code).toBe(0);
  await steps.wait(
    'the device with its host again',
    async () => (await readNodeState(cluster, NODE)).devices,
    (devices) => devices.every(({ address, decision }) => address !== at.nic && decision === 'Bound'),
  );
  const vfio = onVfio('e1000e-vfio');
  expect(await readDevices(node.guest, at)).toMatchObject({
    nic: onHost('e1000e'),
    hot: vfio,
    pair0: vfio,
    pair1: vfio,
  });
  expect(await readProcess(worker.pid)).toBeNull();
  expect(await readInFlight()).toBeNull();
});

test('the device can be asked for again, and the kernel has nothing to complain of', async () => {
  await applyPolicy(cluster, 'again', { devices: [{ addresses: [at.nic] }], resource: { name: hangs } });
  await steps.waitForUnits(hangs, 1);
  expect((await steps.startHolder('again', hangs)).address).toBe(at.nic);
  expect(await kernelComplaints(node.guest)).toEqual([]);
});
