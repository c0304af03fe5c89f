// A device in use: what blocks, what does not, and that everything ends when its user lets go.
import {
  bindToVfio,
  devicePath,
  driverOf,
  driverPath,
  get,
  groupOf,
  put,
  setOverride,
  unbind,
  virtualFunction,
} from './device-actions.ts';
import { since } from './subject.ts';
import type { Begun, ConformanceCase, Expected, OpenHolder, Role, Subject } from './subject.ts';

const source = 'drivers/vfio/vfio_main.c vfio_unregister_group_dev';

async function open(subject: Subject, how: 'device' | 'yield' | 'group', address: string): Promise<OpenHolder> {
  const holder = await subject.open(how, address);
  if (typeof holder === 'string') throw new Error(`${address} could not be opened: ${holder}`);
  return holder;
}

/** Binds, opens, begins an unbind; `look` sees the device while it lasts. */
async function whileUnbinding<Seen>(
  subject: Subject,
  role: Role,
  look: (address: string, unbinding: Begun) => Promise<Seen>,
): Promise<{ readonly unbind: string; readonly seen: Seen; readonly end: string; readonly driver: string | null }> {
  const address = subject.addresses[role];
  await bindToVfio(subject, address);
  const holder = await open(subject, 'device', address);
  const unbinding = await subject.write(`${driverPath('vfio-pci')}/unbind`, address);
  const seen = await look(address, unbinding);
  await holder.close();
  const end = await unbinding.end;
  return { unbind: unbinding.now, seen, end, driver: await driverOf(subject, address) };
}

/** What blocks and what does not, and the ends of what did. */
async function attempt(begun: Begun, pending: Promise<string>[]): Promise<string> {
  if (begun.now === 'blocked') pending.push(begun.end);
  return begun.now === 'blocked' ? 'blocked' : /^[A-Z]+$/.test(begun.now) ? begun.now : 'answers';
}

function blockedReads(kernels: readonly string[], attributes: readonly string[], expected: Expected): ConformanceCase {
  return {
    name: `reads of a device whose unbind is blocked, on ${kernels.join(' and ')}`,
    source: `${source}; drivers/base/core.c uevent_show`,
    kernels: (kernel) => kernels.includes(kernel),
    async run(subject) {
      const pending: Promise<string>[] = [];
      const result = await whileUnbinding(subject, 'edu', async (address) => {
        const seen: Record<string, string> = {};
        for (const name of attributes) {
          seen[name] = await attempt(await subject.read(`${devicePath(address)}/${name}`), pending);
        }
        return seen;
      });
      await Promise.all(pending);
      return result.seen;
    },
    expected,
  };
}

function blockedWrites(kernels: readonly string[], expected: Expected): ConformanceCase {
  return {
    name: `writes to a device whose unbind is blocked, on ${kernels.join(' and ')}`,
    source,
    kernels: (kernel) => kernels.includes(kernel),
    async run(subject) {
      const pending: Promise<string>[] = [];
      const result = await whileUnbinding(subject, 'edu', async (address) => ({
        driversProbe: await attempt(await subject.write('/sys/bus/pci/drivers_probe', address), pending),
        override: await attempt(await subject.write(`${devicePath(address)}/driver_override`, 'vfio-pci'), pending),
        otherDevice: await attempt(
          await subject.write(`${devicePath(subject.addresses.nic)}/driver_override`, '\n'),
          pending,
        ),
        secondUnbind: await attempt(await subject.write(`${driverPath('vfio-pci')}/unbind`, address), pending),
      }));
      return { ...result.seen, ends: await Promise.all(pending) };
    },
    expected,
  };
}

const attributes = ['driver_override', 'uevent', 'vendor', 'modalias', 'config', 'resource', 'power/runtime_status'];
const answering = { vendor: 'answers', modalias: 'answers', config: 'answers', resource: 'answers' };
const quick = { ...answering, 'power/runtime_status': 'answers' };

export const blockingCases: readonly ConformanceCase[] = [
  {
    name: 'unbind of an open device sleeps until its user lets go, then succeeds',
    source,
    run: (subject) => whileUnbinding(subject, 'edu', async () => null),
    expected: { unbind: 'blocked', seen: null, end: 'ok', driver: null },
  },
  {
    name: 'while it sleeps the driver link is gone already, and the group node is still there',
    source: 'drivers/base/dd.c __device_release_driver',
    async run(subject) {
      const { seen } = await whileUnbinding(subject, 'edu', async (address) => ({
        driver: await driverOf(subject, address),
        node: await subject.exists(`/dev/vfio/${(await groupOf(subject, address)) ?? ''}`),
        secondUser: await subject.open('device', address),
      }));
      return seen;
    },
    expected: { driver: null, node: true, secondUser: 'EBUSY' },
  },
  {
    name: 'vfio-dev goes before the wait from 6.6 on',
    source,
    kernels: (kernel) => kernel === '6.12',
    async run(subject) {
      const look = (address: string) => subject.list(`${devicePath(address)}/vfio-dev`);
      return (await whileUnbinding(subject, 'edu', look)).seen;
    },
    expected: [],
  },
  {
    name: 'vfio-dev goes after the wait on 6.1',
    source,
    kernels: (kernel) => kernel === '6.1',
    async run(subject) {
      const look = async (address: string) => (await subject.list(`${devicePath(address)}/vfio-dev`)).length;
      return (await whileUnbinding(subject, 'edu', look)).seen;
    },
    expected: 1,
  },
  {
    name: 'a user that listens for the request gives the device back by itself',
    source: 'include/uapi/linux/vfio.h VFIO_PCI_REQ_IRQ_INDEX',
    async run(subject) {
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      const holder = await open(subject, 'yield', edu);
      const result = await put(subject, `${driverPath('vfio-pci')}/unbind`, edu);
      await holder.close();
      return [result, await driverOf(subject, edu)];
    },
    expected: ['ok', null],
  },
  {
    name: 'a group open without a device does not hold the unbind back; its node goes under its user, from 6.1 on',
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      const node = `/dev/vfio/${(await groupOf(subject, edu)) ?? ''}`;
      const holder = await open(subject, 'group', edu);
      const { now } = await subject.write(`${driverPath('vfio-pci')}/unbind`, edu);
      const there = await subject.exists(node);
      await holder.close();
      return [now, there];
    },
    expected: since('6.1', ['ok', false], ['ok', true]),
  },
  blockedReads(['5.10', '6.1'], attributes, { driver_override: 'blocked', uevent: 'blocked', ...quick }),
  blockedReads(['6.12'], attributes, { driver_override: 'answers', uevent: 'answers', ...quick }),
  blockedWrites(['5.10', '6.1'], {
    driversProbe: 'answers',
    override: 'blocked',
    otherDevice: 'answers',
    secondUnbind: 'blocked',
    ends: ['ok', 'ok'],
  }),
  blockedWrites(['6.12'], {
    driversProbe: 'answers',
    override: 'answers',
    otherDevice: 'answers',
    secondUnbind: 'blocked',
    ends: ['ok'],
  }),
  {
    name: 'a bind beside a blocked unbind of the same device waits for it, and is ENODEV before 5.14',
    source: 'drivers/base/dd.c device_driver_attach',
    async run(subject) {
      const binding: Promise<string>[] = [];
      const { seen } = await whileUnbinding(subject, 'edu', async (address) =>
        attempt(await subject.write(`${driverPath('vfio-pci')}/bind`, address), binding),
      );
      const ends = await Promise.all(binding);
      return [seen, ends, await driverOf(subject, subject.addresses.edu)];
    },
    expected: since('5.14', ['blocked', ['ok'], 'vfio-pci'], ['ENODEV', [], null]),
  },
  {
    name: 'remove of an open device sleeps, and then rescan sleeps too; both end',
    source: 'drivers/pci/pci-sysfs.c remove_store, pci_lock_rescan_remove',
    async run(subject) {
      const { hot } = subject.addresses;
      await bindToVfio(subject, hot);
      const holder = await open(subject, 'device', hot);
      const remove = await subject.write(`${devicePath(hot)}/remove`, '1');
      const rescan = await subject.write('/sys/bus/pci/rescan', '1');
      const there = await subject.exists(`${devicePath(hot)}/vendor`);
      await holder.close();
      const ends = [await remove.end, await rescan.end];
      await subject.settle();
      return { remove: remove.now, rescan: rescan.now, there, ends, driver: await driverOf(subject, hot) };
    },
    expected: { remove: 'blocked', rescan: 'blocked', there: true, ends: ['ok', 'ok'], driver: 'e1000e' },
  },
  {
    name: 'removing VFs sleeps while one is open, and reads of the PF with it',
    source: 'drivers/pci/iov.c sriov_numvfs_store, sriov_numvfs_show',
    async run(subject) {
      const { igb } = subject.addresses;
      const numvfs = `${devicePath(igb)}/sriov_numvfs`;
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      await put(subject, numvfs, '2');
      const vf = await virtualFunction(subject, igb, 1);
      await bindToVfio(subject, vf);
      const holder = await open(subject, 'device', vf);
      const pending: Promise<string>[] = [];
      const removing = await subject.write(numvfs, '0');
      const seen = {
        removing: await attempt(removing, pending),
        numvfs: await attempt(await subject.read(numvfs), pending),
        totalvfs: await attempt(await subject.read(`${devicePath(igb)}/sriov_totalvfs`), pending),
        autoprobe: await attempt(await subject.read(`${devicePath(igb)}/sriov_drivers_autoprobe`), pending),
        vendor: await attempt(await subject.read(`${devicePath(igb)}/vendor`), pending),
      };
      await holder.close();
      const [end] = await Promise.all(pending);
      return { ...seen, end, left: await get(subject, numvfs) };
    },
    expected: {
      removing: 'blocked',
      numvfs: 'blocked',
      totalvfs: 'answers',
      autoprobe: 'answers',
      vendor: 'answers',
      end: 'ok',
      left: '0\n',
    },
  },
  {
    name: 'removing VFs that are open holds up rescan of the bus where sriov_numvfs takes its lock',
    source: 'drivers/pci/iov.c sriov_del_vfs, pci_lock_rescan_remove',
    kernels: (kernel) => kernel === '6.1' || kernel === '6.12',
    async run(subject) {
      const { igb, nvme } = subject.addresses;
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      await put(subject, `${devicePath(igb)}/sriov_numvfs`, '1');
      const vf = await virtualFunction(subject, igb);
      await bindToVfio(subject, vf);
      const holder = await open(subject, 'device', vf);
      const pending: Promise<string>[] = [];
      await put(subject, `${devicePath(nvme)}/sriov_drivers_autoprobe`, '0');
      await attempt(await subject.write(`${devicePath(igb)}/sriov_numvfs`, '0'), pending);
      const rescan = await attempt(await subject.write('/sys/bus/pci/rescan', '1'), pending);
      const otherFunction = await attempt(await subject.write(`${devicePath(nvme)}/sriov_numvfs`, '1'), pending);
      await holder.close();
      return { rescan, otherFunction, ends: await Promise.all(pending) };
    },
    expected: { rescan: 'blocked', otherFunction: 'blocked', ends: ['ok', 'ok', 'ok'] },
  },
  {
    name: 'pulled while it is open, a device stays to be read until its user lets go',
    source: 'drivers/pci/hotplug/pciehp_pci.c',
    async run(subject) {
      const { hot } = subject.addresses;
      await bindToVfio(subject, hot);
      const holder = await open(subject, 'device', hot);
      await subject.unplug('hot');
      await subject.settle();
      const during = await subject.exists(`${devicePath(hot)}/vendor`);
      const driver = await driverOf(subject, hot);
      await holder.close();
      await subject.settle();
      const after = await subject.exists(devicePath(hot));
      await subject.plug('hot');
      await subject.settle();
      return {
        during,
        driver,
        after,
        back: await driverOf(subject, hot),
        override: await get(subject, `${devicePath(hot)}/driver_override`),
      };
    },
    expected: { during: true, driver: null, after: false, back: 'e1000e', override: '(null)\n' },
  },
  {
    name: 'pulled while idle on VFIO, a device is gone with its group node',
    source: 'drivers/pci/hotplug/pciehp_pci.c',
    async run(subject) {
      const { hot } = subject.addresses;
      await bindToVfio(subject, hot);
      const node = `/dev/vfio/${(await groupOf(subject, hot)) ?? ''}`;
      const before = await subject.exists(node);
      await subject.unplug('hot');
      await subject.settle();
      const seen = [before, await subject.exists(devicePath(hot)), await subject.exists(node)];
      await subject.plug('hot');
      await subject.settle();
      return [...seen, await driverOf(subject, hot)];
    },
    expected: [true, false, false, 'e1000e'],
  },
  {
    name: 'after the wait the device binds again as if nothing had been',
    source,
    async run(subject) {
      await whileUnbinding(subject, 'edu', async () => null);
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      const bound = await driverOf(subject, edu);
      await setOverride(subject, edu, '\n');
      return [bound, await unbind(subject, edu)];
    },
    expected: ['vfio-pci', 'ok'],
  },
];
