import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, podResources } from '../../../src/kubelet/contracts.ts';
import { readAllocatableResources, readPodResources, toHolders } from '../../../src/kubelet/pod-resources.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { createKubeletHost, listed, resource, until } from '../../support/kubelet-host.ts';

let host: ReturnType<typeof createKubeletHost>;
beforeEach(async () => {
  host = createKubeletHost();
  await host.kubelet.start();
  host
    .plugin({ devices: [listed('a', 'Healthy', [0]), listed('b', 'Healthy', [1]), listed('c', 'Unhealthy')] })
    .start();
  await until('listed', () => host.kubelet.resources().get(resource)?.capacity === 3);
});
afterEach(() => host.close());

const read = () => readPodResources(host.ports, host.podResourcesSocket);
const pod = (name: string, count: number) => ({
  namespace: 'default',
  name,
  containers: [
    { name: 'side', limits: {} },
    { name: 'main', limits: { [resource]: count } },
  ],
});

describe('PodResources', () => {
  it('shows which container holds what, also after a restart of kubelet', async () => {
    expect(await read()).toMatchObject({ holders: [] });
    await host.kubelet.run(pod('vm', 2));
    const holder = { resource, namespace: 'default', pod: 'vm', container: 'main' };
    const holders = [
      { ...holder, id: 'a' },
      { ...holder, id: 'b' },
    ];
    expect(await read()).toMatchObject({ holders });
    await host.kubelet.restart();
    expect(await read()).toMatchObject({ holders });
    await host.kubelet.deletePod('default', 'vm');
    expect(await read()).toMatchObject({ holders: [] });
  });

  it('shows one pod by name', async () => {
    await host.kubelet.run(pod('vm', 1));
    const channel = host.ports.grpc.connect(host.podResourcesSocket);
    const one = await call(channel, podResources.get, { podName: 'vm', podNamespace: 'default' }, 1000);
    expect(one.podResources?.containers.map((container) => container.devices.length)).toEqual([0, 1]);
    await expect(call(channel, podResources.get, { podName: 'vm', podNamespace: 'other' }, 1000)).rejects.toMatchObject(
      { code: 'NotFound' },
    );
    channel.close();
  });

  it('shows what could be given out: the healthy ones, with their NUMA nodes', async () => {
    expect(await readAllocatableResources(host.ports, host.podResourcesSocket)).toEqual({
      devices: [
        { resourceName: resource, ids: ['a'], numaNodes: [0] },
        { resourceName: resource, ids: ['b'], numaNodes: [1] },
      ],
    });
  });

  it("is asked again until kubelet lists the agent's own pod, and unreadable when it does not: it has not heard of its pods yet", async () => {
    const ask = () => readPodResources(host.ports, host.podResourcesSocket, 'agent-x7k2p');
    await host.kubelet.run(pod('vm', 1));
    expect(await ask()).toEqual({
      unreadable:
        `/v1.PodResourcesLister/List at ${host.podResourcesSocket}: it does not list the agent's own pod agent-x7k2p, ` +
        'so it has not heard of its pods since it started',
    });
    const reading = ask();
    await host.kubelet.run(pod('agent-x7k2p', 0));
    expect(await reading).toMatchObject({ holders: [{ resource, id: 'a', pod: 'vm' }] });
    expect(await ask()).toMatchObject({ holders: [{ resource, id: 'a', pod: 'vm' }] });
  });

  it('is asked again when all clients asked too often', async () => {
    host.kubelet.faults.podResources = new GrpcError('ResourceExhausted', 'rejected by rate limit');
    const reading = read();
    setTimeout(() => (host.kubelet.faults.podResources = null), 150);
    expect(await reading).toMatchObject({ holders: [] });
  });

  it('is unreadable when that does not end, when it fails, and when nobody listens: never "nobody holds anything"', async () => {
    const where = `/v1.PodResourcesLister/List at ${host.podResourcesSocket}`;
    host.kubelet.faults.podResources = new GrpcError('ResourceExhausted', 'rejected by rate limit');
    expect(await read()).toEqual({ unreadable: `${where}: ResourceExhausted: rejected by rate limit` });
    host.kubelet.faults.podResources = new GrpcError('Internal', 'broken');
    expect(await read()).toEqual({ unreadable: `${where}: Internal: broken` });
    await host.kubelet.stop();
    expect(await read()).toMatchObject({ unreadable: expect.stringContaining(`${where}: Unavailable`) });
    expect(await readAllocatableResources(host.ports, host.podResourcesSocket)).toMatchObject({
      unreadable: expect.stringContaining('GetAllocatableResources'),
    });
  });

  it('is unreadable when it answers what is no such message', async () => {
    await host.kubelet.stop();
    const server = await host.ports.grpc.serve(host.podResourcesSocket, [
      { kind: 'unary', path: podResources.list.path, answer: () => Promise.resolve(new Uint8Array([0x0a, 0xff])) },
    ]);
    expect(await read()).toMatchObject({ unreadable: expect.stringContaining('index out of range') });
    await server.close(0);
  });
});

describe('the holders of devices', () => {
  const holder = { namespace: 'n', pod: 'p', container: 'c' };

  it('are those of our resources, and foreign ones that name a PCI address', () => {
    const found = toHolders(
      [
        { ...holder, resource, id: 'soc@0' },
        { ...holder, resource: 'intel.com/nic', id: '0000:3B:00.0' },
        { ...holder, resource: 'devices.kubevirt.io/kvm', id: 'kvm7' },
      ],
      new Set([resource]),
    );
    expect(found).toEqual([
      { address: 'soc@0', code: 'HeldByPod', who: `pod n/p (c) holds it as ${resource}` },
      { address: '0000:3b:00.0', code: 'HeldByPod', who: 'pod n/p (c) holds it as intel.com/nic' },
    ]);
  });
});
