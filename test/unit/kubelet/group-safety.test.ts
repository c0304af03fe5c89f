import { beforeEach, describe, expect, it } from 'vitest';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { aPool, anAdvertised } from '../../support/pools.ts';
import { aPod, createSimulatedKubelet } from '../../support/simulated-kubelet.ts';

const [gpus, audios] = ['a.b/gpu', 'a.b/audio'];
const gpu = anAdvertised('0000:3b:00.0', { iommuGroup: 12 });
const audio = anAdvertised('0000:3b:00.1', { iommuGroup: 12 });
const other = anAdvertised('0000:01:00.0', { iommuGroup: 20 });
const pools = [
  aPool([other, gpu], { resource: gpus, unit: 'Function' }),
  aPool([audio], { resource: audios, unit: 'Function' }),
];

let node: Awaited<ReturnType<typeof createSimulatedKubelet>>;
beforeEach(async () => {
  node = await createSimulatedKubelet();
  await node.offer(...pools);
});

const admit = (name: string, limits: Readonly<Record<string, number>>) =>
  node.when(node.kubelet.admit(aPod(name, limits)));
const start = (name: string) => node.when(node.kubelet.startContainer('default', name, 'main'));
const end = (name: string) => node.when(node.kubelet.deletePod('default', name));
/** Kubelet takes the lowest address: with that gone, the next is in group 12. */
const takeOther = () => admit('elsewhere', { [gpus]: 1 });

describe('a group whose functions lie in two resources', () => {
  it('goes whole to one pod that wants both', async () => {
    await takeOther();
    const started = await node.when(node.kubelet.run(aPod('vm', { [gpus]: 1, [audios]: 1 })));
    expect(started.get('main')?.envs).toEqual({ PCI_RESOURCE_A_B_GPU: gpu.id, PCI_RESOURCE_A_B_AUDIO: audio.id });
    expect(node.agent.store.holder(12)).toBe('default/vm');
    await start('vm');
  });

  it('is withdrawn for the others 5 s after its first function was given', async () => {
    await admit('vm', { [audios]: 1 });
    expect(node.health(gpus)).toEqual({ [gpu.id]: 'Healthy', [other.id]: 'Healthy' });
    await node.pass(5_200);
    expect(node.health(gpus)).toEqual({ [gpu.id]: 'Unhealthy', [other.id]: 'Healthy' });
    expect(node.health(audios)).toEqual({ [audio.id]: 'Healthy' });
    expect(node.kubelet.resources().get(gpus)).toEqual({ capacity: 2, allocatable: 1 });
  });

  it('is told of as withdrawn, with its holder, wherever devices are told of', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    const [first, second] = node.agent.allocator.told(pools);
    expect(first?.devices).toMatchObject([
      { id: other.id, healthy: true, unhealthyBecause: null },
      { id: gpu.id, healthy: false, unhealthyBecause: 'IOMMU group 12 belongs to pod default/vm' },
    ]);
    expect(second?.devices).toMatchObject([{ id: audio.id, healthy: true, unhealthyBecause: null }]);
  });

  it('is told of in the same words for as long as nothing changes, first without the pod', async () => {
    const why = (): string | null | undefined => node.agent.allocator.told(pools)[0]?.devices[1]?.unhealthyBecause;
    await admit('vm', { [audios]: 1 });
    await node.pass(5_200);
    expect(why()).toBe(`IOMMU group 12 is taken: ${audio.id} was allocated, and no pod shows it now`);
    await node.look();
    expect(why()).toBe(`IOMMU group 12 is taken by pod default/vm, which has ${audio.id}`);
    await node.pass(60_000);
    await node.look();
    expect(why()).toBe(`IOMMU group 12 is taken by pod default/vm, which has ${audio.id}`);
  });

  it('goes to a pod that comes right after the one before has ended', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await node.pass(6_000);
    await end('vm');
    expect(node.agent.store.holder(12)).toBe('default/vm');
    const next = await node.when(node.kubelet.run(aPod('next', { [audios]: 1 })));
    expect(next.get('main')?.envs).toEqual({ PCI_RESOURCE_A_B_AUDIO: audio.id });
    expect(node.agent.store.holder(12)).toBe('default/next');
  });

  it('is refused to a pod that comes while a process of the one before has it open, after 3 s', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await node.pass(6_000);
    node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
    await end('vm');
    const asked = node.clock.monotonic();
    await expect(admit('next', { [audios]: 1 })).rejects.toThrow(
      'IOMMU group 12 belongs to pod default/vm and is open still: process qemu (7) has /dev/vfio/12 open',
    );
    expect(node.clock.monotonic() - asked).toBeLessThan(4_000);
  });

  it('comes back when its pod is gone and nobody has it open', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await node.pass(6_000);
    node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
    await end('vm');
    await node.look();
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    expect(node.health(audios)).toEqual({ [audio.id]: 'Unhealthy' });
    node.users.clear();
    await node.look();
    expect(node.health(gpus)[gpu.id]).toBe('Healthy');
    expect(node.health(audios)).toEqual({ [audio.id]: 'Healthy' });
    await node.when(node.kubelet.run(aPod('next', { [audios]: 1 })));
    expect(node.agent.store.holder(12)).toBe('default/next');
  });

  it('stays with its pod when a kubelet that has just started knows no pods, although the last look was before the pod opened it', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await node.pass(6_000);
    await node.agent.allocator.observe({ holders: [], begun: node.clock.monotonic() });
    await node.pass(200);
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    expect(node.agent.store.holder(12)).toBe('default/vm');
    node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
    await node.agent.allocator.observeAfterLook({ holders: [], begun: node.clock.monotonic() });
    await node.pass(200);
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    await node.look();
    expect(node.health(audios)).toEqual({ [audio.id]: 'Healthy' });
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
  });

  describe('the agent starts anew, and looks before it offers anything, after a kubelet that knew no pods for a while', () => {
    const newKubelet = () => node.agent.allocator.observeAfterLook({ holders: [], begun: node.clock.monotonic() });

    beforeEach(async () => {
      await admit('vm', { [audios]: 1 });
      await start('vm');
      await node.pass(6_000);
      node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
      await node.look();
      await newKubelet();
      await node.look();
      expect(node.agent.store.holder(12)).toBe('default/vm');
      await node.restartAgent();
    });

    it('stays with its pod, also when kubelet then starts once more', async () => {
      node.users.clear();
      await node.look();
      expect(node.agent.store.holder(12)).toBe('default/vm');
      await node.offer(...pools);
      node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
      await newKubelet();
      await node.pass(200);
      expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    });

    it('stays with its pod when kubelet knows no pods at that moment', async () => {
      await newKubelet();
      expect(node.agent.store.holder(12)).toBe('default/vm');
    });

    it('is let go of when the pod is gone, although nothing of it is offered any more', async () => {
      await end('vm');
      await node.look();
      expect(node.agent.store.holder(12)).toBe('default/vm');
      node.users.clear();
      await node.look();
      expect(node.agent.store.holder(12)).toBeNull();
    });
  });

  it('belongs to the first pod that starts when two raced', async () => {
    await takeOther();
    await admit('one', { [gpus]: 1 });
    await admit('two', { [audios]: 1 });
    await start('two');
    await expect(start('one')).rejects.toThrow(
      'IOMMU group 12 of 0000:3b:00.0 belongs to pod default/two, which has 0000:3b:00.1 of it and started first; delete the pod',
    );
    await start('two');
    await end('two');
    await start('one');
    expect(node.agent.store.holder(12)).toBe('default/one');
  });

  it('has one winner when both start at the same time', async () => {
    await takeOther();
    await admit('one', { [gpus]: 1 });
    await admit('two', { [audios]: 1 });
    const both = Promise.allSettled([
      node.kubelet.startContainer('default', 'one', 'main'),
      node.kubelet.startContainer('default', 'two', 'main'),
    ]);
    const results = await node.when(both);
    expect(results.map((result) => result.status).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'fulfilled',
      'rejected',
    ]);
  });

  it('is refused to a pod that comes later, also before kubelet has heard that it is withdrawn', async () => {
    await admit('vm', { [audios]: 1 });
    await node.pass(60_000);
    const { allocate } = node.agent.allocator.handlers(gpus);
    await expect(node.when(allocate([gpu.id]))).rejects.toThrow(
      '0000:3b:00.0 shares IOMMU group 12 with 0000:3b:00.1 of pod default/vm, allocated 60 s ago; a group belongs to one pod at a time',
    );
    await end('vm');
    await node.when(allocate([gpu.id]));
  });

  it('is refused after its pod has started, within the 5 s too', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await expect(node.when(node.agent.allocator.handlers(gpus).allocate([gpu.id]))).rejects.toThrow(
      '0000:3b:00.0: IOMMU group 12 belongs to pod default/vm',
    );
  });

  it('keeps its owner over a restart of the agent', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    await node.look();
    await node.restartAgent(...pools);
    expect(node.agent.store.holder(12)).toBe('default/vm');
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    await start('vm');
  });

  it('is known as taken by PodResources alone when our file is lost', async () => {
    await admit('vm', { [audios]: 1 });
    await start('vm');
    node.files.drop('/state/allocations');
    await node.restartAgent(...pools);
    await node.look();
    expect(node.health(gpus)[gpu.id]).toBe('Unhealthy');
    await expect(node.when(node.agent.allocator.handlers(gpus).allocate([gpu.id]))).rejects.toThrow(
      '0000:3b:00.0 shares IOMMU group 12 with 0000:3b:00.1 of pod default/vm; a group belongs',
    );
  });

  it('is not started by a pod while another has it open, although no owner is recorded', async () => {
    await takeOther();
    await admit('one', { [gpus]: 1 });
    await admit('two', { [audios]: 1 });
    node.users.set(12, 'process qemu (7) has /dev/vfio/12 open');
    await expect(start('two')).rejects.toThrow(
      'IOMMU group 12 of 0000:3b:00.1 is open for another pod: process qemu (7) has /dev/vfio/12 open',
    );
  });

  it('is not started while PodResources cannot be read, or shows nobody', async () => {
    await admit('vm', { [audios]: 1 });
    node.kubelet.faults.podResources = new GrpcError('Unavailable', 'away');
    await expect(start('vm')).rejects.toThrow('which pod has 0000:3b:00.1 is not known');
    node.kubelet.faults.podResources = null;
    await start('vm');
    const handlers = node.agent.allocator.handlers(gpus);
    await node.pass(1);
    await end('vm');
    await node.look();
    await node.when(handlers.allocate([gpu.id]));
    await expect(node.when(handlers.preStart([gpu.id]))).rejects.toThrow(
      'PodResources shows no pod that has 0000:3b:00.0 of a.b/gpu',
    );
  });
});

describe('a function alone in its group', () => {
  it('needs no owner', async () => {
    const alone = aPool([other], { resource: gpus, unit: 'Function' });
    await node.offer(alone);
    await node.when(node.kubelet.run(aPod('vm', { [gpus]: 1 })));
    expect(node.agent.store.heldGroups()).toEqual([]);
    expect(node.health(gpus)).toEqual({ [other.id]: 'Healthy' });
  });

  it('needs no group at all without an IOMMU', async () => {
    const bare = anAdvertised('0000:65:00.0', { iommuGroup: null, groupNode: 'noiommu-0' });
    await node.offer(aPool([bare], { resource: gpus, unit: 'Function' }));
    await node.when(node.kubelet.run(aPod('vm', { [gpus]: 1 })));
    expect(node.health(gpus)).toEqual({ [bare.id]: 'Healthy' });
  });
});
