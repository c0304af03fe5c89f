// A host in memory-backed storage for the benches: functions that are on vfio-pci already, each in a group of its own, the files that
// lead to that choice, and a /proc that is this machine's. Nothing in it is a device: what is measured is our own work.
import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { createHostTree, directorySink, temporaryRoot } from '../test/support/host-tree.ts';

/** The driver that every function of the host is on. */
export const vfioDriver = 'vfio-pci';

export interface VfioHost {
  readonly path: string;
  /** PCI addresses of its functions. */
  readonly addresses: readonly string[];
  /** How /proc came to be, for the report. */
  readonly procNote: string;
  remove(): void;
}

const functionsPerBus = 32;
const aliasLines = 27_000;

/** As many aliases of VFIO drivers as kernels have: Debian's 6.1 and 6.12 have one, with all variant drivers there are it is some tens. */
export const usualVfioAliases = 30;

/** Builds a host with `count` functions and `vfioAliases` aliases of VFIO drivers. Needs root: proofs read what other processes have open. */
export function buildVfioHost(count: number, vfioAliases = 3_000): VfioHost {
  const root = temporaryRoot('/dev/shm');
  const sink = directorySink(root.path);
  const tree = createHostTree(sink);
  const addresses = Array.from({ length: count }, (_, index) => addressOf(index));
  for (const [index, address] of addresses.entries()) {
    tree.addFunction({ address, iommuGroup: index + 1, driver: vfioDriver, vfioDevice: `vfio${index}`, numaNode: 0 });
    sink.file(`${tree.directoryOf(address)}/driver_override`, `${vfioDriver}\n`);
    sink.link(`/dev/vfio/${index + 1}`, '/dev/null');
  }
  sink.link('/dev/vfio/vfio', '/dev/null');
  addModules(vfioAliases, (path, text) => sink.file(path, text));
  sink.link(`/sys/bus/pci/drivers/${vfioDriver}/module`, '../../../../module/vfio_pci');
  for (const directory of ['block', 'net', 'graphics', 'drm', 'tty']) sink.directory(`/sys/class/${directory}`);
  for (const directory of ['/sys/dev/char', '/sys/dev/block', '/run/udev/data']) sink.directory(directory);
  rmSync(join(root.path, 'proc'), { recursive: true });
  return { path: root.path, addresses, procNote: addProc(join(root.path, 'proc')), remove: root.remove };
}

/** As many lines as a distribution's kernel has, almost all of them about other devices. */
function addModules(vfioAliases: number, file: (path: string, text: string) => void): void {
  const directory = `/lib/modules/${release()}`;
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  const lines = Array.from({ length: aliasLines - 1 }, (_, index) =>
    index % Math.floor(aliasLines / vfioAliases) === 0
      ? `alias vfio_pci:v000015B3d${hex(index)}sv*sd*bc*sc*i* variant${index % 40}_vfio_pci`
      : `alias pci:v00001000d${hex(index)}sv*sd*bc*sc*i* driver_${index % 900}`,
  );
  file(`${directory}/modules.alias`, `${['alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci', ...lines].join('\n')}\n`);
  const vfio = 'kernel/drivers/vfio';
  file(
    `${directory}/modules.dep`,
    `${vfio}/vfio.ko:\n${vfio}/pci/vfio-pci-core.ko: ${vfio}/vfio.ko\n${vfio}/pci/vfio-pci.ko: ${vfio}/pci/vfio-pci-core.ko ${vfio}/vfio.ko\n`,
  );
  file(`${directory}/modules.builtin`, '');
  file(`${directory}/modules.builtin.modinfo`, '');
  for (const module of ['vfio', 'vfio_pci_core', 'vfio_pci']) file(`/sys/module/${module}/initstate`, 'live\n');
  file('/sys/module/vfio/holders/vfio_pci_core/initstate', 'live\n');
  file('/sys/module/vfio_pci_core/holders/vfio_pci/initstate', 'live\n');
  file(`/sys/module/vfio_pci/drivers/pci:${vfioDriver}/uevent`, '');
}

/**
 * This machine's /proc, as it is. Where not even root may look into its PID 1 (some containers' and sandboxes' init), PID 1 alone is
 * replaced: every other process and file of /proc is still the machine's own, so that the work of reading them is the real one.
 */
function addProc(proc: string): string {
  if (mayReadInit()) {
    symlinkSync('/proc', proc);
    return "/proc is this machine's";
  }
  mkdirSync(join(proc, '1/ns'), { recursive: true });
  mkdirSync(join(proc, '1/fd'));
  // `self` is whoever reads it.
  for (const name of readdirSync('/proc')) if (name !== '1') linkTo(`/proc/${name}`, join(proc, name));
  for (const [name, target] of Object.entries({
    pid: readlinkSync('/proc/self/ns/pid'),
    mnt: 'mnt:[1]',
    net: 'net:[1]',
  }))
    symlinkSync(target, join(proc, '1/ns', name));
  symlinkSync('/', join(proc, '1/root'));
  for (const name of ['mountinfo', 'net']) symlinkSync(`/proc/self/${name}`, join(proc, '1', name));
  writeFileSync(join(proc, '1/comm'), 'init\n');
  writeFileSync(join(proc, '1/stat'), '1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 0 0 0 0 20 0 1 0 1\n');
  return "/proc is this machine's but for PID 1, which root may not look into here";
}

function linkTo(target: string, path: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) symlinkSync(target, path);
}

function mayReadInit(): boolean {
  try {
    readlinkSync('/proc/1/ns/pid');
    for (const name of readdirSync('/proc/1/fd')) readlinkSync(`/proc/1/fd/${name}`);
    return true;
  } catch {
    return false;
  }
}

function addressOf(index: number): string {
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  const inBus = index % functionsPerBus;
  return `0000:${hex(Math.floor(index / functionsPerBus) + 1)}:${hex(inBus >> 3)}.${inBus & 7}`;
}
