import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answer, registration } from '../../../src/kubelet/contracts.ts';
import { DevicePluginServer } from '../../../src/kubelet/device-plugin-server.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { registerByCall } from '../../../src/kubelet/registration.ts';
import { KubeletStandIn } from '../../../src/simulation/kubelet-stand-in.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../../src/simulation/memory-grpc.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

const resource = 'a.b/gpu';
const directory = '/var/lib/kubelet/device-plugins';

function createNode(seed = 1) {
  const clock = createVirtualClock();
  const files = createMemoryFiles({ now: () => clock.now() });
  const ports = { files, clock, grpc: createMemoryGrpc(files, clock), random: createSeededRandom(seed) };
  const kubelet = new KubeletStandIn(ports, {
    directory,
    podResourcesDirectory: '/var/lib/kubelet/pod-resources',
    registryDirectory: null,
    dialDeadline: 1000,
  });
  const plugin = new DevicePluginServer(ports, {
    resource,
    prefix: 'vfio-operator',
    registration: registerByCall(ports, directory),
    handlers: {
      prefer: () => [],
      allocate: () => Promise.reject(new Error('not asked here')),
      preStart: () => Promise.resolve(),
    },
    devices: [{ id: 'a', health: 'Healthy', numaNodes: [] }],
  });
  const sockets = () => files.list(directory).filter((name) => name.includes('vfio-operator-'));
  return { ...ports, kubelet, plugin, sockets };
}

/** A kubelet that counts and refuses, accepts and stays silent, or never answers. */
async function serveRegister(node: ReturnType<typeof createNode>, behave: () => Promise<void>) {
  const times: number[] = [];
  await node.files.makeDirectory(directory, 0o750);
  await node.grpc.serve(`${directory}/kubelet.sock`, [
    answer(registration.register, async () => {
      times.push(node.clock.monotonic());
      await behave();
      return {};
    }),
  ]);
  return times;
}

describe('a device plugin that kubelet does not take', () => {
  it('asks again with growing pauses up to 10 s, for ever, over one socket', async () => {
    const node = createNode();
    const times = await serveRegister(node, () => Promise.reject(new GrpcError('Unknown', 'no')));
    node.plugin.start();
    await node.clock.advance(3_600_000);
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    pauses.forEach((pause, index) => {
      const limit = Math.min(10_000, 250 * 2 ** index);
      expect(pause).toBeGreaterThanOrEqual(limit / 2);
      expect(pause).toBeLessThanOrEqual(limit);
    });
    expect(pauses.length).toBeGreaterThan(360);
    expect(node.sockets()).toHaveLength(1);
    await node.plugin.stop();
    expect(node.sockets()).toEqual([]);
  });

  it('registers anew, over a new socket, when its list is not opened within 10 s', async () => {
    const node = createNode();
    const times = await serveRegister(node, () => Promise.resolve());
    node.plugin.start();
    await node.clock.advance(1);
    const [first] = node.sockets();
    await node.clock.advance(10_300);
    expect(times).toHaveLength(2);
    expect(node.sockets()).toHaveLength(1);
    expect(node.sockets()[0]).not.toBe(first);
    expect(node.plugin.state.lastError).toBe('kubelet accepted a.b/gpu and did not open its list within 10 s');
    await node.plugin.stop();
  });

  it('gives up a Register that is never answered, and asks again', async () => {
    const node = createNode();
    const times = await serveRegister(node, () => new Promise(() => undefined));
    node.plugin.start();
    await node.clock.advance(21_000);
    expect(times.length).toBeGreaterThan(1);
    expect(node.plugin.state.lastError).toContain('DeadlineExceeded');
    const stopped = node.plugin.stop();
    await node.clock.settle();
    await stopped;
  });

  it('goes at once to a kubelet that appears, however long the pause has become', async () => {
    const node = createNode();
    await node.files.makeDirectory(directory, 0o750);
    node.plugin.start();
    await node.clock.advance(60_000);
    await node.kubelet.start();
    await node.clock.advance(1);
    expect(node.plugin.state.registered).toBe(true);
    await node.plugin.stop();
  });

  it('does without a watch', async () => {
    const node = createNode();
    node.files.setFault((operation) => (operation === 'watch' ? 'ENOSPC' : null));
    node.plugin.start();
    await node.clock.advance(30_000);
    await node.kubelet.start();
    await node.clock.advance(1_100);
    expect(node.plugin.state.registered).toBe(true);
    await node.plugin.stop();
  });

  it('survives a directory that cannot be looked at for a while', async () => {
    const node = createNode();
    await node.kubelet.start();
    node.plugin.start();
    await node.clock.advance(1_000);
    node.files.setFault((operation) => (operation === 'stat' ? 'EACCES' : null));
    await node.clock.advance(5_000);
    node.files.setFault(null);
    await node.clock.advance(30_000);
    expect(node.plugin.state.registered).toBe(true);
    expect(node.kubelet.resources().get(resource)).toEqual({ capacity: 1, allocatable: 1 });
    await node.plugin.stop();
  });
});

type Trouble = 'restart' | 'stop' | 'cut' | 'unlink' | 'replace' | 'refuse' | 'accept' | 'pass';
const troubles = fc.constantFrom<Trouble>('restart', 'stop', 'cut', 'unlink', 'replace', 'refuse', 'accept', 'pass');

async function make(node: ReturnType<typeof createNode>, trouble: Trouble): Promise<void> {
  switch (trouble) {
    case 'restart':
      await node.kubelet.restart();
      break;
    case 'stop':
      await node.kubelet.stop();
      break;
    case 'cut':
      if (node.files.exists(`${directory}/kubelet.sock`)) node.kubelet.cutStream(resource);
      break;
    case 'unlink':
      for (const name of node.sockets()) node.files.drop(`${directory}/${name}`);
      break;
    case 'replace':
      node.files.drop(directory);
      node.files.put(directory, { directory: {} });
      await node.kubelet.restart();
      break;
    case 'refuse':
      node.kubelet.faults.register = new GrpcError('Unknown', 'no');
      break;
    case 'accept':
      node.kubelet.faults.register = null;
      break;
    case 'pass':
      await node.clock.advance(3_000);
      break;
  }
}

describe('whatever happens to it', () => {
  it('a device plugin is registered again once kubelet is there, with one socket and the right list', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(troubles, fc.nat({ max: 2_000 })), { maxLength: 12 }),
        fc.integer(),
        async (history, seed) => {
          const node = createNode(seed);
          await node.kubelet.start();
          node.plugin.start();
          for (const [trouble, pause] of history) {
            await make(node, trouble);
            await node.clock.advance(pause);
          }
          node.kubelet.faults.register = null;
          if (!node.files.exists(`${directory}/kubelet.sock`)) await node.kubelet.start();
          await node.clock.advance(11_000);
          expect(node.plugin.state.registered).toBe(true);
          expect(node.kubelet.resources().get(resource)).toEqual({ capacity: 1, allocatable: 1 });
          expect(node.sockets()).toEqual([node.kubelet.socket(resource)]);
          await node.plugin.stop();
          expect(node.sockets()).toEqual([]);
          expect(node.clock.pending).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});
