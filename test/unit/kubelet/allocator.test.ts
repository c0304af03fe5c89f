import { beforeEach, describe, expect, it } from 'vitest';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { aFunction, aPool, anAdvertised } from '../../support/pools.ts';
import { aPod, createSimulatedKubelet } from '../../support/simulated-kubelet.ts';

const gpus = 'vfio-operator.dev/gpu';
const first = anAdvertised('0000:3b:00.0', { iommuGroup: 12 });
const second = anAdvertised('0000:65:00.0', { iommuGroup: 20, numaNode: 1 });

let node: Awaited<ReturnType<typeof createSimulatedKubelet>>;
beforeEach(async () => {
  node = await createSimulatedKubelet();
});

const run = (name: string, limits: Readonly<Record<string, number>> = { [gpus]: 1 }) =>
  node.when(node.kubelet.run(aPod(name, limits)));

describe('Allocate', () => {
  it('gives variable and nodes, with the answer on disk', async () => {
    await node.offer(aPool([first, second]));
    const started = await run('vm', { [gpus]: 2 });
    expect(started.get('main')).toMatchObject({
      envs: { 'PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU': '0000:3b:00.0,0000:65:00.0' },
      devices: ['/dev/vfio/vfio', '/dev/vfio/12', '/dev/vfio/20'].map((path) => ({
        containerPath: path,
        hostPath: path,
        permissions: 'mrw',
      })),
    });
    expect(node.files.readText('/state/allocations')).toContain('"id":"0000:65:00.0"');
    expect(new Set(node.kubelet.held('default', 'vm').get(gpus))).toEqual(new Set([first.id, second.id]));
    expect(node.agent.allocator.recentHolders().map((holder) => holder.address)).toEqual([first.id, second.id]);
  });

  it('answers nothing that is not on disk', async () => {
    await node.offer(aPool([first]));
    node.files.setFault((operation, path) => (operation === 'fsync' && path.startsWith('/state') ? 'EIO' : null));
    await expect(run('vm')).rejects.toThrow('EIO');
    node.files.setFault(null);
    expect(node.agent.allocator.recentHolders()).toEqual([]);
    await run('next');
  });

  it.each([
    [
      'its driver is another',
      'is on driver nvme now, not vfio-pci',
      () => node.differences.set(first.id, `${first.id} is on driver nvme now, not vfio-pci`),
    ],
    [
      'its node is gone',
      '0000:3b:00.0 needs /dev/vfio/12: stat /dev/vfio/12: ENOENT',
      () => node.files.drop('/dev/vfio/12'),
    ],
    ['its node is no device', 'it is no device node but a file', () => node.files.put('/dev/vfio/12', '')],
  ])('refuses a device when %s', async (_why, sentence, spoil) => {
    await node.offer(aPool([first]));
    spoil();
    await expect(run('vm')).rejects.toThrow(sentence);
    expect(node.kubelet.phase('default', 'vm')).toMatchObject({ phase: 'Failed' });
  });

  it('names an id that is unknown, unhealthy, or not offered any more', async () => {
    const sick = { ...second, healthy: false, unhealthyBecause: 'it is unplugged' };
    await node.offer(aPool([first, sick]));
    const { allocate } = node.agent.allocator.handlers(gpus);
    await expect(allocate(['0000:99:00.0'])).rejects.toThrow(`0000:99:00.0 is no device of ${gpus}`);
    await expect(allocate([second.id])).rejects.toThrow('0000:65:00.0 is unhealthy: it is unplugged');
    node.agent.allocator.update([aPool([second])]);
    await expect(allocate([first.id])).rejects.toThrow(`0000:3b:00.0 is not offered as ${gpus} any more`);
    node.agent.allocator.update([]);
    await expect(allocate([second.id])).rejects.toThrow(`0000:65:00.0: ${gpus} is not offered on this node any more`);
  });

  it('says what the kernel lacks for the nodes that the policy asks for', async () => {
    await node.offer(aPool([first], { deviceNodes: 'Iommufd' }));
    await expect(run('vm')).rejects.toThrow(
      '0000:3b:00.0 has no cdev under /dev/vfio/devices; the policy asks for Iommufd',
    );
  });

  it('is refused from the moment the pool says so, while kubelet still believes in the device', async () => {
    await node.offer(aPool([first]));
    node.agent.allocator.update([aPool([{ ...first, healthy: false, unhealthyBecause: 'it is being given back' }])]);
    await expect(run('vm')).rejects.toThrow('0000:3b:00.0 is unhealthy: it is being given back');
  });
});

describe('what kubelet is told', () => {
  it('follows the pools, resource by resource', async () => {
    await node.offer(aPool([first]), aPool([second], { resource: 'a.b/nic' }));
    expect(node.kubelet.resources()).toEqual(
      new Map([
        [gpus, { capacity: 1, allocatable: 1 }],
        ['a.b/nic', { capacity: 1, allocatable: 1 }],
      ]),
    );
    await node.when(node.agent.plugins.apply([aPool([{ ...first, healthy: false }])]));
    await node.pass(200);
    expect(node.kubelet.resources().get(gpus)).toEqual({ capacity: 1, allocatable: 0 });
    expect(node.kubelet.resources().get('a.b/nic')).toEqual({ capacity: 0, allocatable: 0 });
    expect(node.agent.plugins.states()).toMatchObject([{ resource: gpus, registered: true, capacity: 1, healthy: 0 }]);
    await node.offer(aPool([first]), aPool([second], { resource: 'a.b/nic' }));
    expect(node.kubelet.resources().get('a.b/nic')).toEqual({ capacity: 1, allocatable: 1 });
  });

  it('prefers what the pool prefers', async () => {
    await node.offer(aPool([first, second]));
    await run('one');
    // A NUMA node rather than none, though the other address is lower.
    expect(node.kubelet.held('default', 'one')).toEqual(new Map([[gpus, [second.id]]]));
    expect(node.agent.allocator.handlers('gone').prefer({ available: ['x', 'y'], mustInclude: [], size: 1 })).toEqual([
      'x',
    ]);
  });
});

describe('PreStartContainer', () => {
  const restart = (name: string) => node.when(node.kubelet.startContainer('default', name, 'main'));

  it('lets a container start again while all is as it was, also for the next agent and without its file', async () => {
    await node.offer(aPool([first]));
    await run('vm');
    await restart('vm');
    await node.restartAgent(aPool([first]));
    await restart('vm');
    node.files.drop('/state/allocations');
    await node.restartAgent(aPool([first]));
    expect((await restart('vm')).envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU': first.id });
  });

  const moved = anAdvertised(first.id, { iommuGroup: 31 });
  const otherDriver = { ...first, functions: [aFunction(first.id, { driver: 'mlx5_vfio_pci' })] };
  const withCdev = { ...first, functions: [aFunction(first.id, { vfioDevice: 'vfio3' })] };
  const otherCdev = { ...first, functions: [aFunction(first.id, { vfioDevice: 'vfio4' })] };
  const shrunk = { ...first, functions: [aFunction('0000:3b:00.1')] };

  it.each([
    ['group', first, moved, '0000:3b:00.0 is in IOMMU group 31 now, was 12'],
    ['driver', first, otherDriver, '0000:3b:00.0 is on driver mlx5_vfio_pci now, was on vfio-pci'],
    ['cdev', withCdev, otherCdev, '0000:3b:00.0 has the cdev vfio4 now, had vfio3'],
    ['lost cdev', withCdev, first, '0000:3b:00.0 has the cdev none now, had vfio3'],
    ['new cdev', first, withCdev, '0000:3b:00.0 has the cdev vfio3 now, had none'],
    ['functions', first, shrunk, '0000:3b:00.0 was handed out with 0000:3b:00.0 and is no part of it any more'],
  ])('fails when the %s is another, and says that a new pod cures it', async (_what, before, after, sentence) => {
    await node.offer(aPool([before]));
    await run('vm');
    await node.offer(aPool([after]));
    await expect(restart('vm')).rejects.toThrow(`${sentence}; delete the pod, and a new one gets a device that fits`);
  });

  it('asks the host, and does not trust the last scan', async () => {
    await node.offer(aPool([first]));
    await run('vm');
    node.differences.set(first.id, '0000:3b:00.0 is in IOMMU group 31 now, was 12');
    await expect(restart('vm')).rejects.toThrow('0000:3b:00.0 is in IOMMU group 31 now, was 12');
  });

  it.each([
    ['another group', first, moved, '/dev/vfio/12 was handed out for 0000:3b:00.0 and is not its node any more'],
    ['another cdev', withCdev, otherCdev, '/dev/vfio/devices/vfio3 was handed out for 0000:3b:00.0'],
    [
      'another function',
      first,
      { ...first, functions: [aFunction('0000:3b:00.1')] },
      '0000:3b:00.0 was handed out for 0000:3b:00.0, which is 0000:3b:00.1 now',
    ],
  ])('finds %s by the checkpoint of kubelet when our record is lost', async (_what, before, after, sentence) => {
    await node.offer(aPool([before]));
    await run('vm');
    node.files.drop('/state/allocations');
    await node.restartAgent(aPool([after]));
    await expect(restart('vm')).rejects.toThrow(sentence);
  });

  it.each([
    ['absent', (path: string) => node.files.drop(path)],
    ['no JSON', (path: string) => node.files.put(path, '{')],
    [
      'of another form',
      (path: string) => node.files.put(path, '{"Data":{"PodDeviceEntries":[null,{"ResourceName":1}]}}'),
    ],
    [
      'without our answer',
      (path: string) =>
        node.files.put(
          path,
          `{"Data":{"PodDeviceEntries":[{"ResourceName":"${gpus}","DeviceIDs":{"-1":["${first.id}"]},"AllocResp":"?"}]}}`,
        ),
    ],
  ])('fails without record when the checkpoint is %s', async (_what, spoil) => {
    await node.offer(aPool([first]));
    await run('vm');
    node.files.drop('/state/allocations');
    await node.restartAgent(aPool([first]));
    spoil(`${node.directory}/kubelet_internal_checkpoint`);
    await expect(restart('vm')).rejects.toThrow(
      'nothing is known of how 0000:3b:00.0 was allocated, so it may be another device now; delete the pod',
    );
  });
});

describe('use', () => {
  it('counts from Allocate until pods have let go', async () => {
    await node.offer(aPool([first]));
    await node.when(node.kubelet.admit(aPod('vm', { [gpus]: 1 })));
    expect(node.agent.allocator.recentHolders()).toMatchObject([{ address: first.id, code: 'RecentlyAllocated' }]);
    await node.look();
    await node.pass(3_600_000);
    expect(node.agent.allocator.recentHolders()).toHaveLength(1);
    node.kubelet.faults.podResources = new GrpcError('Unavailable', 'away');
    await node.when(node.kubelet.deletePod('default', 'vm'));
    expect(await node.look()).toEqual({
      unreadable: '/v1.PodResourcesLister/List at /var/lib/kubelet/pod-resources/kubelet.sock: Unavailable: away',
    });
    expect(node.agent.allocator.recentHolders()).toHaveLength(1);
    node.kubelet.faults.podResources = null;
    await node.look();
    expect(node.agent.allocator.recentHolders()).toEqual([]);
  });
});
