// What a successful bind leaves to be seen: links, nodes, numbers; and that numbers are handed out again.
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
import { atLeast } from './subject.ts';
import type { ConformanceCase, Subject } from './subject.ts';

const since61 = (kernel: string): boolean => atLeast(kernel, '6.1');

const vfioNames = (subject: Subject, address: string): Promise<readonly string[]> =>
  subject.list(`${devicePath(address)}/vfio-dev`);

async function groupNodes(subject: Subject): Promise<number> {
  return (await subject.list('/dev/vfio')).filter((name) => /^\d+$/.test(name)).length;
}

async function lookAtPortDriver(subject: Subject): Promise<unknown> {
  return {
    module: await subject.exists(`${driverPath('pcieport')}/module`),
    drivers: await subject.list('/sys/module/pcieportdrv/drivers'),
    refcnt: await subject.exists('/sys/module/pcieportdrv/refcnt'),
  };
}

export const verifyCases: readonly ConformanceCase[] = [
  {
    name: 'a bound device shows its driver, its group, the group node and /dev/vfio/vfio',
    source: 'Documentation/driver-api/vfio.rst',
    async run(subject) {
      const { nic } = subject.addresses;
      await bindToVfio(subject, nic);
      const group = await groupOf(subject, nic);
      const node = await subject.describe(`/dev/vfio/${group ?? ''}`);
      return [
        await driverOf(subject, nic),
        group !== null && (await subject.exists(`/sys/kernel/iommu_groups/${group}/devices/${nic}`)),
        node.replace(/\d+:\d+/, 'M:m'),
        await subject.describe('/dev/vfio/vfio'),
        (await get(subject, `${devicePath(nic)}/uevent`)).includes('DRIVER=vfio-pci\n'),
      ];
    },
    expected: ['vfio-pci', true, 'char M:m 600', 'char 10:196 666', true],
  },
  {
    name: 'vfio-dev/vfioN is there from 6.1 on, without `dev` and cdev where the kernel has none',
    source: 'Documentation/ABI/testing/sysfs-devices-vfio-dev',
    kernels: since61,
    async run(subject) {
      const { edu } = subject.addresses;
      const before = await subject.exists(`${devicePath(edu)}/vfio-dev`);
      await bindToVfio(subject, edu);
      const [name = ''] = await vfioNames(subject, edu);
      return [
        before,
        /^vfio\d+$/.test(name),
        await subject.exists(`${devicePath(edu)}/vfio-dev/${name}/dev`),
        await subject.exists('/dev/vfio/devices'),
        await subject.exists(`/sys/class/vfio-dev/${name}`),
      ];
    },
    expected: [false, true, false, false, true],
  },
  {
    name: 'before 6.1 a bound device has no vfio-dev',
    source: 'Documentation/ABI/testing/sysfs-devices-vfio-dev',
    kernels: (kernel) => !since61(kernel),
    async run(subject) {
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      return [await driverOf(subject, edu), await vfioNames(subject, edu)];
    },
    expected: ['vfio-pci', []],
  },
  {
    name: "the first bound member makes the group's node, the last one takes it away",
    source: 'drivers/vfio/group.c',
    async run(subject) {
      const { pair0, pair1 } = subject.addresses;
      const node = `/dev/vfio/${(await groupOf(subject, pair0)) ?? ''}`;
      const seen = [(await groupOf(subject, pair0)) === (await groupOf(subject, pair1)), await subject.exists(node)];
      await bindToVfio(subject, pair0);
      seen.push(await subject.exists(node));
      await bindToVfio(subject, pair1);
      await unbind(subject, pair0);
      seen.push(await subject.exists(node));
      await unbind(subject, pair1);
      return [...seen, await subject.exists(node)];
    },
    expected: [true, false, true, true, false],
  },
  {
    name: 'vfioN numbers are handed out again, lowest first',
    source: 'drivers/vfio/vfio_main.c ida_alloc_max',
    kernels: since61,
    async run(subject) {
      const { edu, nic } = subject.addresses;
      await bindToVfio(subject, edu);
      await bindToVfio(subject, nic);
      const [first] = await vfioNames(subject, edu);
      const [second] = await vfioNames(subject, nic);
      await unbind(subject, edu);
      await bindToVfio(subject, subject.addresses['numa-edu']);
      const [third] = await vfioNames(subject, subject.addresses['numa-edu']);
      return [first !== second, third === first];
    },
    expected: [true, true],
  },
  {
    name: "a removed device's group number goes to the next new group",
    source: 'drivers/iommu/iommu.c iommu_group_alloc',
    async run(subject) {
      const { hot, igb } = subject.addresses;
      const before = await groupOf(subject, hot);
      await put(subject, `${devicePath(hot)}/remove`, '1');
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      await put(subject, `${devicePath(igb)}/sriov_numvfs`, '1');
      const vf = await groupOf(subject, await virtualFunction(subject, igb));
      await put(subject, '/sys/bus/pci/rescan', '1');
      await subject.settle();
      return [vf === before, (await groupOf(subject, hot)) === before];
    },
    expected: [true, false],
  },
  {
    name: "the kernel's event counter tells of bind and unbind, and not of an override",
    source: 'Documentation/ABI/testing/sysfs-kernel-uevent_seqnum, lib/kobject_uevent.c',
    async run(subject) {
      const { edu } = subject.addresses;
      const count = async (): Promise<number> => Number(await get(subject, '/sys/kernel/uevent_seqnum'));
      await subject.modprobe('vfio_pci');
      await subject.settle();
      const start = await count();
      await setOverride(subject, edu, 'vfio-pci');
      const overridden = await count();
      await put(subject, `${driverPath('vfio-pci')}/bind`, edu);
      const bound = await count();
      await unbind(subject, edu);
      return [overridden - start, bound > overridden, (await count()) > bound];
    },
    expected: [0, true, true],
  },
  {
    name: "a module's driver is named in /sys/module, and the driver names its module",
    source: 'drivers/base/module.c module_add_driver',
    async run(subject) {
      await subject.modprobe('vfio_pci');
      const link = await subject.readLink(`${driverPath('vfio-pci')}/module`);
      return [
        await subject.list('/sys/module/vfio_pci/drivers'),
        link.slice(link.lastIndexOf('/') + 1),
        await subject.exists('/sys/module/vfio_pci/refcnt'),
        await subject.exists('/sys/module/vfio_iommu_type1'),
      ];
    },
    expected: [['pci:vfio-pci'], 'vfio_pci', true, true],
  },
  {
    name: 'a driver in the kernel image has no module in sysfs on 6.1 and before',
    source: 'drivers/base/module.c module_add_driver',
    kernels: (kernel) => !atLeast(kernel, '6.12'),
    run: lookAtPortDriver,
    expected: { module: false, drivers: [], refcnt: false },
  },
  {
    name: 'a driver in the kernel image has its module in sysfs on 6.12, and that has no refcnt',
    source: 'drivers/base/module.c module_add_driver',
    kernels: (kernel) => atLeast(kernel, '6.12'),
    run: lookAtPortDriver,
    expected: { module: true, drivers: ['pci:pcieport'], refcnt: false },
  },
  {
    name: 'names of module and driver may differ by more than - and _',
    source: 'drivers/base/module.c module_add_driver',
    kernels: since61,
    async run(subject) {
      await subject.modprobe('e1000e_vfio_pci');
      return subject.list('/sys/module/e1000e_vfio_pci/drivers');
    },
    expected: ['pci:e1000e-vfio'],
  },
  {
    name: "an idle device sleeps, an open one is awake, enabled, and counted in its driver's module",
    source: 'drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_enable',
    kernels: since61,
    async run(subject) {
      const { nic } = subject.addresses;
      await bindToVfio(subject, nic);
      await subject.settle();
      const look = async (): Promise<readonly string[]> => [
        (await get(subject, `${devicePath(nic)}/power/runtime_status`)).trim(),
        (await get(subject, `${devicePath(nic)}/enable`)).trim(),
      ];
      const refcnt = async (): Promise<number> => Number(await get(subject, '/sys/module/vfio_pci/refcnt'));
      const idle = await look();
      const count = await refcnt();
      const holder = await subject.open('device', nic);
      if (typeof holder === 'string') return `could not open: ${holder}`;
      const open = await look();
      const more = (await refcnt()) - count;
      await holder.close();
      return { idle, open, more };
    },
    expected: { idle: ['suspended', '0'], open: ['active', '1'], more: 1 },
  },
  {
    name: 'the group node is gone after the unbind, and the device has no trace of VFIO',
    source: 'drivers/vfio/vfio_main.c vfio_unregister_group_dev',
    async run(subject) {
      const { edu } = subject.addresses;
      const before = await groupNodes(subject);
      await bindToVfio(subject, edu);
      const during = await groupNodes(subject);
      await setOverride(subject, edu, '\n');
      await unbind(subject, edu);
      return [during - before, (await groupNodes(subject)) - before, await vfioNames(subject, edu)];
    },
    expected: [1, 0, []],
  },
];
