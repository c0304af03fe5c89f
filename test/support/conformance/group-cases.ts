// IOMMU groups: who shares one, when VFIO may use it, and what it tells of itself.
import { bindToVfio, bind, devicePath, driverOf, get, groupOf, put, setOverride, unbind } from './device-actions.ts';
import { since } from './subject.ts';
import type { ConformanceCase, Subject } from './subject.ts';

const viability = 'Documentation/driver-api/vfio.rst, Groups, Devices, and IOMMUs';

/** `opened`, or the errno of the open or of attaching the group. */
async function tryOpen(subject: Subject, address: string): Promise<string> {
  const holder = await subject.open('device', address);
  if (typeof holder === 'string') return holder;
  await holder.close();
  return 'opened';
}

export const groupCases: readonly ConformanceCase[] = [
  {
    name: 'functions that cannot be told apart share a group; a conventional bus and its bridge are one',
    source: 'drivers/iommu/iommu.c pci_device_group',
    async run(subject) {
      const { pair0, nic, 'legacy-edu': legacyEdu, bridge } = subject.addresses;
      const members = async (address: string): Promise<number> =>
        (await subject.list(`/sys/kernel/iommu_groups/${(await groupOf(subject, address)) ?? ''}/devices`)).length;
      return [
        await members(pair0),
        await members(nic),
        await members(legacyEdu),
        (await groupOf(subject, bridge)) === (await groupOf(subject, legacyEdu)),
      ];
    },
    expected: [2, 1, 3, true],
  },
  {
    name: 'a group tells its reserved regions, the MSI window among them',
    source: 'Documentation/ABI/testing/sysfs-kernel-iommu_groups',
    async run(subject) {
      const group = (await groupOf(subject, subject.addresses.nic)) ?? '';
      const text = await get(subject, `/sys/kernel/iommu_groups/${group}/reserved_regions`);
      return text.split('\n').filter((line) => line.endsWith(' msi')).length;
    },
    expected: 1,
  },
  {
    name: 'a sibling on a host driver makes the group not viable: EPERM at attaching it, EINVAL at opening the device before 5.19',
    source: viability,
    async run(subject) {
      const { pair0 } = subject.addresses;
      await bindToVfio(subject, pair0);
      return tryOpen(subject, pair0);
    },
    expected: since('5.19', 'EPERM', 'EINVAL'),
  },
  {
    name: 'a sibling without driver, or on a driver that leaves DMA to its user, does no harm',
    source: viability,
    async run(subject) {
      const { pair0, pair1 } = subject.addresses;
      await bindToVfio(subject, pair0);
      await setOverride(subject, pair1, 'pci-stub');
      await unbind(subject, pair1);
      const unbound = await tryOpen(subject, pair0);
      await subject.modprobe('pci_stub');
      if ((await driverOf(subject, pair1)) === null) await bind(subject, 'pci-stub', pair1);
      return [unbound, await driverOf(subject, pair1), await tryOpen(subject, pair0)];
    },
    expected: ['opened', 'pci-stub', 'opened'],
  },
  {
    name: 'bound together, every member of the group can be opened, one user at a time',
    source: viability,
    async run(subject) {
      const { pair0, pair1 } = subject.addresses;
      await bindToVfio(subject, pair0);
      await bindToVfio(subject, pair1);
      const holder = await subject.open('device', pair0);
      if (typeof holder === 'string') return `could not open: ${holder}`;
      const second = await tryOpen(subject, pair1);
      await holder.close();
      return [second, await tryOpen(subject, pair1)];
    },
    expected: ['EBUSY', 'opened'],
  },
  {
    name: 'an unbound bridge in the group does no harm, a host driver behind it does',
    source: viability,
    async run(subject) {
      const { 'legacy-edu': edu, 'legacy-nic': nic } = subject.addresses;
      await bindToVfio(subject, edu);
      const beside = await tryOpen(subject, edu);
      await setOverride(subject, nic, 'none');
      await unbind(subject, nic);
      return [beside, await tryOpen(subject, edu)];
    },
    expected: since('5.19', ['EPERM', 'opened'], ['EINVAL', 'opened']),
  },
  {
    name: 'no IOMMU group node before a member is bound, and an open of it is ENOENT',
    source: viability,
    run: (subject) => tryOpen(subject, subject.addresses.edu),
    expected: 'ENOENT',
  },
  {
    name: 'class, ids, modalias and NUMA node are read as the bus prints them',
    source: 'Documentation/ABI/testing/sysfs-bus-pci',
    async run(subject) {
      const { nic, 'numa-nic': far } = subject.addresses;
      const modalias = await get(subject, `${devicePath(nic)}/modalias`);
      return [
        await get(subject, `${devicePath(nic)}/vendor`),
        await get(subject, `${devicePath(nic)}/class`),
        modalias.replace(/sv\w{8}sd\w{8}/, 'sv-sd-'),
        await get(subject, `${devicePath(far)}/numa_node`),
      ];
    },
    expected: ['0x8086\n', '0x020000\n', 'pci:v00008086d000010D3sv-sd-bc02sc00i00\n', '1\n'],
  },
  {
    name: 'a group that somebody has open is EBUSY for everybody else, device file or not',
    source: 'drivers/vfio/group.c vfio_group_fops_open',
    async run(subject) {
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      const holder = await subject.open('group', edu);
      if (typeof holder === 'string') return `could not open: ${holder}`;
      const during = await tryOpen(subject, edu);
      await holder.close();
      return [during, await tryOpen(subject, edu), await put(subject, `${devicePath(edu)}/driver/unbind`, edu)];
    },
    expected: ['EBUSY', 'opened', 'ok'],
  },
];
