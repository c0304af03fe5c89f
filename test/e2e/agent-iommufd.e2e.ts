// A kernel with iommufd and VFIO cdevs: every `deviceNodes` gives a container the nodes it promises, they open for real, whoever has a cdev
// open holds its device, and a cdev's number that has become another device's starts no container. A hypervisor runs on the nodes of `Iommufd`.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest } from './support/agent-in-guest.ts';
import { addressesOf, holdDevice, kernelComplaints, onHost, onVfio, readDevices } from './support/devices-in-guest.ts';
import type { DeviceInGuest } from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { bootOwnKernel, describeOnOwnKernel } from './support/on-own-kernel.ts';
import type { OwnKernelGuest } from './support/on-own-kernel.ts';
import { passThroughInGuest } from './support/qemu-in-guest.ts';

/** The device of each resource, and what its policy asks for. */
const wanted = { nic: 'Auto', edu: 'Group', hot: 'Cdev', 'numa-nic': 'Iommufd' } as const;
type Name = keyof typeof wanted;
const names = Object.keys(wanted) as Name[];
const resourceOf = (name: Name): string => `vfio-operator.dev/${name}`;

describeOnOwnKernel('a kernel with iommufd', () => {
  let own: OwnKernelGuest;
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let address: Readonly<Record<Name, string>>;

  const read = (): Promise<Readonly<Record<Name, DeviceInGuest>>> => readDevices(guest, address);
  const cdevOf = async (name: Name): Promise<string> => (await read())[name].cdev ?? 'no cdev';
  const healthy = (...of: readonly Name[]): Promise<number> =>
    kubelet.waitForListing(`${of.join(', ')} Healthy`, (listing) =>
      of.every((name) => listing[resourceOf(name)]?.[0]?.health === 'Healthy'),
    );
  const putPolicy = (name: Name): Promise<void> =>
    agent.putPolicy(name, {
      devices: [{ addresses: [address[name]] }],
      resource: { name: resourceOf(name), deviceNodes: wanted[name] },
    });
  /** The nodes of a pod with this device, each looked at: a character device under the same path on the host. */
  const nodesOf = async (pod: string): Promise<readonly string[]> => {
    const { value: created } = await kubelet.startContainer(pod);
    for (const { hostPath, containerPath, permissions } of created.devices) {
      expect([containerPath, permissions]).toEqual([hostPath, 'mrw']);
      expect(await guest.files([{ op: 'stat', path: hostPath }])).toMatchObject([
        { ok: true, value: { kind: 'char' } },
      ]);
    }
    return created.devices.map(({ containerPath }) => containerPath).toSorted();
  };

  beforeAll(async () => {
    own = await bootOwnKernel({});
    guest = own.guest;
    address = await addressesOf(guest, names);
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, { kubelet: 'required', flags: ['--interval', '5'] });
  });
  afterAll(async () => guest?.shutdown());

  test('is what it says, and has nothing of VFIO before a policy asks', async () => {
    expect(await guest.run('modinfo -F depends vfio; modinfo -F parm vfio')).toMatch(/iommufd[^]*unsafe_noiommu_mode/);
    expect(await guest.run('ls -d /dev/iommu /dev/vfio 2>/dev/null || true')).toBe('');
  });

  test('every choice of nodes is offered, and a pod gets just these', async () => {
    for (const name of names) await putPolicy(name);
    await healthy(...names);
    const now = await read();
    expect(now).toMatchObject({ nic: onVfio('e1000e-vfio'), hot: onVfio('e1000e-vfio') });
    const cdevs = names.map((name) => now[name].cdev ?? '');
    expect(new Set(cdevs).size).toBe(names.length);
    for (const cdev of cdevs) expect(cdev).toMatch(/^vfio\d+$/);

    for (const name of names) await kubelet.admit(`pod-${name}`, resourceOf(name));
    const cdev = (name: Name): string => `/dev/vfio/devices/${now[name].cdev}`;
    expect(await nodesOf('pod-nic')).toEqual([`/dev/vfio/${now.nic.group}`, cdev('nic'), '/dev/vfio/vfio'].toSorted());
    expect(await nodesOf('pod-edu')).toEqual([`/dev/vfio/${now.edu.group}`, '/dev/vfio/vfio'].toSorted());
    expect(await nodesOf('pod-hot')).toEqual([cdev('hot')]);
    expect(await nodesOf('pod-numa-nic')).toEqual(['/dev/iommu', cdev('numa-nic')]);
    const state = JSON.parse(await guest.readText(`${agent.state}/node-state.json`)) as { status: { kernel: object } };
    expect(state.status.kernel).toMatchObject({ iommu: true, iommufd: true, noIommuMode: false });
  });

  test('the nodes open: a cdev bound to an iommufd and attached reads the device, and the group of another', async () => {
    const now = await read();
    const byIommufd = await own.holdCdev('iommufd', now['numa-nic'].cdev ?? '');
    expect(byIommufd.said).toBe('holding 8086:10d3');
    const byCdevOfAuto = await own.holdCdev('iommufd', now.nic.cdev ?? '');
    expect(byCdevOfAuto.said).toBe('holding 8086:10d3');
    // Who has the cdev bound has the group too.
    const second = await guest.exec(`exec /lab/vfio-holder group ${now.nic.group} < /dev/null`);
    expect([second.code, second.stdout]).toEqual([1, expect.stringMatching(/Device or resource busy/)]);
    const byGroup = await holdDevice(guest, now.edu.group, address.edu);
    expect(await own.failCdev('iommufd', now.edu.cdev ?? '')).toMatch(
      /^failed: VFIO_DEVICE_BIND_IOMMUFD: (Device or resource busy|Invalid argument)$/,
    );
    for (const process of [byIommufd.process, byCdevOfAuto.process, byGroup]) {
      await process.signal('SIGTERM');
      await process.ended;
    }
  });

  test('a hypervisor has the device by its cdev and iommufd: QEMU shows it with its BARs', async () => {
    const seen = await passThroughInGuest(guest, address['numa-nic']);
    expect(seen).toMatchObject({ vendor: 0x8086, device: 0x10d3 });
    expect(seen.opened.filter((path) => /iommu|vfio/.test(path)).toSorted()).toEqual(
      ['/dev/iommu', `/dev/vfio/devices/${await cdevOf('numa-nic')}`].toSorted(),
    );
    // As the device's own resource file has them: two memory BARs of 128 KiB, ports, MSI-X.
    expect(seen.bars).toEqual([
      { bar: 0, size: 0x20000, type: 'memory' },
      { bar: 1, size: 0x20000, type: 'memory' },
      { bar: 2, size: 0x20, type: 'io' },
      { bar: 3, size: 0x4000, type: 'memory' },
    ]);
  });

  test('a cdev that is only open holds its device as well as one that is bound', async () => {
    await kubelet.deletePod('pod-hot');
    for (const how of ['open', 'iommufd'] as const) {
      const cdev = await cdevOf('hot');
      const { process } = await own.holdCdev(how, cdev);
      const since = agent.log().length;
      await agent.removePolicy('hot');
      const held = await agent.waitForDecisions({ [address.hot]: 'Held/HeldByProcess' }, since);
      expect(held[address.hot]?.msg).toMatch(new RegExp(`vfio-cdev \\(${process.pid}\\)`));
      expect((await read()).hot).toMatchObject({ ...onVfio('e1000e-vfio'), cdev });
      await process.signal('SIGTERM');
      await process.ended;
      await agent.waitForDecisions({ [address.hot]: 'None' }, since);
      expect((await read()).hot).toMatchObject(onHost('e1000e'));
      await putPolicy('hot');
      await healthy('hot');
    }
  });

  test("a container does not start with a cdev's number that has become another device's", async () => {
    const was = await read();
    const number = (name: Name): number => Number(was[name].cdev?.replace('vfio', ''));
    await kubelet.deletePod('pod-nic');
    // The kernel gives the lowest free number to whichever comes first.
    const order: readonly Name[] = number('nic') < number('numa-nic') ? ['numa-nic', 'nic'] : ['nic', 'numa-nic'];
    const drivers = '/sys/bus/pci/drivers/e1000e-vfio';
    const results = await guest.files([
      ...order.map((name) => ({ op: 'write', path: `${drivers}/unbind`, text: address[name] }) as const),
      ...order.map((name) => ({ op: 'write', path: `${drivers}/bind`, text: address[name] }) as const),
    ]);
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true]);
    const now = await read();
    expect([now['numa-nic'].cdev, now.nic.cdev]).toEqual([was.nic.cdev, was['numa-nic'].cdev]);
    // At once, before any look at the host has seen it.
    await expect(kubelet.startContainer('pod-numa-nic')).rejects.toThrow(
      `${address['numa-nic']} has the cdev ${now['numa-nic'].cdev} now, had ${was['numa-nic'].cdev}`,
    );
    await kubelet.deletePod('pod-numa-nic');
    await agent.waitForPass(await openHttpInGuest(guest));
    await healthy('nic', 'numa-nic');
    await kubelet.admit('pod-again', resourceOf('numa-nic'));
    expect(await nodesOf('pod-again')).toEqual(['/dev/iommu', `/dev/vfio/devices/${now['numa-nic'].cdev}`]);
  });

  test('everything is given back, and the kernel has nothing to complain of', async () => {
    // A pod that no look has seen would count as allocated for five minutes more.
    await agent.waitForPass(await openHttpInGuest(guest));
    for (const pod of ['pod-again', 'pod-edu']) await kubelet.deletePod(pod);
    const since = agent.log().length;
    for (const name of names) await agent.removePolicy(name);
    await agent.waitForDecisions(Object.fromEntries(names.map((name) => [address[name], 'None'])), since);
    const host = { nic: 'e1000e', edu: null, hot: 'e1000e', 'numa-nic': 'e1000e' };
    expect(await read()).toMatchObject(Object.fromEntries(names.map((name) => [name, onHost(host[name])])));
    expect(await guest.run('ls /dev/vfio/devices 2>/dev/null || true')).toBe('');
    await agent.stop();
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
