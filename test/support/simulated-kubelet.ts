// A node in memory with the kubelet stand-in, the allocator and the plugins, under a clock that stands still until told.
import type { AdvertisedDevice, AdvertisedFunction, ResourcePool } from '../../src/domain/resource-pool.ts';
import { AllocationStore } from '../../src/kubelet/allocation-store.ts';
import { Allocator } from '../../src/kubelet/allocator.ts';
import { createCdiFiles } from '../../src/kubelet/cdi-files.ts';
import { DevicePlugins } from '../../src/kubelet/device-plugins.ts';
import { readPodResources } from '../../src/kubelet/pod-resources.ts';
import { registerByDirectory } from '../../src/kubelet/plugin-registration.ts';
import { registerByCall } from '../../src/kubelet/registration.ts';
import { KubeletStandIn } from '../../src/simulation/kubelet-stand-in.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../src/simulation/memory-grpc.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';

const directory = '/var/lib/kubelet/device-plugins';
const registryDirectory = '/var/lib/kubelet/plugins_registry';
const podResourcesDirectory = '/var/lib/kubelet/pod-resources';

export interface SimulatedKubeletOptions {
  readonly way?: 'Register' | 'Directory';
}

/** Builds the node and starts its kubelet; the agent's part starts with `offer`. */
export async function createSimulatedKubelet({ way = 'Register' }: SimulatedKubeletOptions = {}) {
  const clock = createVirtualClock();
  const files = createMemoryFiles({
    now: () => clock.now(),
    entries: { '/state': { directory: {} }, '/var/run/cdi': { directory: {} } },
  });
  const grpc = createMemoryGrpc(files, clock);
  const random = createSeededRandom(1);
  const ports = { grpc, files, clock, random };
  const events: string[] = [];
  const kubelet = new KubeletStandIn(ports, {
    directory,
    podResourcesDirectory,
    registryDirectory,
    dialDeadline: 1000,
    onEvent: (text) => events.push(text),
  });
  await kubelet.start();

  /** What the host says when asked again, by address; absent: all as the pool says. */
  const differences = new Map<string, string>();
  /** Who has a group open, by group number. */
  const users = new Map<number, string>();
  /** Milliseconds that a look at the host takes which the allocator asks for. */
  const lookTime = 300;
  const readPods = () => readPodResources(ports, `${podResourcesDirectory}/kubelet.sock`);

  const startAgent = async () => {
    const store = await AllocationStore.open(ports, '/state/allocations');
    const allocator: Allocator = new Allocator(
      {
        files,
        clock,
        store,
        cdi: createCdiFiles(files, '/var/run/cdi'),
        readPods,
        lookAgain: () =>
          void clock.after(lookTime, () => void readPods().then((seen) => allocator.observeAfterLook(seen))),
        verify: (fn: AdvertisedFunction) => differences.get(fn.address) ?? null,
        findGroupUser: (group: number) => users.get(group) ?? null,
      },
      {
        hostRoot: '',
        pluginDirectory: directory,
        bootId: 'boot-1',
        onChange: () => plugins.refresh(),
      },
    );
    const plugins: DevicePlugins = new DevicePlugins(ports, {
      prefix: 'vfio-operator',
      directory: way === 'Register' ? directory : registryDirectory,
      registration: way === 'Register' ? registerByCall(ports, directory) : registerByDirectory(registryDirectory),
      allocator,
      onState: () => undefined,
    });
    return { store, allocator, plugins };
  };
  let agent = await startAgent();

  const node = {
    ...ports,
    kubelet,
    events,
    differences,
    users,
    directory,
    readPods,
    get agent() {
      return agent;
    },
    /** Offers the pools, with their device nodes present, and waits until kubelet has the lists. */
    async offer(...pools: readonly ResourcePool[]) {
      for (const pool of pools) for (const device of pool.devices) putNodes(device);
      await agent.plugins.apply(pools);
      await agent.allocator.describe();
      await node.pass(200);
    },
    /** Lets time pass. */
    pass: (milliseconds: number) => clock.advance(milliseconds),
    /** Awaits something that needs time to pass. */
    async when<Value>(promise: Promise<Value>): Promise<Value> {
      let settled = false;
      const settle = (): void => void (settled = true);
      promise.then(settle, settle);
      await clock.runUntil(() => settled, 60_000);
      return promise;
    },
    /** Asks kubelet what pods hold, as the agent does from time to time. */
    async look() {
      await node.pass(1);
      const reading = await node.when(readPods());
      await agent.allocator.observeAfterLook(reading);
      await node.pass(200);
      return reading;
    },
    /** Ends the agent without goodbye to anybody and starts another, which knows only what is on disk. */
    async restartAgent(...pools: readonly ResourcePool[]) {
      await node.when(agent.plugins.stop());
      agent = await startAgent();
      await node.offer(...pools);
      await node.pass(1000);
    },
    health(resource: string) {
      return Object.fromEntries(agent.allocator.list(resource).map((device) => [device.id, device.health]));
    },
  };

  function putNodes(device: AdvertisedDevice): void {
    const names = ['vfio', ...(device.groupNode === null ? [] : [device.groupNode])];
    for (const name of names) files.put(`/dev/vfio/${name}`, { node: 'char' });
    for (const { vfioDevice } of device.functions) {
      if (vfioDevice !== null) files.put(`/dev/vfio/devices/${vfioDevice}`, { node: 'char' });
    }
  }
  return node;
}

/** A pod with one container that wants these. */
export function aPod(name: string, limits: Readonly<Record<string, number>>) {
  return { namespace: 'default', name, containers: [{ name: 'main', limits }] };
}
