// The controller on the simulated API server: what it writes, when, and what it does not.
import { describe, expect, it } from 'vitest';
import { createControllerWorld, type ControllerWorld, jsonOf } from '../../support/controller-world.ts';
import { kubeVirtObject } from '../../support/kubevirt.ts';
import { device } from '../../support/policy-status.ts';

/** The policy's uid and generation, as an agent that has seen it reports them. */
function seenBy(world: ControllerWorld, name: string) {
  const metadata = world.api.get('vfiopolicies', name)?.metadata as { uid: string; generation: number };
  return { name, uid: metadata.uid, observedGeneration: metadata.generation };
}

const ready = (world: ControllerWorld, policy = 'gpus') =>
  world.statusOf(policy)?.conditions?.find(({ type }) => type === 'Ready');

describe('the controller', () => {
  it('says what the agents report', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.node('b');
    const { controller } = world.start('one');
    await world.clock.advance(1000);
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'AgentsBehind' });
    for (const name of ['a', 'b']) world.state(name, { policies: [seenBy(world, 'gpus')], devices: [device()] });
    await world.clock.advance(6000);
    expect(ready(world)).toMatchObject({ status: 'True', reason: 'AllDone', observedGeneration: 1 });
    expect(world.statusOf('gpus')?.nodes).toEqual({ matched: 2, ready: 2, degraded: 0, vanished: 0 });
    expect(controller.ready()).toEqual({ ok: true, message: 'leading' });
  });

  it('writes nothing while nothing changes', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    world.start('one');
    await world.clock.advance(10_000);
    expect(world.writes()).toBe(1);
    await world.clock.advance(3_600_000);
    expect(world.writes()).toBe(1);
  });

  it('writes a policy at most once in 5 s, and then the last state', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.start('one');
    await world.clock.advance(10_000);
    const before = world.writes();
    for (let turn = 0; turn < 100; turn += 1) {
      // No two looks that are less than 5 s apart see the same.
      const devices = Array.from({ length: (turn % 29) + 1 }, (_, index) => device({ address: `0000:${index}:00.0` }));
      world.state('a', { policies: [seenBy(world, 'gpus')], devices });
      await world.clock.advance(200);
    }
    expect(world.writes() - before).toBeLessThanOrEqual(5);
    await world.clock.advance(6000);
    expect(ready(world)).toMatchObject({ status: 'True', reason: 'AllDone' });
    const times = world.api.seen.filter(({ verb }) => verb === 'PATCH').map(({ at }) => at);
    expect(times.slice(1).every((at, index) => at - (times[index] ?? 0) >= 5000)).toBe(true);
  });

  it('shows a dead agent and a node that is gone', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    for (const name of ['a', 'b', 'c']) {
      world.node(name);
      world.state(name, { policies: [seenBy(world, 'gpus')], devices: [device()] });
    }
    world.start('one');
    await world.clock.advance(6000);
    world.node('a', { ready: false });
    world.api.delete('pods', 'vfio/agent-b');
    world.api.delete('nodes', 'c');
    await world.clock.advance(6000);
    expect(world.statusOf('gpus')?.nodes).toEqual({ matched: 2, ready: 0, degraded: 2, vanished: 1 });
    expect(world.statusOf('gpus')?.problems?.map(({ node, code }) => [node, code])).toEqual([
      ['a', 'AgentNotReady'],
      ['b', 'AgentNotReady'],
    ]);
  });

  it('takes a host agent for as ready as its node', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    const node = (status: string): void =>
      void world.api.put('nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'a', labels: { 'vfio-operator.dev/agent': 'host' } },
        status: { conditions: [{ type: 'Ready', status }] },
      });
    node('True');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    world.start('one');
    await world.clock.advance(6000);
    expect(world.statusOf('gpus')?.nodes).toMatchObject({ ready: 1, degraded: 0 });
    node('Unknown');
    await world.clock.advance(6000);
    expect(world.statusOf('gpus')?.nodes).toMatchObject({ ready: 0, degraded: 1 });
  });

  it('mends a status that somebody else changed', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.start('one');
    await world.clock.advance(6000);
    const policy = world.api.get('vfiopolicies', 'gpus');
    world.api.put('vfiopolicies', { ...policy, status: { observedGeneration: 1, conditions: [] } });
    await world.clock.advance(6000);
    expect(ready(world)).toMatchObject({ status: 'True', reason: 'NoMatchingDevices' });
  });

  it('says nothing of any policy before it has seen everything', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    world.api.faults.refuse('pods', 403);
    const { controller, metrics } = world.start('one');
    await world.clock.advance(60_000);
    expect(world.writes()).toBe(0);
    expect(controller.ready().ok).toBe(false);
    expect(controller.ready().message).toMatch(/^not seen yet: pods; pods: Forbidden/);
    expect(await metrics.text()).toContain(
      'vfio_operator_controller_watch_problem{collection="pods",code="Forbidden"} 1',
    );
    world.api.faults.refuse('pods', null);
    await world.clock.advance(60_000);
    expect(ready(world)?.status).toBe('True');
    expect(controller.ready().ok).toBe(true);
  });

  it('keeps what it knows when the API server goes away, and catches up', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    const { lost } = world.start('one');
    await world.clock.advance(6000);
    world.api.faults.goAway();
    await world.clock.advance(5000);
    world.api.faults.comeBack();
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device({ decision: 'Failed' })] });
    await world.clock.advance(60_000);
    expect(lost()).toBeNull();
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'DevicesFailed' });
  });

  it('tries a write again that failed, and as late as it was told', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.start('one');
    await world.clock.advance(100);
    world.api.faults.fail(1, 500);
    await world.clock.advance(60_000);
    expect(ready(world)?.status).toBe('True');
  });

  it('does not write for a policy that is gone or new under its name', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    world.start('one');
    await world.clock.advance(6000);
    world.api.delete('vfiopolicies', 'gpus');
    world.policy('gpus');
    await world.clock.advance(6000);
    expect(ready(world)).toMatchObject({ status: 'False', reason: 'AgentsBehind' });
    world.api.delete('vfiopolicies', 'gpus');
    const before = world.writes();
    world.state('a', { policies: [], devices: [] });
    await world.clock.advance(60_000);
    expect(world.writes()).toBe(before);
  });
});

describe('two replicas', () => {
  it('write as one: the second watches nothing until the first has gone', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    const first = world.start('one');
    await world.clock.advance(1000);
    const second = world.start('two', 2);
    await world.clock.advance(6000);
    expect(second.controller.ready()).toEqual({ ok: true, message: 'waiting to lead: one leads' });
    expect(world.api.watches).toBe(4);
    const stopped = first.controller.stop();
    await world.clock.advance(4000);
    await stopped;
    expect(second.log).toContain('info leading');
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    await world.clock.advance(8000);
    expect(ready(world)?.reason).toBe('AllDone');
    expect(world.api.watches).toBe(4);
  });

  it('keep the 5 s between writes across a succession', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    const first = world.start('one');
    world.start('two', 2);
    await world.clock.advance(10_000);
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device({ decision: 'Bind' })] });
    await world.clock.advance(500);
    const stopped = first.controller.stop();
    await world.clock.advance(50);
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    await stopped;
    await world.clock.advance(20_000);
    expect(ready(world)?.reason).toBe('AllDone');
    const times = world.api.seen.filter(({ verb }) => verb === 'PATCH').map(({ at }) => at);
    expect(times.length).toBeGreaterThan(2);
    expect(times.slice(1).every((at, index) => at - (times[index] ?? 0) >= 5000)).toBe(true);
  });

  it('ends when its Lease is taken, and writes nothing more', async () => {
    const world = createControllerWorld();
    world.policy('gpus');
    world.node('a');
    const { lost, log } = world.start('one');
    await world.clock.advance(6000);
    const lease = world.api.get('leases', 'vfio/controller');
    world.api.put('leases', { ...lease, spec: { holderIdentity: 'somebody' } });
    await world.clock.advance(3000);
    expect(lost()).toBe("the Lease is somebody's now");
    expect(log).toContain('error no longer leading; ending');
    const before = world.writes();
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [device()] });
    await world.clock.advance(60_000);
    expect(world.writes()).toBe(before);
  });
});

describe('beside KubeVirt', () => {
  const note = (world: ControllerWorld) =>
    world.statusOf('gpus')?.conditions?.find(({ type }) => type === 'KubeVirtPermitted');
  const prepare = (): ControllerWorld => {
    const world = createControllerWorld();
    world.policy('gpus', { resource: { name: 'vfio-operator.dev/gpu' } });
    world.node('a');
    const offered = device({ id: '10de:26b9', resource: 'vfio-operator.dev/gpu' });
    world.state('a', { policies: [seenBy(world, 'gpus')], devices: [offered] });
    return world;
  };

  it('says what KubeVirt lacks, and that it lacks nothing once it is mended', async () => {
    const world = prepare();
    world.api.put('kubevirts', jsonOf(kubeVirtObject([])));
    const { controller } = world.start('one', 1, true);
    await world.clock.advance(6000);
    expect(note(world)).toMatchObject({ status: 'False', reason: 'NotPermitted' });
    expect(note(world)?.message).toContain('"pciVendorSelector":"10de:26b9"');
    expect(ready(world)?.status).toBe('True');
    expect(controller.ready().ok).toBe(true);
    const permitted = { pciVendorSelector: '10de:26b9', resourceName: 'vfio-operator.dev/gpu' };
    world.api.put('kubevirts', jsonOf(kubeVirtObject([{ ...permitted, externalResourceProvider: true }])));
    await world.clock.advance(6000);
    expect(note(world)).toMatchObject({ status: 'True', reason: 'Permitted' });
  });

  it('says nothing where KubeVirt is not installed, not looked at, or not meant', async () => {
    const world = prepare();
    const { controller } = world.start('one', 1, true);
    world.api.faults.refuse('kubevirts', 404);
    await world.clock.advance(60_000);
    expect(note(world)).toBeUndefined();
    expect(controller.ready()).toEqual({ ok: true, message: 'leading' });

    const unasked = prepare();
    unasked.api.put('kubevirts', jsonOf(kubeVirtObject([])));
    unasked.start('one');
    await unasked.clock.advance(6000);
    expect(note(unasked)).toBeUndefined();

    const other = prepare();
    other.policy('gpus', { resource: { name: 'vfio-operator.dev/gpu', environment: ['SriovNetwork'] } });
    other.api.put('kubevirts', jsonOf(kubeVirtObject([])));
    other.start('one', 1, true);
    await other.clock.advance(6000);
    expect(note(other)).toBeUndefined();
  });
});
