// bind, unbind and drivers_probe: which errno says what, and which failure says nothing.
import {
  bind,
  bindToVfio,
  devicePath,
  driverOf,
  driverPath,
  get,
  probe,
  put,
  setOverride,
  unbind,
  virtualFunction,
} from './device-actions.ts';
import { atLeast, since } from './subject.ts';
import type { ConformanceCase, Subject } from './subject.ts';

const source = 'drivers/base/bus.c bind_store, unbind_store, drivers_probe_store';
const absent = '0000:00:1e.7';
const hasVariants = (kernel: string): boolean => atLeast(kernel, '6.1');

/** Unbinds and binds to vfio-pci with the override set, without looking. */
async function tryVfio(subject: Subject, address: string): Promise<readonly (string | null)[]> {
  await subject.modprobe('vfio_pci');
  await setOverride(subject, address, 'vfio-pci');
  const bound = await bind(subject, 'vfio-pci', address);
  return [bound, await driverOf(subject, address)];
}

export const bindingCases: readonly ConformanceCase[] = [
  {
    name: 'a device that is not there: ENOENT for its attributes, ENODEV for bind, unbind, drivers_probe',
    source,
    async run(subject) {
      await subject.modprobe('vfio_pci');
      return [
        await setOverride(subject, absent, 'vfio-pci'),
        await put(subject, `${driverPath('vfio-pci')}/bind`, absent),
        await put(subject, `${driverPath('vfio-pci')}/unbind`, absent),
        await probe(subject, absent),
      ];
    },
    expected: ['ENOENT', 'ENODEV', 'ENODEV', 'ENODEV'],
  },
  {
    name: 'attributes: absent ENOENT, read-only EACCES for writing, write-only EACCES for reading',
    source: 'fs/sysfs/file.c',
    async run(subject) {
      const { edu } = subject.addresses;
      return [
        await put(subject, `${devicePath(edu)}/no_such_attribute`, '1'),
        await put(subject, `${devicePath(edu)}/sriov_numvfs`, '1'),
        await put(subject, `${devicePath(edu)}/vendor`, '1'),
        await get(subject, `${devicePath(edu)}/remove`),
        await get(subject, '/sys/bus/pci/drivers_probe'),
      ];
    },
    expected: ['ENOENT', 'ENOENT', 'EACCES', 'EACCES', 'EACCES'],
  },
  {
    name: 'an address must be whole and in lower case; a newline after it does no harm',
    source: 'lib/string_helpers.c sysfs_streq',
    async run(subject) {
      const { edu } = subject.addresses;
      // Only an address with a letter can be written in upper case: the bridge's root port.
      const lettered = '0000:00:0a.0';
      return [
        await probe(subject, edu.slice('0000:'.length)),
        await probe(subject, lettered.toUpperCase()),
        await probe(subject, lettered),
        await probe(subject, ` ${edu}`),
        await probe(subject, `${edu}\n`),
      ];
    },
    expected: ['ENODEV', 'ENODEV', 'ok', 'ENODEV', 'ok'],
  },
  {
    name: 'a write of nothing does nothing and succeeds',
    source: 'fs/kernfs/file.c',
    async run(subject) {
      const { nic } = subject.addresses;
      return [
        await put(subject, `${driverPath('e1000e')}/unbind`, ''),
        await probe(subject, ''),
        await driverOf(subject, nic),
      ];
    },
    expected: ['ok', 'ok', 'e1000e'],
  },
  {
    name: 'unbind asks for the very driver: another one answers ENODEV',
    source,
    async run(subject) {
      const { nic, edu } = subject.addresses;
      return [
        await put(subject, `${driverPath('igb')}/unbind`, nic),
        await put(subject, `${driverPath('e1000e')}/unbind`, edu),
        await put(subject, `${driverPath('e1000e')}/unbind`, nic),
        await put(subject, `${driverPath('e1000e')}/unbind`, nic),
      ];
    },
    expected: ['ENODEV', 'ENODEV', 'ok', 'ENODEV'],
  },
  {
    name: 'bind to a driver that does not match: ENODEV; to the one it has: EBUSY, and ENODEV before 5.14',
    source,
    async run(subject) {
      const { nic, edu } = subject.addresses;
      return [await bind(subject, 'igb', nic), await bind(subject, 'igb', edu), await bind(subject, 'e1000e', nic)];
    },
    expected: since('5.14', ['ENODEV', 'ENODEV', 'EBUSY'], ['ENODEV', 'ENODEV', 'ENODEV']),
  },
  {
    name: 'bind of a device that still has its driver: EBUSY, and ENODEV before 5.14',
    source,
    async run(subject) {
      const { nic } = subject.addresses;
      const first = await tryVfio(subject, nic);
      await unbind(subject, nic);
      const second = await tryVfio(subject, nic);
      return [first, second, await bind(subject, 'vfio-pci', nic)];
    },
    expected: since(
      '5.14',
      [['EBUSY', 'e1000e'], ['ok', 'vfio-pci'], 'EBUSY'],
      [['ENODEV', 'e1000e'], ['ok', 'vfio-pci'], 'ENODEV'],
    ),
  },
  {
    name: 'drivers_probe of a bound device does nothing and succeeds',
    source,
    async run(subject) {
      const { nic } = subject.addresses;
      await subject.modprobe('vfio_pci');
      await setOverride(subject, nic, 'vfio-pci');
      return [await probe(subject, nic), await driverOf(subject, nic)];
    },
    expected: ['ok', 'e1000e'],
  },
  {
    name: 'a probe that fails: bind tells its errno, drivers_probe tells success',
    source,
    kernels: hasVariants,
    async run(subject) {
      const { faulty } = subject.addresses;
      await subject.modprobe('faulty_vfio_pci');
      await setOverride(subject, faulty, 'faulty-vfio');
      await unbind(subject, faulty);
      const bound = await bind(subject, 'faulty-vfio', faulty);
      return [bound, await probe(subject, faulty), await driverOf(subject, faulty)];
    },
    expected: ['EIO', 'ok', null],
  },
  {
    name: 'a bridge: EBUSY while its port driver has it, EINVAL without, success from drivers_probe',
    source: 'drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_register_device',
    async run(subject) {
      const { bridge } = subject.addresses;
      const port = '0000:00:0d.0';
      const withDriver = await tryVfio(subject, port);
      await setOverride(subject, port, '\n');
      const without = await tryVfio(subject, bridge);
      return { withDriver, without, probe: await probe(subject, bridge), after: await driverOf(subject, bridge) };
    },
    expected: since(
      '5.14',
      { withDriver: ['EBUSY', 'pcieport'], without: ['EINVAL', null], probe: 'ok', after: null },
      { withDriver: ['ENODEV', 'pcieport'], without: ['ENODEV', null], probe: 'ok', after: null },
    ),
  },
  {
    name: 'a PF with VFs: vfio-pci answers EBUSY',
    source: 'drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_register_device',
    async run(subject) {
      const { nvme } = subject.addresses;
      await put(subject, `${devicePath(nvme)}/sriov_drivers_autoprobe`, '0');
      const made = await put(subject, `${devicePath(nvme)}/sriov_numvfs`, '1');
      await unbind(subject, nvme);
      const refused = await tryVfio(subject, nvme);
      await setOverride(subject, nvme, '\n');
      await probe(subject, nvme);
      return { made, refused };
    },
    expected: since('5.14', { made: 'ok', refused: ['EBUSY', null] }, { made: 'ok', refused: ['ENODEV', null] }),
  },
  {
    name: 'an interface that is up does not keep its device from being unbound',
    source,
    async run(subject) {
      const { nic } = subject.addresses;
      const before = (await subject.list(`${devicePath(nic)}/net`)).length;
      const unbound = await unbind(subject, nic);
      return [before, unbound, await driverOf(subject, nic), await subject.list(`${devicePath(nic)}/net`)];
    },
    expected: [1, 'ok', null, []],
  },
  {
    name: 'beside an open group a host driver is refused: bind EBUSY, drivers_probe EINVAL',
    source: 'drivers/base/dd.c really_probe, iommu_device_use_default_domain',
    kernels: (kernel) => atLeast(kernel, '6.1'),
    async run(subject) {
      const { pair0, pair1 } = subject.addresses;
      await bindToVfio(subject, pair0);
      await bindToVfio(subject, pair1);
      await setOverride(subject, pair1, '\n');
      await unbind(subject, pair1);
      const holder = await subject.open('device', pair0);
      if (typeof holder === 'string') return `could not open: ${holder}`;
      const results = [await bind(subject, 'e1000e', pair1), await probe(subject, pair1)];
      const during = await driverOf(subject, pair1);
      await holder.close();
      return [...results, during, await bind(subject, 'e1000e', pair1)];
    },
    expected: ['EBUSY', 'EINVAL', null, 'ok'],
  },
  {
    name: 'a VF whose PF has autoprobe off binds by override alone: else ENODEV, and silence from drivers_probe',
    source: 'drivers/pci/pci-driver.c pci_device_can_probe',
    async run(subject) {
      const { igb } = subject.addresses;
      await subject.modprobe('vfio_pci');
      await subject.modprobe('igbvf');
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      await put(subject, `${devicePath(igb)}/sriov_numvfs`, '1');
      const vf = await virtualFunction(subject, igb);
      const without = [await driverOf(subject, vf), await bind(subject, 'igbvf', vf), await probe(subject, vf)];
      const still = await driverOf(subject, vf);
      return { without, still, withOverride: await tryVfio(subject, vf) };
    },
    expected: { without: [null, 'ENODEV', 'ok'], still: null, withOverride: ['ok', 'vfio-pci'] },
  },
];
