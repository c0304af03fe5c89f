// modprobe: its exit code says less than one thinks, so what counts is what is loaded afterwards.
import { put } from './device-actions.ts';
import type { ConformanceCase, Subject } from './subject.ts';

const source = 'modprobe(8), modprobe.d(5)';
const configuration = '/etc/modprobe.d/conformance.conf';

async function withConfiguration(subject: Subject, text: string, run: () => Promise<unknown>): Promise<unknown> {
  await subject.createFile(configuration, text);
  const result = await run();
  await subject.removeFile(configuration);
  return result;
}

const loaded = (subject: Subject, module: string): Promise<boolean> => subject.exists(`/sys/module/${module}`);

/** It cannot be undone before the next boot, so it runs last. */
export const modulesDisabledCase: ConformanceCase = {
  name: 'with modules_disabled nothing more is loaded: exit 1; what is loaded already: exit 0',
  source: 'Documentation/admin-guide/sysctl/kernel.rst, modules_disabled',
  async run(subject) {
    const set = await put(subject, '/proc/sys/kernel/modules_disabled', '1');
    const back = await put(subject, '/proc/sys/kernel/modules_disabled', '0');
    const loadedAlready = await subject.modprobe('vfio_pci');
    const another = await subject.modprobe('igbvf_vfio_pci');
    return { set, back, loadedAlready, another, there: await loaded(subject, 'igbvf_vfio_pci') };
  },
  kernels: (kernel) => kernel !== '5.10',
  expected: { set: 'ok', back: 'EINVAL', loadedAlready: 0, another: 1, there: false },
};

export const modprobeCases: readonly ConformanceCase[] = [
  {
    name: 'a module that does not exist: exit 1',
    source,
    run: (subject) => subject.modprobe('no_such_module'),
    expected: 1,
  },
  {
    name: '-b on a blacklisted module: exit 0, and nothing is loaded; without -b it is loaded',
    source,
    run: (subject) =>
      withConfiguration(subject, 'blacklist nvme_class_vfio_pci\n', async () => {
        const seen: unknown[] = [await subject.modprobe('-b', 'nvme_class_vfio_pci')];
        seen.push(await loaded(subject, 'nvme_class_vfio_pci'));
        seen.push(await subject.modprobe('nvme-class-vfio-pci'));
        return [...seen, await loaded(subject, 'nvme_class_vfio_pci')];
      }),
    kernels: (kernel) => kernel !== '5.10',
    expected: [0, false, 0, true],
  },
  {
    name: '`install` of a failing command: exit 1, and nothing is loaded',
    source,
    run: (subject) =>
      withConfiguration(subject, 'install igbvf_vfio_pci /bin/false\n', async () => [
        await subject.modprobe('igbvf_vfio_pci'),
        await loaded(subject, 'igbvf_vfio_pci'),
      ]),
    kernels: (kernel) => kernel !== '5.10',
    expected: [1, false],
  },
  {
    name: '- and _ are one, dependencies and the soft dependency of vfio come along',
    source,
    async run(subject) {
      const code = await subject.modprobe('vfio-pci');
      return [code, await loaded(subject, 'vfio'), await loaded(subject, 'vfio_iommu_type1')];
    },
    expected: [0, true, true],
  },
  {
    name: 'a module that is loaded already: exit 0',
    source,
    run: (subject) => subject.modprobe('vfio_pci'),
    expected: 0,
  },
];
