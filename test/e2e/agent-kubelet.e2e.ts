// The agent and kubelet's stand-in on real unix sockets in one guest: devices are registered, given to pods, kept while a pod has them,
// and never confused after an unplug or when the kernel has given a group's number to another device.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import { addressesOf, kernelComplaints, onHost, onVfio, readDevices } from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest, KubeletListing } from './support/kubelet-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const devices = '/sys/bus/pci/devices';
const names = ['nic', 'numa-nic', 'hot'] as const;

function resourceOf(name: string): string {
  return `vfio-operator.dev/${name}`;
}

/** Whether the one device of each of these resources has this health. */
function all(wanted: Readonly<Record<string, 'Healthy' | 'Unhealthy'>>): (listing: KubeletListing) => boolean {
  return (listing) =>
    Object.entries(wanted).every(([name, health]) => {
      const listed = listing[resourceOf(name)];
      return listed?.length === 1 && listed[0]?.health === health;
    });
}

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let address: Readonly<Record<(typeof names)[number], string>>;

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    address = await addressesOf(guest, names);
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, { kubelet: 'required', flags: ['--interval', '5'] });
    http = await openHttpInGuest(guest);
  });
  afterAll(async () => guest?.shutdown());

  const groupOf = async (name: (typeof names)[number]): Promise<string | null> =>
    (await readDevices(guest, address))[name].group;

  test('devices are registered, each with its NUMA node where it has one', async () => {
    for (const name of names) {
      await agent.putPolicy(name, { devices: [{ addresses: [address[name]] }], resource: { name: resourceOf(name) } });
    }
    await kubelet.waitForListing('three devices', all({ nic: 'Healthy', 'numa-nic': 'Healthy', hot: 'Healthy' }));
    const listing = await kubelet.listing();
    for (const name of names) {
      const node = Number(await guest.readText(`${devices}/${address[name]}/numa_node`));
      expect([name, node]).toEqual([name, name === 'numa-nic' ? 1 : -1]);
      expect(listing[resourceOf(name)]).toEqual([
        { id: address[name], health: 'Healthy', numaNodes: node === -1 ? [] : [node] },
      ]);
    }
    const onVariant = onVfio('e1000e-vfio');
    expect(await readDevices(guest, address)).toMatchObject({ nic: onVariant, 'numa-nic': onVariant, hot: onVariant });
    expect(await http.get('/readyz')).toMatchObject({ status: 200 });
  });

  test('a pod gets the address in the variable KubeVirt reads, and the nodes of its group', async () => {
    const { milliseconds } = await kubelet.admit('vm', resourceOf('numa-nic'));
    process.stderr.write(`Allocate was answered in ${milliseconds.toFixed(0)} ms\n`);
    const { value: created } = await kubelet.startContainer('vm');
    const group = await groupOf('numa-nic');
    expect(created.envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_NUMA-NIC': address['numa-nic'] });
    expect(created.devices.map(({ containerPath }) => containerPath).sort()).toEqual(
      [`/dev/vfio/${group}`, '/dev/vfio/vfio'].sort(),
    );
    for (const { hostPath, containerPath, permissions } of created.devices) {
      expect([hostPath, permissions]).toEqual([containerPath, 'mrw']);
      expect(await guest.files([{ op: 'stat', path: hostPath }])).toMatchObject([
        { ok: true, value: { kind: 'char' } },
      ]);
    }
    expect(await kubelet.held('vm')).toEqual([address['numa-nic']]);
  });

  test('a kubelet that starts again hears of everything again, and the container of a pod starts again', async () => {
    const socketsOf = (): Promise<string> => guest.run('cd /var/lib/kubelet/device-plugins; ls vfio-operator*');
    const before = await socketsOf();
    await kubelet.stop();
    await kubelet.start();
    await kubelet.waitForListing('three devices', all({ nic: 'Healthy', 'numa-nic': 'Healthy', hot: 'Healthy' }));
    expect(await socketsOf()).not.toBe(before);
    expect(await kubelet.held('vm')).toEqual([address['numa-nic']]);
    await kubelet.startContainer('vm');
  });

  test("a container does not start with a group's number that has become another device's", async () => {
    const was = { 'numa-nic': await groupOf('numa-nic'), nic: await groupOf('nic') };
    const port = await guest.run(`basename $(dirname $(readlink -f ${devices}/${address['numa-nic']}))`);
    // The kernel gives the lowest free number to whichever comes first.
    for (const name of ['nic', 'numa-nic'] as const) await guest.writeText(`${devices}/${address[name]}/remove`, '1');
    await kubelet.waitForListing('two devices gone', all({ nic: 'Unhealthy', 'numa-nic': 'Unhealthy' }));
    await guest.writeText(`${devices}/${port}/rescan`, '1');
    await guest.writeText('/sys/bus/pci/rescan', '1');

    // The one without a pod is taken again; the other waits for its pod's end, on the driver that the kernel gave it.
    await kubelet.waitForListing('one device back', all({ nic: 'Healthy', 'numa-nic': 'Unhealthy' }));
    const now = await readDevices(guest, address);
    expect(now).toMatchObject({ nic: onVfio('e1000e-vfio'), 'numa-nic': onHost('e1000e') });
    expect({ nic: now.nic.group, 'numa-nic': now['numa-nic'].group }).toEqual({
      nic: was['numa-nic'],
      'numa-nic': was.nic,
    });
    await expect(kubelet.startContainer('vm')).rejects.toThrow(`${address['numa-nic']} is on e1000e now`);

    // As if nothing had happened, but for the number: somebody puts it back on its driver.
    await guest.files([
      { op: 'write', path: `${devices}/${address['numa-nic']}/driver_override`, text: 'e1000e-vfio' },
      { op: 'write', path: `${devices}/${address['numa-nic']}/driver/unbind`, text: address['numa-nic'] },
      { op: 'write', path: '/sys/bus/pci/drivers/e1000e-vfio/bind', text: address['numa-nic'] },
    ]);
    await kubelet.waitForListing('both devices back', all({ nic: 'Healthy', 'numa-nic': 'Healthy' }));
    await expect(kubelet.startContainer('vm')).rejects.toThrow(
      new RegExp(`${address['numa-nic']} is in IOMMU group ${was.nic} now, was ${was['numa-nic']}; .*a new one gets`),
    );

    await kubelet.deletePod('vm');
    await kubelet.admit('vm-2', resourceOf('numa-nic'));
    const { value: created } = await kubelet.startContainer('vm-2');
    expect(created.devices.map(({ hostPath }) => hostPath)).toContain(`/dev/vfio/${was.nic}`);
  });

  test('a device that its policy gives up waits for its pod, and then goes by itself', async () => {
    const since = agent.log().length;
    await agent.removePolicy('numa-nic');
    const decisions = await agent.waitForDecisions({ [address['numa-nic']]: 'Held/HeldByPod' }, since);
    expect(decisions[address['numa-nic']]?.msg).toContain('pod default/vm-2 ');
    await kubelet.waitForListing('a device that is held', all({ 'numa-nic': 'Unhealthy' }));
    await agent.waitForPass(http);
    expect((await readDevices(guest, address))['numa-nic']).toMatchObject(onVfio('e1000e-vfio'));
    await expect(kubelet.admit('vm-3', resourceOf('numa-nic'))).rejects.toThrow('no healthy devices');

    await kubelet.deletePod('vm-2');
    await agent.waitForDecisions({ [address['numa-nic']]: 'None' }, since);
    expect((await readDevices(guest, address))['numa-nic']).toMatchObject(onHost('e1000e'));
    expect((await readDevices(guest, address)).nic).toMatchObject(onVfio('e1000e-vfio'));
  });

  test('kubelet is told of a hot unplug, and of the return', async () => {
    const deleted = async (): Promise<number> => {
      for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(2)) {
        if (guest.qmpEvents().some(({ event }) => event === 'DEVICE_DELETED')) return Date.now();
      }
      throw new Error('QEMU did not tell that the device is gone in 60 s');
    };
    await guest.qmp('device_del', { id: 'hot' });
    const [gone, told] = await Promise.all([
      deleted(),
      kubelet.waitForListing('an unplugged device', all({ hot: 'Unhealthy' })),
    ]);
    process.stderr.write(`kubelet was told ${told - gone} ms after QEMU's event\n`);
    expect(await guest.files([{ op: 'exists', path: `${devices}/${address.hot}` }])).toEqual([
      { ok: true, value: false },
    ]);
    await expect(kubelet.admit('vm-4', resourceOf('hot'))).rejects.toThrow('no healthy devices');

    await guest.qmp('device_add', {
      driver: 'e1000e',
      id: 'hot',
      bus: 'hot-port',
      mac: '52:54:00:00:09:00',
      romfile: '',
    });
    await kubelet.waitForListing('a device that is back', all({ hot: 'Healthy' }));
    expect((await readDevices(guest, address)).hot).toMatchObject(onVfio('e1000e-vfio'));
    await kubelet.admit('vm-5', resourceOf('hot'));
    await kubelet.startContainer('vm-5');
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
