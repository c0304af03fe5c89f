// Devices that go and come on a live kernel: unplugged while a virtual machine has them open, plugged in again at the same and at another
// address, removed and found again by a rescan. Kubelet's list, the journal and the kernel agree after each.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  holdDevice,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const resource = 'vfio-operator.dev/hot';

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let hot: string;

  beforeAll(async () => {
    guest = await bootGuest({
      kernel,
      topology: 'small',
      qemu: ['-device', 'pcie-root-port,id=spare-port,chassis=90,slot=0,bus=pcie.0,addr=0x1a'],
    });
    const at = await addressesOf(guest, ['hot', 'nic', 'pair0', 'pair1']);
    hot = at.hot;
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, { kubelet: 'required' });
    http = await openHttpInGuest(guest);
    await agent.putPolicy('hot', {
      devices: [{ vendor: '8086', device: '10d3' }],
      exclude: [{ addresses: [at.nic, at.pair0, at.pair1] }],
      resource: { name: resource },
    });
    await listed({ [hot]: 'Healthy' });
  });
  afterAll(async () => guest?.shutdown());

  /** Waits until kubelet's list is exactly this; the time is when that was seen. */
  const listed = (wanted: Readonly<Record<string, string>>): Promise<number> =>
    kubelet.waitForListing(JSON.stringify(wanted), (listing) => {
      const found = Object.fromEntries((listing[resource] ?? []).map(({ id, health }) => [id, health]));
      return JSON.stringify(found) === JSON.stringify(wanted);
    });
  const noneHealthy = (): Promise<number> =>
    kubelet.waitForListing('none', (listing) => !(listing[resource] ?? []).some(({ health }) => health === 'Healthy'));
  const deleted = async (count: number): Promise<number> => {
    for (const deadline = Date.now() + 180_000; Date.now() < deadline; await sleep(2)) {
      const events = guest.qmpEvents().filter(({ event, data }) => event === 'DEVICE_DELETED' && isHot(data));
      if (events.length >= count) return Date.now();
    }
    throw new Error('QEMU did not tell that the device is gone in 180 s');
  };
  const plug = (bus: string): Promise<unknown> =>
    guest.qmp('device_add', { driver: 'e1000e', id: 'hot', bus, mac: '52:54:00:00:09:00', romfile: '' });
  const ours = async (): Promise<readonly string[]> => [...(await readJournalInGuest(guest)).entries.keys()];

  test('unplugged while it is open: everything else goes on, and it goes when it is let go', async () => {
    const { group } = (await readDevices(guest, { hot })).hot;
    const holder = await holdDevice(guest, group, hot);
    await guest.qmp('device_del', { id: 'hot' });
    await guest.run(
      `for i in $(seq 300); do dmesg | grep -qiE 'blocked until|in use' && exit 0; sleep 0.2; done; exit 1`,
    );
    // The kernel waits for the holder with its lock for hotplug held; looking at the host must not wait with it.
    await agent.waitForPass(http);
    expect((await http.get('/healthz')).status).toBe(200);
    expect(await ours()).toEqual([hot]);
    await holder.signal('SIGTERM');
    const [gone, told] = await Promise.all([deleted(1), noneHealthy()]);
    process.stderr.write(`${kernel}: kubelet was told ${told - gone} ms after QEMU's event\n`);
    expect(await guest.files([{ op: 'exists', path: `/sys/bus/pci/devices/${hot}` }])).toEqual([
      { ok: true, value: false },
    ]);
    await agent.waitForPass(http);
    // Its policy waits for it to come back; until then kubelet is told that it is Unhealthy.
    expect(await ours()).toEqual([hot]);
    expect((await kubelet.listing())[resource]).toMatchObject([{ id: hot, health: 'Unhealthy' }]);
  });

  test('plugged in again at the same address: taken and offered again', async () => {
    await plug('hot-port');
    await listed({ [hot]: 'Healthy' });
    expect((await readDevices(guest, { hot })).hot).toMatchObject(onVfio('e1000e-vfio'));
    expect(await ours()).toEqual([hot]);
  });

  test('at another address: offered under that one alone', async () => {
    await guest.qmp('device_del', { id: 'hot' });
    const [gone, told] = await Promise.all([deleted(2), noneHealthy()]);
    process.stderr.write(`${kernel}: kubelet was told ${told - gone} ms after QEMU's event\n`);
    await plug('spare-port');
    const now = await guest.pciAddress('hot');
    expect(now).not.toBe(hot);
    await kubelet.waitForListing('the new address', (listing) =>
      (listing[resource] ?? []).some(({ id, health }) => id === now && health === 'Healthy'),
    );
    expect(
      (await kubelet.listing())[resource]?.filter(({ health }) => health === 'Healthy').map(({ id }) => id),
    ).toEqual([now]);
    expect((await readDevices(guest, { now })).now).toMatchObject(onVfio('e1000e-vfio'));
    expect(await ours()).toEqual([hot, now]);
    hot = now;
  });

  test('removed by hand and found again by a rescan', async () => {
    await guest.writeText(`/sys/bus/pci/devices/${hot}/remove`, '1');
    await noneHealthy();
    await guest.writeText('/sys/bus/pci/rescan', '1');
    await kubelet.waitForListing('it again', (listing) =>
      (listing[resource] ?? []).some(({ id, health }) => id === hot && health === 'Healthy'),
    );
    expect((await readDevices(guest, { hot })).hot).toMatchObject(onVfio('e1000e-vfio'));
    const since = agent.log().length;
    await agent.removePolicy('hot');
    await agent.waitForDecisions({ [hot]: 'None' }, since);
    await agent.waitForPass(http);
    expect((await readDevices(guest, { hot })).hot).toMatchObject(onHost('e1000e'));
    expect(await ours()).toEqual([]);
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});

function isHot(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'device' in data && data.device === 'hot';
}
