// The controller as real processes on a real API server: what kubectl shows, who leads when a leader is paused, stopped or killed, and
// that nothing but its own fields is written.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VfioPolicyStatus } from '../../../src/api/generated/types.ts';
import { type JudgedObject, kstatus } from '../../support/kstatus.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import type { Service } from '../cluster/service.ts';
import { until } from '../cluster/until.ts';
import {
  addNode,
  applyPolicy,
  applyState,
  fullDevice,
  logged,
  NAMESPACE,
  newController,
  permitController,
  policiesPath,
  seenPolicy,
  setPodReady,
  USER,
} from './controller-lab.ts';

let cluster: ControlPlane;
const controllers: Service[] = [];

beforeAll(async () => {
  cluster = await startControlPlane({ users: { [USER]: ['operators'] } });
  await permitController(cluster);
});
afterAll(async () => {
  for (const controller of controllers) await controller.stop('SIGKILL');
  await cluster?.stop();
});

async function start(name: string): Promise<Service> {
  const controller = newController(cluster, name);
  controllers.push(controller);
  await controller.start();
  return controller;
}

async function statusOf(policy: string): Promise<VfioPolicyStatus> {
  const object = await cluster.admin.expect({ path: `${policiesPath}/${policy}` });
  return object['status'] ?? {};
}

const reasonOf = async (policy: string): Promise<string | undefined> =>
  (await statusOf(policy)).conditions?.find(({ type }) => type === 'Ready')?.reason;
const untilReason = (policy: string, reason: string, seconds = 15): Promise<void> =>
  until(`${policy} being ${reason}`, async () => (await reasonOf(policy)) === reason, seconds);

describe('the controller', () => {
  let first: Service;

  it('says at once that a policy has no devices, and later what agents report', async () => {
    const policy = await applyPolicy(cluster, 'nics');
    // Nobody has looked yet, and no tool may take that for done.
    expect(await statusOf('nics')).toEqual({ observedGeneration: -1 });
    expect(kstatus(policy as JudgedObject)).toBe('InProgress');
    first = await start('first');
    await untilReason('nics', 'NoMatchingDevices');
    await addNode(cluster, 'a');
    await addNode(cluster, 'b');
    await untilReason('nics', 'AgentsBehind');
    for (const node of ['a', 'b'])
      await applyState(cluster, node, { policies: [seenPolicy(policy)], devices: [fullDevice(0), fullDevice(1)] });
    await untilReason('nics', 'AllDone');
    const status = await statusOf('nics');
    expect(status.nodes).toEqual({ matched: 2, ready: 2, degraded: 0, vanished: 0 });
    expect(status.devices?.bound).toBe(4);
    expect(status.conditions?.map(({ type }) => type)).toEqual(['Ready']);
  });

  it('shows in kubectl what it means, and kubectl waits for it', async () => {
    await cluster.kubectl(['wait', '--for=condition=Ready', 'vfiopolicy/nics', '--timeout=5s']);
    const [header = '', row = ''] = (await cluster.kubectl(['get', 'vfiopolicies'])).split('\n');
    expect(header.split(/\s{2,}/)).toEqual(
      expect.arrayContaining(['NAME', 'NODES', 'NODES-READY', 'BOUND', 'READY', 'REASON']),
    );
    expect(row).toMatch(/^nics .*\b2\b.*\b2\b.*\b4\b.*True.*AllDone/);
  });

  it('owns the status and nothing else', async () => {
    const object = await cluster.admin.expect({ path: `${policiesPath}/nics` });
    const managed = (object.metadata?.['managedFields'] ?? []) as readonly {
      readonly manager: string;
      readonly subresource?: string;
      readonly fieldsV1: Readonly<Record<string, unknown>>;
    }[];
    const ours = managed.filter(({ manager }) => manager === 'vfio-operator-controller');
    expect(ours.map(({ subresource, fieldsV1 }) => [subresource, Object.keys(fieldsV1)])).toEqual([
      ['status', ['f:status']],
    ]);
  });

  it('removes Reconciling and Stalled again, and keeps the time of an unchanged condition', async () => {
    const policy = await cluster.admin.expect({ path: `${policiesPath}/nics` });
    const policies = [seenPolicy(policy)];
    const ready = (await statusOf('nics')).conditions?.[0];
    const failed = fullDevice(0, { decision: 'Failed', message: 'write to bind: ENODEV' });
    await applyState(cluster, 'a', { policies, devices: [failed] });
    await untilReason('nics', 'DevicesFailed');
    expect((await statusOf('nics')).conditions?.map(({ type }) => type).toSorted()).toEqual(['Ready', 'Stalled']);
    await applyState(cluster, 'a', { policies, devices: [fullDevice(0)] });
    await untilReason('nics', 'AllDone');
    const after = await statusOf('nics');
    expect(after.conditions?.map(({ type }) => type)).toEqual(['Ready']);
    expect(after.problems).toBeUndefined();
    expect(after.conditions?.[0]?.lastTransitionTime).not.toBe(ready?.lastTransitionTime);
    await applyState(cluster, 'b', { policies, devices: [fullDevice(0)] });
    await until('the new count', async () => (await statusOf('nics')).devices?.bound === 2);
    expect((await statusOf('nics')).conditions?.[0]?.lastTransitionTime).toBe(
      after.conditions?.[0]?.lastTransitionTime,
    );
  });

  it('shows a dead agent, and a node that has gone', async () => {
    await setPodReady(cluster, 'a', false);
    await cluster.admin.expect({ method: 'DELETE', path: '/api/v1/nodes/b' });
    await until('both being shown', async () => {
      const { degraded, vanished } = (await statusOf('nics')).nodes ?? {};
      return degraded === 1 && vanished === 1;
    });
    expect((await statusOf('nics')).problems?.[0]).toMatchObject({ node: 'a', code: 'AgentNotReady' });
    await setPodReady(cluster, 'a', true);
    await until('the agent being back', async () => (await statusOf('nics')).nodes?.ready === 1);
  });

  it('takes a policy of the same name for another one', async () => {
    await cluster.kubectl(['delete', 'vfiopolicy', 'nics']);
    await applyPolicy(cluster, 'nics');
    await untilReason('nics', 'AgentsBehind');
  });

  it('hands over at once when it is stopped', async () => {
    const second = await start('second');
    expect(logged(second, 'leading')).toBe(0);
    await first.stop('SIGTERM');
    await until('the second leading', async () => Promise.resolve(logged(second, 'leading') === 1), 5);
    expect(first.running()).toBe(false);
    const lease = await cluster.admin.expect({
      path: `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/vfio-operator-controller`,
    });
    expect(lease['spec']).toMatchObject({ holderIdentity: expect.stringMatching(/^second_/), leaseTransitions: 1 });
  });

  it('leads no more when it was paused longer than its Lease, and says so by ending', async () => {
    const [second] = controllers.slice(1);
    if (second === undefined) throw new Error('the second does not run');
    const third = await start('third');
    second.pause();
    await until('the third leading', async () => Promise.resolve(logged(third, 'leading') === 1), 25);
    const policy = await cluster.admin.expect({ path: `${policiesPath}/nics` });
    const writesBefore = logged(second, 'status written');
    second.resume();
    // There is something to write, and both would.
    await applyState(cluster, 'a', { policies: [seenPolicy(policy)], devices: [fullDevice(0)] });
    await until('the second having ended', async () => Promise.resolve(!second.running()), 15);
    expect(logged(second, 'no longer leading; ending')).toBe(1);
    expect(logged(second, 'status written')).toBe(writesBefore);
    await untilReason('nics', 'AllDone');
    // It says so when it has the answer, which may be after we have seen the status.
    await until('the third having written', async () => Promise.resolve(logged(third, 'status written') > 0), 15);
  });

  it('is followed after a SIGKILL when its Lease has run out', async () => {
    const third = controllers.at(-1);
    const fourth = await start('fourth');
    await third?.stop('SIGKILL');
    await until('the fourth leading', async () => Promise.resolve(logged(fourth, 'leading') === 1), 25);
    await applyPolicy(cluster, 'gpus', {
      devices: [{ vendor: '1002' }],
      nodeSelector: { matchLabels: { gpu: 'yes' } },
    });
    await untilReason('gpus', 'NoMatchingDevices');
  });

  it('catches up when the API server was away, for whatever time', async () => {
    const fourth = controllers.at(-1);
    await cluster.apiServer.stop();
    await cluster.apiServer.start();
    // Away for more than 10 s, and the leader has ended, for kubelet to start it again.
    if (fourth?.running() === false) {
      expect(logged(fourth, 'no longer leading; ending')).toBe(1);
      await fourth.start();
    }
    await cluster.kubectl(['label', 'node', 'a', 'gpu=yes']);
    await untilReason('gpus', 'AgentsBehind', 90);
    expect(fourth?.running()).toBe(true);
  });
});
