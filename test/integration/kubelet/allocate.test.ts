import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ResourcePool } from '../../../src/domain/resource-pool.ts';
import { AllocationStore } from '../../../src/kubelet/allocation-store.ts';
import { Allocator } from '../../../src/kubelet/allocator.ts';
import { createCdiFiles } from '../../../src/kubelet/cdi-files.ts';
import { DevicePlugins } from '../../../src/kubelet/device-plugins.ts';
import { readPodResources } from '../../../src/kubelet/pod-resources.ts';
import { registerByCall } from '../../../src/kubelet/registration.ts';
import { createKubeletHost, until } from '../../support/kubelet-host.ts';
import { aPool, anAdvertised } from '../../support/pools.ts';

const gpus = 'vfio-operator.dev/gpu';
const audios = 'vfio-operator.dev/audio';
const gpu = anAdvertised('0000:3b:00.0', { iommuGroup: 12 });
const audio = anAdvertised('0000:3b:00.1', { iommuGroup: 12 });
const nic = anAdvertised('0000:65:00.0', { iommuGroup: 20 });

let host: ReturnType<typeof createKubeletHost>;
let root: string;
let stop: () => Promise<void>;
beforeEach(async () => {
  host = createKubeletHost();
  root = mkdtempSync(join(tmpdir(), 'host-'));
  mkdirSync(join(root, 'dev/vfio'), { recursive: true });
  // A device node without being root: a link to one that every machine has.
  for (const name of ['vfio', '12', '20', '31']) symlinkSync('/dev/null', join(root, 'dev/vfio', name));
  stop = () => Promise.resolve();
  await host.kubelet.start();
});
afterEach(async () => {
  await stop();
  await host.close();
  rmSync(root, { recursive: true });
});

async function startAgent(pools: readonly ResourcePool[]) {
  const store = await AllocationStore.open(host.ports, join(root, 'allocations'));
  const allocator: Allocator = new Allocator(
    {
      ...host.ports,
      store,
      cdi: createCdiFiles(host.ports.files, join(root, 'cdi')),
      readPods: () => readPodResources(host.ports, host.podResourcesSocket),
      lookAgain: () => undefined,
      verify: () => null,
      findGroupUser: () => null,
    },
    { hostRoot: root, pluginDirectory: host.directory, bootId: 'boot', onChange: () => plugins.refresh() },
  );
  const plugins: DevicePlugins = new DevicePlugins(host.ports, {
    prefix: 'vfio-operator',
    directory: host.directory,
    registration: registerByCall(host.ports, host.directory),
    allocator,
    onState: () => undefined,
  });
  await plugins.clean();
  await plugins.apply(pools);
  stop = async () => {
    await plugins.stop();
    await store.close();
  };
  await registered(pools);
  return { allocator, plugins };
}

const registered = (pools: readonly ResourcePool[]) =>
  until('registered', () =>
    pools.every((pool) => host.kubelet.resources().get(pool.resource)?.allocatable === pool.devices.length),
  );
const pod = (name: string, limits: Readonly<Record<string, number>>) => ({
  namespace: 'default',
  name,
  containers: [{ name: 'main', limits }],
});

describe('a pod with devices, over real sockets and files', () => {
  it('gets what it needs and keeps it over restarts of kubelet, of the agent, and of its container', async () => {
    const pools = [aPool([gpu, nic])];
    await startAgent(pools);
    const [config] = (await host.kubelet.run(pod('vm', { [gpus]: 2 }))).values();
    expect(config?.envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU': '0000:3b:00.0,0000:65:00.0' });
    expect(config?.devices.map((device) => device.hostPath)).toEqual([
      '/dev/vfio/vfio',
      '/dev/vfio/12',
      '/dev/vfio/20',
    ]);
    expect(readFileSync(join(root, 'allocations'), 'utf8')).toContain('"group":20');

    await host.kubelet.restart();
    await registered(pools);
    await stop();
    await startAgent(pools);
    expect(await host.kubelet.startContainer('default', 'vm', 'main')).toEqual(config);
    await expect(host.kubelet.admit(pod('late', { [gpus]: 1 }))).rejects.toThrow(
      '1 of vfio-operator.dev/gpu requested, 0',
    );
  });

  it('is not started with numbers that became another device’s', async () => {
    const { plugins } = await startAgent([aPool([gpu])]);
    await host.kubelet.run(pod('vm', { [gpus]: 1 }));
    const moved = anAdvertised(gpu.id, { iommuGroup: 31 });
    await plugins.apply([aPool([moved])]);
    await expect(host.kubelet.startContainer('default', 'vm', 'main')).rejects.toThrow(
      'PreStartContainer of vfio-operator.dev/gpu failed: 0000:3b:00.0 is in IOMMU group 31 now, was 12; delete the pod',
    );
    await plugins.apply([aPool([gpu])]);
    await host.kubelet.startContainer('default', 'vm', 'main');
  });

  it('is failed for good when it was admitted and not running as kubelet restarted', async () => {
    await startAgent([aPool([gpu])]);
    await host.kubelet.admit(pod('vm', { [gpus]: 1 }));
    await host.kubelet.restart();
    expect(host.kubelet.phase('default', 'vm')).toEqual({
      phase: 'Failed',
      reason: 'no healthy devices present; cannot allocate vfio-operator.dev/gpu',
    });
    await registered([aPool([gpu])]);
    await host.kubelet.run(pod('next', { [gpus]: 1 }));
  });

  it('shares no group with another, however they race', async () => {
    const pools = [
      aPool([gpu], { resource: gpus, unit: 'Function' }),
      aPool([audio], { resource: audios, unit: 'Function' }),
    ];
    const { allocator } = await startAgent(pools);
    const both = [pod('one', { [gpus]: 1 }), pod('two', { [audios]: 1 })];
    await Promise.all(both.map((spec) => host.kubelet.admit(spec)));
    const results = await Promise.allSettled(
      both.map((spec) => host.kubelet.startContainer('default', spec.name, 'main')),
    );
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    const refused = results.find((result) => result.status === 'rejected');
    expect(String(refused?.reason)).toMatch(/IOMMU group 12 of 0000:3b:00\.[01] belongs to pod default\/(one|two)/);
    expect(new Set(allocator.recentHolders().map((holder) => holder.address))).toEqual(new Set([gpu.id, audio.id]));
  });

  it('sees a thousand devices in one list, and any one of them can be had', async () => {
    const many = Array.from({ length: 1000 }, (_, index) =>
      anAdvertised(
        `0000:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}.0`,
        {
          iommuGroup: index,
          groupNode: '12',
          numaNode: index % 2,
        },
      ),
    );
    await startAgent([aPool(many)]);
    const [config] = (await host.kubelet.run(pod('vm', { [gpus]: 1 }))).values();
    expect(Object.values(config?.envs ?? {})).toEqual(['0000:00:00.0']);
  });
});
