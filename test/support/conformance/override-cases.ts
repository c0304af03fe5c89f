// driver_override: what may be written, what is read, what it does and does not do.
import {
  bind,
  bindToVfio,
  devicePath,
  driverOf,
  driverPath,
  probe,
  put,
  readOverride,
  setOverride,
  unbind,
  virtualFunction,
} from './device-actions.ts';
import { atLeast } from './subject.ts';
import type { ConformanceCase, Expected, Subject } from './subject.ts';

const source = 'Documentation/ABI/testing/sysfs-bus-pci, driver_override';
const hasVariants = (kernel: string): boolean => atLeast(kernel, '6.1');

/** Writes a text and reads what is kept. */
function kept(name: string, text: string, expected: Expected): ConformanceCase {
  return {
    name,
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      return [await setOverride(subject, edu, text), await readOverride(subject, edu)];
    },
    expected,
  };
}

/** Sets `before`, then writes `text`, and reads what is kept. */
function keptAfter(name: string, before: string, text: string, expected: Expected): ConformanceCase {
  return {
    name,
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      await setOverride(subject, edu, before);
      return [await setOverride(subject, edu, text), await readOverride(subject, edu)];
    },
    expected,
  };
}

async function lateRegistration(subject: Subject, autoprobe: string, module: string, driver: string): Promise<unknown> {
  const address = subject.addresses['numa-edu'];
  await put(subject, '/sys/bus/pci/drivers_autoprobe', autoprobe);
  await setOverride(subject, address, driver);
  const code = await subject.modprobe(module);
  const result = [code, await driverOf(subject, address)];
  await put(subject, '/sys/bus/pci/drivers_autoprobe', '1');
  return result;
}

export const overrideCases: readonly ConformanceCase[] = [
  {
    name: 'an unset driver_override reads (null)',
    source,
    run: (subject) => readOverride(subject, subject.addresses.edu),
    expected: '(null)\n',
  },
  kept('a driver name is kept and read with a newline', 'vfio-pci', ['ok', 'vfio-pci\n']),
  kept('text ends at the first newline', 'first\nsecond\n', ['ok', 'first\n']),
  kept('text ends at the first NUL', 'first\0second', ['ok', 'first\n']),
  kept('blanks around a name are kept', ' vfio-pci ', ['ok', ' vfio-pci \n']),
  kept('the text (null) is a driver name like any other', '(null)', ['ok', '(null)\n']),
  kept('a driver that does not exist may be named', 'no-such-driver', ['ok', 'no-such-driver\n']),
  keptAfter('a newline clears', 'vfio-pci', '\n', ['ok', '(null)\n']),
  keptAfter('a NUL clears', 'vfio-pci', '\0', ['ok', '(null)\n']),
  keptAfter('a write of nothing keeps the value', 'vfio-pci', '', ['ok', 'vfio-pci\n']),
  keptAfter('another name replaces the first', 'first', 'second', ['ok', 'second\n']),
  {
    name: 'at most 4094 bytes; more is EINVAL and the old value stays',
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      const longest = await setOverride(subject, edu, 'a'.repeat(4094));
      const length = (await readOverride(subject, edu)).length;
      await setOverride(subject, edu, 'old');
      const tooLong = await setOverride(subject, edu, 'a'.repeat(4095));
      const muchTooLong = await setOverride(subject, edu, 'a'.repeat(5000));
      return { longest, length, tooLong, muchTooLong, after: await readOverride(subject, edu) };
    },
    expected: { longest: 'ok', length: 4095, tooLong: 'EINVAL', muchTooLong: 'EINVAL', after: 'old\n' },
  },
  {
    name: 'setting it neither unbinds nor binds',
    source,
    async run(subject) {
      const { nic, edu } = subject.addresses;
      await subject.modprobe('vfio_pci');
      await setOverride(subject, nic, 'vfio-pci');
      await setOverride(subject, edu, 'vfio-pci');
      return [await driverOf(subject, nic), await driverOf(subject, edu)];
    },
    expected: ['e1000e', null],
  },
  {
    name: 'an override that names no driver keeps every driver off',
    source,
    async run(subject) {
      const { nic } = subject.addresses;
      await setOverride(subject, nic, 'none');
      return [await unbind(subject, nic), await probe(subject, nic), await driverOf(subject, nic)];
    },
    expected: ['ok', 'ok', null],
  },
  {
    name: "the module's name in it leaves the device without a driver, and every write succeeds",
    source: 'drivers/pci/pci-driver.c pci_match_device',
    kernels: hasVariants,
    async run(subject) {
      const { nic } = subject.addresses;
      await subject.modprobe('e1000e_vfio_pci');
      const writes = [
        await setOverride(subject, nic, 'e1000e_vfio_pci'),
        await unbind(subject, nic),
        await probe(subject, nic),
      ];
      const wrong = await driverOf(subject, nic);
      await setOverride(subject, nic, 'e1000e-vfio');
      await probe(subject, nic);
      return { writes, wrong, right: await driverOf(subject, nic) };
    },
    expected: { writes: ['ok', 'ok', 'ok'], wrong: null, right: 'e1000e-vfio' },
  },
  {
    name: 'with blanks around it the name matches no driver',
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      await subject.modprobe('vfio_pci');
      await setOverride(subject, edu, ' vfio-pci ');
      return [await bind(subject, 'vfio-pci', edu), await probe(subject, edu), await driverOf(subject, edu)];
    },
    expected: ['ENODEV', 'ok', null],
  },
  {
    name: 'without an override a VFIO driver does not match',
    source: 'drivers/pci/pci-driver.c pci_match_device, override_only',
    async run(subject) {
      const { edu } = subject.addresses;
      await subject.modprobe('vfio_pci');
      return [await bind(subject, 'vfio-pci', edu), await probe(subject, edu), await driverOf(subject, edu)];
    },
    expected: ['ENODEV', 'ok', null],
  },
  {
    name: "with an override the driver's own id table is not asked",
    source: 'drivers/pci/pci-driver.c pci_match_device',
    kernels: hasVariants,
    async run(subject) {
      const { nic } = subject.addresses;
      await subject.modprobe('display_vfio_pci');
      await setOverride(subject, nic, 'display-vfio');
      await unbind(subject, nic);
      return [await bind(subject, 'display-vfio', nic), await driverOf(subject, nic)];
    },
    expected: ['ok', 'display-vfio'],
  },
  {
    name: 'a driver that registers later takes the device whose override names it',
    source: 'drivers/base/bus.c bus_add_driver',
    kernels: hasVariants,
    run: (subject) => lateRegistration(subject, '1', 'edu_first_vfio_pci', 'edu_first_vfio_pci'),
    expected: [0, 'edu_first_vfio_pci'],
  },
  {
    name: 'with drivers_autoprobe off a driver that registers takes nothing',
    source: 'drivers/base/bus.c bus_add_driver',
    kernels: hasVariants,
    run: (subject) => lateRegistration(subject, '0', 'edu_second_vfio_pci', 'edu-second-vfio'),
    expected: [0, null],
  },
  {
    name: 'changing it leaves a bound device where it is',
    source,
    async run(subject) {
      const { edu } = subject.addresses;
      await bindToVfio(subject, edu);
      await setOverride(subject, edu, 'none');
      return driverOf(subject, edu);
    },
    expected: 'vfio-pci',
  },
  {
    name: 'cleared, the device goes back to its own driver at the next probe',
    source,
    async run(subject) {
      const { nic } = subject.addresses;
      await bindToVfio(subject, nic);
      const writes = [
        await setOverride(subject, nic, '\n'),
        await put(subject, `${driverPath('vfio-pci')}/unbind`, nic),
        await probe(subject, nic),
      ];
      return [...writes, await driverOf(subject, nic)];
    },
    expected: ['ok', 'ok', 'ok', 'e1000e'],
  },
  {
    name: 'it is lost when the device is removed, and a rescan brings the device back to its own driver',
    source: 'Documentation/ABI/testing/sysfs-bus-pci, remove and rescan',
    async run(subject) {
      const { hot } = subject.addresses;
      await setOverride(subject, hot, 'none');
      const remove = await put(subject, `${devicePath(hot)}/remove`, '1');
      const gone = !(await subject.exists(devicePath(hot)));
      const rescan = await put(subject, '/sys/bus/pci/rescan', '1');
      await subject.settle();
      return { remove, gone, rescan, override: await readOverride(subject, hot), driver: await driverOf(subject, hot) };
    },
    expected: { remove: 'ok', gone: true, rescan: 'ok', override: '(null)\n', driver: 'e1000e' },
  },
  {
    name: 'a VF made anew has none',
    source: 'drivers/pci/iov.c',
    async run(subject) {
      const { igb } = subject.addresses;
      const numvfs = `${devicePath(igb)}/sriov_numvfs`;
      await put(subject, `${devicePath(igb)}/sriov_drivers_autoprobe`, '0');
      await put(subject, numvfs, '1');
      const first = await virtualFunction(subject, igb);
      await setOverride(subject, first, 'none');
      await put(subject, numvfs, '0');
      await put(subject, numvfs, '1');
      const second = await virtualFunction(subject, igb);
      return [first === second, await readOverride(subject, second)];
    },
    expected: [true, '(null)\n'],
  },
];
