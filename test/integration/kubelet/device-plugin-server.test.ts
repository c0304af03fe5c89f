import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { removeStaleSockets } from '../../../src/kubelet/plugin-socket.ts';
import { createKubeletHost, listed, resource, until } from '../../support/kubelet-host.ts';

let host: ReturnType<typeof createKubeletHost>;
beforeEach(() => {
  host = createKubeletHost({ dialDeadline: 500 });
});
afterEach(() => host.close());

const counts = () => host.kubelet.resources().get(resource);
const sockets = () => readdirSync(host.directory).filter((name) => name.includes('vfio-operator-'));

describe('a device plugin and kubelet', () => {
  it('registers and sends the whole list at once, sorted, with health', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('b', 'Unhealthy'), listed('a', 'Healthy', [1])] });
    plugin.start();
    await until('listed', () => counts()?.capacity === 2);
    expect(counts()).toEqual({ capacity: 2, allocatable: 1 });
    await until('registered', () => plugin.state.registered);
    expect(plugin.state).toMatchObject({ resource, registered: true, lastError: null, capacity: 2, healthy: 1 });
    expect(sockets()).toEqual([host.kubelet.socket(resource)]);
  });

  it('says at once that it has nothing', async () => {
    await host.kubelet.start();
    host.plugin().start();
    await until('a list', () => host.kubelet.messages(resource) === 1);
    expect(counts()).toEqual({ capacity: 0, allocatable: 0 });
  });

  it('waits for a kubelet that is not there yet', async () => {
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('an error', () => plugin.state.lastError !== null);
    await host.kubelet.start();
    await until('listed', () => counts()?.allocatable === 1);
    expect(plugin.state.registered).toBe(true);
  });

  it('tells changes, and the last one always', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('registered', () => counts()?.capacity === 1);
    for (let count = 0; count < 50; count += 1) {
      plugin.update(Array.from({ length: count }, (_, index) => listed(`d${index}`)));
    }
    await until('the last list', () => counts()?.capacity === 49);
    expect(host.kubelet.messages(resource)).toBeLessThanOrEqual(4);
    const before = host.kubelet.messages(resource);
    plugin.update(Array.from({ length: 49 }, (_, index) => listed(`d${index}`)));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(host.kubelet.messages(resource)).toBe(before);
  });

  it('comes back after a restart of kubelet, every time', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    const seen = new Set<string | null>();
    for (let round = 0; round < 3; round += 1) {
      await until('registered', () => counts()?.allocatable === 1);
      seen.add(host.kubelet.socket(resource));
      await host.kubelet.restart();
      expect(counts()).toEqual({ capacity: 0, allocatable: 0 });
    }
    await until('registered', () => counts()?.allocatable === 1);
    await until('state', () => plugin.state.registered);
    expect(seen.size).toBe(3);
    expect(sockets()).toEqual([host.kubelet.socket(resource)]);
  });

  it('comes back after its socket was deleted', async () => {
    await host.kubelet.start();
    host.plugin({ devices: [listed('a')] }).start();
    await until('registered', () => counts()?.allocatable === 1);
    const first = host.kubelet.socket(resource);
    rmSync(join(host.directory, first ?? ''));
    await until('another socket', () => ![first, null].includes(host.kubelet.socket(resource)));
    await until('the list', () => counts()?.allocatable === 1);
    expect(sockets()).toEqual([host.kubelet.socket(resource)]);
  });

  it('comes back after its stream was cut', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('registered', () => counts()?.allocatable === 1);
    const first = host.kubelet.socket(resource);
    host.kubelet.cutStream(resource);
    expect(counts()).toEqual({ capacity: 1, allocatable: 0 });
    await until('the list again', () => counts()?.allocatable === 1);
    expect(host.kubelet.socket(resource)).not.toBe(first);
    await until('state', () => plugin.state.registered);
    expect(plugin.state.lastError).toBe('kubelet ended ListAndWatch');
  });

  it('comes back after the directory was replaced', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('registered', () => counts()?.allocatable === 1);
    renameSync(host.directory, `${host.directory}.old`);
    mkdirSync(host.directory);
    await until('lost', () => plugin.state.lastError === `${host.directory} was replaced`);
    await host.kubelet.restart();
    await until('registered', () => counts()?.allocatable === 1);
    expect(sockets()).toEqual([host.kubelet.socket(resource)]);
  });

  it('notices another kubelet.sock by itself', async () => {
    await host.kubelet.start();
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('registered', () => plugin.state.registered);
    const path = join(host.directory, 'kubelet.sock');
    renameSync(path, `${path}.away`);
    writeFileSync(path, '');
    await until('lost', () => host.states.some((state) => state.lastError?.includes('another one now')));
    rmSync(path);
    renameSync(`${path}.away`, path);
    await until('registered again', () => plugin.state.registered && counts()?.allocatable === 1);
  });

  it('keeps asking a kubelet that refuses, and says what it says', async () => {
    await host.kubelet.start();
    host.kubelet.faults.register = new GrpcError('Unknown', 'not today');
    const plugin = host.plugin({ devices: [listed('a')] });
    plugin.start();
    await until('refused', () => plugin.state.lastError !== null);
    expect(plugin.state).toMatchObject({ registered: false });
    expect(plugin.state.lastError).toBe(`Register ${resource} at ${host.directory}/kubelet.sock: Unknown: not today`);
    expect(sockets()).toHaveLength(1);
    host.kubelet.faults.register = null;
    await until('registered', () => plugin.state.registered);
  });

  it.each([
    ['kubernetes.io/gpu', 'belongs to Kubernetes'],
    ['a.kubernetes.io/gpu', 'belongs to Kubernetes'],
    ['gpu', 'DOMAIN/NAME'],
    ['requests.example.com/gpu', 'must not begin with requests.'],
    ['Example.com/gpu', 'no DNS subdomain'],
    ['example.com/-gpu', 'no name'],
  ])('is refused as %s', async (name, sentence) => {
    await host.kubelet.start();
    const plugin = host.plugin({ resource: name });
    plugin.start();
    await until('refused', () => plugin.state.lastError !== null);
    expect(plugin.state.lastError).toContain(sentence);
  });

  it('withdraws with an empty list and removes its socket alone', async () => {
    await host.kubelet.start();
    const [mine, other] = [host.plugin({ devices: [listed('a')] }), host.plugin({ resource: 'a.b/other' })];
    mine.start();
    other.start();
    await until('both', () => mine.state.registered && other.state.registered);
    await mine.withdraw();
    await until('empty', () => counts()?.capacity === 0);
    expect(sockets()).toEqual([host.kubelet.socket('a.b/other')]);
    expect(mine.state.registered).toBe(false);
  });

  it('stops while kubelet is away, and before it has begun', async () => {
    const plugin = host.plugin();
    await plugin.stop();
    const another = host.plugin();
    another.start();
    await another.stop();
    await host.kubelet.start();
    expect(sockets()).toEqual([]);
  });

  it('hands over to a second process of the same name without losing the resource', async () => {
    await host.kubelet.start();
    const old = host.plugin({ devices: [listed('a')] });
    old.start();
    await until('registered', () => old.state.registered);
    const next = host.plugin({ devices: [listed('a'), listed('b')] });
    next.start();
    await until('taken over', () => counts()?.allocatable === 2);
    await old.stop();
    await until('settled', () => next.state.registered && counts()?.allocatable === 2);
    expect(sockets()).toEqual([host.kubelet.socket(resource)]);
  });

  it('refuses a directory that leaves no room for a socket', () => {
    expect(() => host.plugin({ registration: () => ({ ...nowhere, directory: `/${'x'.repeat(80)}` }) })).toThrow(
      /needs 1\d\d bytes of path, the kernel allows 107/,
    );
  });
});

const nowhere = { routes: [], register: () => Promise.resolve(), kubelet: () => null };

describe('sockets of an earlier agent', () => {
  it('go when nobody listens, and stay when somebody does or they are of others', async () => {
    mkdirSync(host.directory);
    const dead = join(host.directory, 'vfio-operator-00000000-dead.sock');
    const live = join(host.directory, 'vfio-operator-00000000-live.sock');
    const foreign = join(host.directory, 'nvidia-gpu.sock');
    for (const path of [dead, foreign]) await leaveSocket(path);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(live, resolve));
    writeFileSync(join(host.directory, 'vfio-operator-note.txt'), '');

    expect(await removeStaleSockets(host.ports, host.directory, 'vfio-operator')).toEqual([dead]);
    expect(existsSync(dead)).toBe(false);
    expect(statSync(live).isSocket() && statSync(foreign).isSocket()).toBe(true);
    server.close();
  });

  it('are none in a directory that does not exist', async () => {
    expect(await removeStaleSockets(host.ports, join(host.root, 'nowhere'), 'vfio-operator')).toEqual([]);
  });
});

/** Leaves a socket's file behind, as a killed process does. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
}
