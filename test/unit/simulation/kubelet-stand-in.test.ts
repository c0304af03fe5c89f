import { beforeEach, describe, expect, it } from 'vitest';
import {
  answer,
  answerStream,
  call,
  devicePlugin,
  podResources,
  registration,
} from '../../../src/kubelet/contracts.ts';
import type { AnswerStream } from '../../../src/kubelet/contracts.ts';
import type { ContainerAllocateResponse, ListAndWatchResponse } from '../../../src/kubelet/messages.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { KubeletStandIn } from '../../../src/simulation/kubelet-stand-in.ts';
import { mergeAnswers } from '../../../src/simulation/kubelet/pod.ts';
import { refuseResourceName } from '../../../src/simulation/kubelet/resource-name.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../../src/simulation/memory-grpc.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { aPod } from '../../support/simulated-kubelet.ts';

const directory = '/var/lib/kubelet/device-plugins';
const podResourcesDirectory = '/var/lib/kubelet/pod-resources';
const resource = 'a.b/gpu';
const nothing: ContainerAllocateResponse = { envs: {}, mounts: [], devices: [], annotations: {}, cdiDevices: [] };

function createWorld() {
  const clock = createVirtualClock();
  const files = createMemoryFiles({ now: () => clock.now() });
  const grpc = createMemoryGrpc(files, clock);
  const ports = { clock, files, grpc };
  const kubelet = new KubeletStandIn(ports, { directory, podResourcesDirectory, registryDirectory: null });
  const calls: string[] = [];
  const streams: AnswerStream<ListAndWatchResponse>[] = [];
  const plugin = {
    options: { preStartRequired: true, getPreferredAllocationAvailable: true },
    preferred: ['c'] as readonly string[],
    allocate: (ids: readonly string[]): ContainerAllocateResponse => ({ ...nothing, envs: { IDS: ids.join() } }),
    preStart: (): void => undefined,
  };
  const list = (...ids: readonly string[]) =>
    streams.at(-1)?.send({ devices: ids.map((id) => ({ id, health: 'Healthy', numaNodes: [] })) });
  /** Serves a plugin on `name` and registers it; resolves with what Register answered. */
  const register = async (name: string, version = 'v1beta1', resourceName = resource) => {
    await grpc.serve(`${directory}/${name}`, [
      answer(devicePlugin.getDevicePluginOptions, () => {
        calls.push(`${name} options`);
        return plugin.options;
      }),
      answerStream(devicePlugin.listAndWatch, (stream) => {
        calls.push(`${name} list`);
        streams.push(stream);
      }),
      answer(devicePlugin.getPreferredAllocation, () => ({ containerResponses: [plugin.preferred] })),
      answer(devicePlugin.allocate, ({ containerRequests }) => {
        calls.push(`${name} allocate ${containerRequests.join('|')}`);
        return { containerResponses: containerRequests.map((ids) => plugin.allocate(ids)) };
      }),
      answer(devicePlugin.preStartContainer, ({ ids }) => {
        calls.push(`${name} start ${ids.join()}`);
        plugin.preStart();
        return {};
      }),
    ]);
    await connect(name, version, resourceName);
  };
  const connect = async (endpoint: string, version = 'v1beta1', resourceName = resource) => {
    const channel = grpc.connect(`${directory}/kubelet.sock`);
    const request = { version, endpoint, resourceName, options: plugin.options };
    await call(channel, registration.register, request, 60_000).finally(() => channel.close());
    await clock.settle();
  };
  return { ...ports, kubelet, calls, streams, plugin, list, register, connect };
}

let world: ReturnType<typeof createWorld>;
beforeEach(async () => {
  world = createWorld();
  await world.kubelet.start();
});
const counts = () => world.kubelet.resources().get(resource);

describe('the kubelet stand-in', () => {
  it('deletes every socket in its directory when it starts, and nothing else', async () => {
    await world.kubelet.stop();
    world.files.put(`${directory}/old.sock`, { node: 'socket' });
    world.files.put(
      `${directory}/kubelet_internal_checkpoint`,
      '{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}}}',
    );
    world.files.put(`${directory}/folder/inner.sock`, { node: 'socket' });
    await world.kubelet.start();
    expect([...world.files.list(directory)].toSorted((a, b) => a.localeCompare(b))).toEqual([
      'folder',
      'kubelet_internal_checkpoint',
      'kubelet.sock',
    ]);
    expect(world.files.exists(`${directory}/folder/inner.sock`)).toBe(true);
  });

  it('asks for the options within Register, then opens the list, once', async () => {
    await world.register('p.sock');
    expect(world.calls).toEqual(['p.sock options', 'p.sock list']);
    world.list('a', 'b');
    await world.clock.settle();
    expect(counts()).toEqual({ capacity: 2, allocatable: 2 });
    world.list('a');
    await world.clock.settle();
    expect(counts()).toEqual({ capacity: 1, allocatable: 1 });
    world.streams[0]?.end();
    await world.clock.settle();
    expect(counts()).toEqual({ capacity: 1, allocatable: 0 });
    await world.clock.advance(4 * 60_000);
    expect(world.calls).toHaveLength(2);
    expect(counts()).toEqual({ capacity: 1, allocatable: 0 });
    await world.clock.advance(60_000);
    expect(counts()).toBeUndefined();
  });

  it('dials for 10 s a plugin that does not serve yet, and then refuses it', async () => {
    const refused = expect(world.connect('absent.sock')).rejects.toMatchObject({ code: 'Unavailable' });
    await world.clock.advance(11_000);
    await refused;
    const late = world.connect('late.sock');
    await world.clock.advance(5_000);
    await Promise.all([world.register('late.sock', 'v1beta1', 'a.b/late'), world.clock.advance(1_000)]);
    await late;
    expect(counts()).toBeDefined();
  });

  it('refuses another version', async () => {
    await expect(world.register('p.sock', 'v1alpha1')).rejects.toThrow('version v1alpha1 is not supported');
    expect(world.calls).toEqual([]);
  });

  it('lets the newest registration of a name win', async () => {
    await world.register('old.sock');
    world.list('a');
    await world.register('new.sock');
    world.list('b', 'c');
    await world.clock.settle();
    expect(world.kubelet.socket(resource)).toBe('new.sock');
    expect(counts()).toEqual({ capacity: 2, allocatable: 2 });
    world.streams[0]?.end();
    await world.clock.settle();
    expect(counts()).toEqual({ capacity: 2, allocatable: 2 });
  });

  it('asks Allocate once and repeats its answer at every start, with PreStartContainer before each', async () => {
    await world.register('p.sock');
    world.list('a', 'b', 'c');
    const [config] = (await world.kubelet.run(aPod('vm', { [resource]: 1 }))).values();
    expect(config?.envs).toEqual({ IDS: 'c' });
    world.plugin.allocate = () => ({ ...nothing, envs: { IDS: 'changed' } });
    expect(await world.kubelet.startContainer('default', 'vm', 'main')).toEqual(config);
    expect(world.calls.slice(2)).toEqual(['p.sock allocate c', 'p.sock start c', 'p.sock start c']);
    world.plugin.preStart = () => {
      throw new GrpcError('FailedPrecondition', 'not like this');
    };
    await expect(world.kubelet.startContainer('default', 'vm', 'main')).rejects.toThrow(
      'PreStartContainer of a.b/gpu failed: not like this',
    );
    await expect(world.kubelet.startContainer('default', 'other', 'main')).rejects.toThrow('no pod default/other');
  });

  it('asks neither for a start nor for a preference of a plugin that does not want to be asked', async () => {
    world.plugin.options = { preStartRequired: false, getPreferredAllocationAvailable: false };
    await world.register('p.sock');
    world.list('a', 'b', 'c');
    await world.kubelet.run(aPod('vm', { [resource]: 1 }));
    expect(world.calls.slice(2)).toEqual(['p.sock allocate a']);
  });

  it('takes a preference as a hint: fills it up, and leaves out what it did not offer', async () => {
    await world.register('p.sock');
    world.list('a', 'b', 'c');
    world.plugin.preferred = ['c', 'c', 'foreign'];
    await world.kubelet.run(aPod('vm', { [resource]: 2 }));
    expect(world.calls).toContain('p.sock allocate c,a');
  });

  it('gives a device to one pod at a time, and to the next when that is gone', async () => {
    await world.register('p.sock');
    world.list('a');
    await world.kubelet.run(aPod('one', { [resource]: 1 }));
    await expect(world.kubelet.admit(aPod('two', { [resource]: 1 }))).rejects.toThrow(
      '1 of a.b/gpu requested, 0 available',
    );
    expect(world.kubelet.phase('default', 'two')?.phase).toBe('Failed');
    await world.kubelet.deletePod('default', 'one');
    await world.kubelet.run(aPod('three', { [resource]: 1 }));
    expect(world.kubelet.held('default', 'three')).toEqual(new Map([[resource, ['a']]]));
    expect(world.kubelet.phase('default', 'nobody')).toBeNull();
  });

  it('fails a pod for good when Allocate does, and frees what it had been given before', async () => {
    await world.register('p.sock');
    world.list('a');
    await expect(world.kubelet.admit(aPod('vm', { [resource]: 1, 'a.b/none': 1 }))).rejects.toThrow(
      'no healthy devices present; cannot allocate a.b/none',
    );
    world.plugin.allocate = () => {
      throw new GrpcError('FailedPrecondition', 'a is gone');
    };
    await expect(world.kubelet.admit(aPod('next', { [resource]: 1 }))).rejects.toThrow(
      'Allocate of a.b/gpu failed: a is gone',
    );
  });

  it.each(Array.from({ length: 20 }, (_, turns) => turns))(
    'writes nothing any more once it has stopped, %i turns after a plugin began to register',
    async (turns) => {
      const late = world.register('p.sock').catch(() => undefined);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      await world.kubelet.stop();
      const path = `${directory}/kubelet_internal_checkpoint`;
      const checkpoint = () => (world.files.exists(path) ? world.files.readText(path) : null);
      const before = checkpoint();
      await late;
      world.list('a');
      await world.clock.settle();
      expect(checkpoint()).toBe(before);
    },
  );

  it('leaves running pods alone at a restart, and serves what they hold', async () => {
    await world.register('p.sock');
    world.list('a', 'b');
    await world.kubelet.run(aPod('runs', { [resource]: 1 }));
    await world.kubelet.admit(aPod('waits', { [resource]: 1 }));
    await world.kubelet.restart();
    expect(counts()).toEqual({ capacity: 0, allocatable: 0 });
    expect(world.kubelet.phase('default', 'runs')?.phase).toBe('Running');
    expect(world.kubelet.phase('default', 'waits')?.phase).toBe('Failed');
    const channel = world.grpc.connect(`${podResourcesDirectory}/kubelet.sock`);
    const { podResources: pods } = await call(channel, podResources.list, {}, 1000);
    expect(pods).toMatchObject([
      { name: 'runs', containers: [{ devices: [{ resourceName: resource, numaNodes: [] }] }] },
    ]);
    await expect(world.kubelet.startContainer('default', 'runs', 'main')).rejects.toThrow('a.b/gpu is not registered');
    await world.kubelet.stop();
    expect(() => world.kubelet.resources()).toThrow('the simulated kubelet is not running');
  });
});

describe('a container’s answers', () => {
  const given = (answer: Partial<ContainerAllocateResponse>) => ({
    podUid: 'u',
    container: 'c',
    resource,
    ids: {},
    answer: { ...nothing, ...answer },
  });
  const node = { containerPath: '/dev/vfio/vfio', hostPath: '/dev/vfio/vfio', permissions: 'mrw' };
  const mount = { containerPath: '/m', hostPath: '/one', readOnly: true };

  it('are merged: the first wins', () => {
    expect(
      mergeAnswers([
        given({ envs: { A: '1' }, devices: [node], mounts: [mount], annotations: { a: '1' }, cdiDevices: ['v/c=d'] }),
        given({
          envs: { A: '2', B: '3' },
          devices: [{ ...node, permissions: 'r' }],
          mounts: [{ ...mount, hostPath: '/two' }],
          annotations: { a: '2' },
          cdiDevices: ['v/c=d'],
        }),
      ]),
    ).toEqual({
      envs: { A: '1', B: '3' },
      devices: [node],
      mounts: [mount],
      annotations: { a: '1' },
      cdiDevices: ['v/c=d'],
    });
  });
});

describe('a resource name', () => {
  it.each(['vfio-operator.dev/connectx7-vf', 'a/B_c.d', `a/${'x'.repeat(63)}`, `${'a.'.repeat(121)}a/x`])(
    '%s is taken',
    (name) => expect(refuseResourceName(name)).toBeNull(),
  );
  it.each(['a/b/c', 'a/', '/b', `a/${'x'.repeat(64)}`, `${'a.'.repeat(122)}a/x`, 'a_b/c', 'a/c-'])(
    '%s is refused',
    (name) => expect(refuseResourceName(name)).not.toBeNull(),
  );
});
