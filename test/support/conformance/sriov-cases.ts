// SR-IOV: what sriov_numvfs takes, and what becomes of VFs.
import {
  bind,
  bindToVfio,
  devicePath,
  driverOf,
  get,
  groupOf,
  probe,
  put,
  readOverride,
  setOverride,
  unbind,
  virtualFunction,
} from './device-actions.ts';
import { since } from './subject.ts';
import type { ConformanceCase, Subject } from './subject.ts';

const source = 'drivers/pci/iov.c sriov_numvfs_store';

const numvfs = (address: string): string => `${devicePath(address)}/sriov_numvfs`;

async function makeQuietly(subject: Subject, address: string, count: string): Promise<string> {
  await put(subject, `${devicePath(address)}/sriov_drivers_autoprobe`, '0');
  return put(subject, numvfs(address), count);
}

export const sriovCases: readonly ConformanceCase[] = [
  {
    name: 'a PF tells how many VFs it can make, has none, and lets their drivers probe',
    source,
    async run(subject) {
      const { igb } = subject.addresses;
      return [
        await get(subject, `${devicePath(igb)}/sriov_totalvfs`),
        await get(subject, numvfs(igb)),
        await get(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`),
      ];
    },
    expected: ['7\n', '0\n', '1\n'],
  },
  {
    name: 'no number, negative, beyond 16 bits (from 6.1 on): EINVAL; beyond the total: ERANGE; hexadecimal is taken',
    source,
    async run(subject) {
      const { igb } = subject.addresses;
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      const results: string[] = [];
      for (const text of ['many', '-1', '65536', '1 ', '8', '0x1']) results.push(await put(subject, numvfs(igb), text));
      return [...results, await get(subject, numvfs(igb))];
    },
    expected: since(
      '6.1',
      ['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'ERANGE', 'ok', '1\n'],
      ['EINVAL', 'EINVAL', 'ERANGE', 'EINVAL', 'ERANGE', 'ok', '1\n'],
    ),
  },
  {
    name: 'the number there is: ok; another than none: EBUSY; none and then another: ok',
    source,
    async run(subject) {
      const { igb } = subject.addresses;
      const results = [await makeQuietly(subject, igb, '2')];
      for (const text of ['2', '3', '1', '0', '3']) results.push(await put(subject, numvfs(igb), text));
      return [...results, await get(subject, numvfs(igb))];
    },
    expected: ['ok', 'ok', 'EBUSY', 'EBUSY', 'ok', 'ok', '3\n'],
  },
  {
    name: 'without a driver, or on one that makes none: ENOENT',
    source,
    async run(subject) {
      const { igb } = subject.addresses;
      await setOverride(subject, igb, 'vfio-pci');
      await unbind(subject, igb);
      const unbound = await put(subject, numvfs(igb), '1');
      const none = await put(subject, numvfs(igb), '0');
      await bindToVfio(subject, igb);
      return [unbound, none, await put(subject, numvfs(igb), '1')];
    },
    expected: ['ENOENT', 'ok', 'ENOENT'],
  },
  {
    name: 'VFs are linked both ways, each in a group of its own, without driver while autoprobe is off',
    source,
    async run(subject) {
      const { igb } = subject.addresses;
      await makeQuietly(subject, igb, '2');
      const first = await virtualFunction(subject, igb, 0);
      const second = await virtualFunction(subject, igb, 1);
      const parent = await subject.readLink(`${devicePath(first)}/physfn`);
      return [
        first !== second,
        parent.endsWith(`/${igb}`),
        (await groupOf(subject, first)) !== (await groupOf(subject, second)),
        await driverOf(subject, first),
        await readOverride(subject, first),
        await get(subject, `${devicePath(first)}/device`),
        await subject.exists(`${devicePath(first)}/sriov_numvfs`),
      ];
    },
    expected: [true, true, true, null, '(null)\n', '0x10ca\n', false],
  },
  {
    name: 'with autoprobe on, a loaded driver takes new VFs at once',
    source: 'Documentation/PCI/pci-iov-howto.rst',
    async run(subject) {
      const { igb } = subject.addresses;
      await subject.modprobe('igbvf');
      await put(subject, numvfs(igb), '1');
      return driverOf(subject, await virtualFunction(subject, igb));
    },
    expected: 'igbvf',
  },
  {
    name: 'a VF with an override binds to VFIO while autoprobe is off',
    source: 'drivers/pci/pci-driver.c pci_device_can_probe',
    async run(subject) {
      const { nvme } = subject.addresses;
      await makeQuietly(subject, nvme, '1');
      const vf = await virtualFunction(subject, nvme);
      const modalias = (address: string): Promise<string> => get(subject, `${devicePath(address)}/modalias`);
      await bindToVfio(subject, vf);
      return [await driverOf(subject, vf), (await modalias(vf)) === (await modalias(nvme))];
    },
    expected: ['vfio-pci', true],
  },
  {
    name: 'nvme leaves its VFs behind when it is unbound, igb takes them along',
    source: 'drivers/nvme/host/pci.c, drivers/net/ethernet/intel/igb/igb_main.c igb_remove',
    async run(subject) {
      const { nvme, igb } = subject.addresses;
      await makeQuietly(subject, nvme, '1');
      await makeQuietly(subject, igb, '1');
      await unbind(subject, nvme);
      await unbind(subject, igb);
      const left = [
        await subject.exists(`${devicePath(nvme)}/virtfn0`),
        await subject.exists(`${devicePath(igb)}/virtfn0`),
      ];
      await probe(subject, nvme);
      return left;
    },
    expected: [true, false],
  },
  {
    name: 'a VF whose driver was taken away by hand comes back by drivers_probe with autoprobe on',
    source: 'drivers/pci/pci-driver.c pci_device_can_probe',
    async run(subject) {
      const { igb } = subject.addresses;
      await subject.modprobe('igbvf');
      await makeQuietly(subject, igb, '1');
      const vf = await virtualFunction(subject, igb);
      const vetoed = await bind(subject, 'igbvf', vf);
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '1');
      await probe(subject, vf);
      return [vetoed, await driverOf(subject, vf)];
    },
    expected: ['ENODEV', 'igbvf'],
  },
];
