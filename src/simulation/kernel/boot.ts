// Booting: /sys, /proc and /dev from nothing, devices in the order they are plugged, modules that load at boot, then udev's
// coldplug. What was set at run time is gone, what lies on the disk stays.
import type { Entry } from '../memory/entry.ts';
import { attributeEntry, parseNumber } from './attribute.ts';
import { showStackedBlock } from './block-children.ts';
import { rescan } from './device-attributes.ts';
import { addDevice } from './device-registry.ts';
import { busPath, driversProbe } from './driver-core.ts';
import type { Errno, Machine } from './machine.ts';
import { moduleFiles } from './module-files.ts';
import { loadModule } from './modules.ts';
import { presentInterfaces, showLoopback, showVirtualInterface } from './net-children.ts';
import {
  fibTrieText,
  ifInet6Text,
  interruptsText,
  ipv6RouteText,
  memoryMap,
  netDevText,
  noConnections,
  routeText,
  swapsText,
} from './proc-text.ts';
import { startProcess } from './processes.ts';
import { createLock, immediately } from './scheduler.ts';
import type { Thread } from './scheduler.ts';

const buses = ['pci', 'platform', 'cdx', 'fsl-mc'];

/** Brings the machine up; `bootId` is what /proc/sys/kernel/random/boot_id will say. */
export function* boot(machine: Machine, bootId: string): Thread<void> {
  forget(machine, bootId);
  makeTrees(machine);
  for (const module of machine.spec.modules) if (module.builtin === true) yield* loadModule(machine, module.name);
  for (const spec of machine.plugged.values()) yield* addDevice(machine, spec);
  for (const block of machine.spec.stackedBlocks ?? []) showStackedBlock(machine, block);
  showLoopback(machine);
  for (const net of machine.spec.virtualInterfaces ?? []) showVirtualInterface(machine, net);
  for (const module of machine.spec.modules) if (module.atBoot === true) yield* loadModule(machine, module.name);
  startProcess(machine, 'systemd', { pid: 1 });
  for (const [command, mounts] of Object.entries(machine.spec.otherMounts ?? {})) {
    startProcess(machine, command, { mounts });
  }
  showHostFacts(machine);
}

function forget(machine: Machine, bootId: string): void {
  machine.bootId = bootId;
  machine.bootedAt = machine.clock.monotonic();
  for (const state of [machine.devices, machine.drivers, machine.modules, machine.groups, machine.processes])
    state.clear();
  machine.autoprobe.clear();
  machine.openMinors.clear();
  machine.probeFaults.clear();
  machine.virtualFunctionFaults.clear();
  machine.rescanLock = createLock();
  machine.modulesDisabled = false;
  machine.mounts = [...(machine.spec.mounts ?? [])];
  machine.swaps = [...(machine.spec.swaps ?? [])];
  machine.routes = [...(machine.spec.routes ?? [])];
  machine.nextPid = 300;
  machine.events = 0;
}

function makeTrees(machine: Machine): void {
  const { files, spec } = machine;
  for (const path of ['/sys', '/proc', '/dev', '/run']) files.drop(path);
  for (const [path, device] of [
    ['/sys', 22],
    ['/proc', 21],
    ['/dev', 5],
    ['/run', 23],
  ] as const) {
    files.put(path, { directory: {}, device });
  }
  for (const bus of buses) {
    const directory = busPath(bus);
    files.put(directory, {
      directory: {
        devices: { directory: {} },
        drivers: { directory: {} },
        drivers_probe: attributeEntry(machine, { store: (text) => driversProbe(machine, bus, text) }),
        drivers_autoprobe: attributeEntry(machine, {
          show: () => `${machine.autoprobe.get(bus) === false ? 0 : 1}\n`,
          store: (text) => storeAutoprobe(machine, bus, text),
        }),
        ...(bus === 'pci' ? { rescan: attributeEntry(machine, { store: () => rescan(machine) }) } : {}),
      },
    });
  }
  files.put('/sys/bus/pci/slots', { directory: {} });
  files.put('/sys/module', { directory: {} });
  files.put('/sys/kernel/iommu_groups', { directory: {} });
  files.put('/sys/block', { directory: {} });
  files.put('/sys/devices/virtual/misc/vfio', { directory: { dev: '10:196\n' } });
  files.put('/sys/dev/char/10:196', { link: '../../devices/virtual/misc/vfio' });
  files.put('/sys/kernel/uevent_seqnum', { computed: true, read: () => `${machine.events}\n` });
  for (const name of ['net', 'block', 'iommu', 'vfio', 'nvme', 'drm', 'graphics']) {
    files.put(`/sys/class/${name}`, { directory: {} });
  }
  if (spec.iommu !== false) {
    files.put('/sys/devices/virtual/iommu/dmar0', { directory: {} });
    files.put('/sys/class/iommu/dmar0', { link: '../../devices/virtual/iommu/dmar0' });
  }
  files.put('/dev/vfio', { directory: { vfio: { node: 'char', number: '10:196', mode: 0o666 } } });
  if (machine.quirks.cdev) {
    files.put('/dev/vfio/devices', { directory: {} });
    files.put('/dev/iommu', { node: 'char', number: '10:126' });
  }
  files.put('/run/udev/data', { directory: {} });
  for (const [path, entry] of Object.entries(moduleFiles(spec))) files.put(path, entry);
  for (const [path, entry] of Object.entries(spec.files ?? {})) {
    if (/^\/(sys|proc|dev|run)\//.test(path) || !files.exists(path)) files.put(path, entry);
  }
}

function showHostFacts(machine: Machine): void {
  const { files, spec } = machine;
  const text = (path: string, read: () => string): void => files.put(path, { computed: true, read });
  files.put('/proc/sys/kernel/osrelease', `${spec.release}\n`);
  text('/proc/sys/kernel/random/boot_id', () => `${machine.bootId}\n`);
  files.put('/proc/sys/kernel/modules_disabled', modulesDisabledEntry(machine));
  text('/proc/swaps', () => swapsText(machine.swaps));
  text('/proc/uptime', () => `${((machine.clock.monotonic() - machine.bootedAt) / 1000).toFixed(2)} 0.00\n`);
  text('/proc/fb', () => framebuffers(machine));
  showNetworkFacts(machine, text);
  files.put('/proc/net', { link: '1/net' });
  const defaults = {
    '/proc/cmdline': 'BOOT_IMAGE=/boot/vmlinuz root=/dev/root\n',
    '/proc/iomem': memoryMap,
    '/proc/interrupts': interruptsText,
  };
  for (const [path, content] of Object.entries(defaults)) if (!files.exists(path)) files.put(path, content);
}

/** Once on it stays on until the next boot. */
function modulesDisabledEntry(machine: Machine): Entry {
  return attributeEntry(machine, {
    show: () => `${machine.modulesDisabled ? 1 : 0}\n`,
    store: (value) =>
      immediately(() => {
        if (parseNumber(value) !== 1) return 'EINVAL';
        machine.modulesDisabled = true;
        return null;
      }),
  });
}

function showNetworkFacts(machine: Machine, text: (path: string, read: () => string) => void): void {
  let known = networkTexts([], machine.routes);
  const texts = (): NetworkTexts => {
    const interfaces = presentInterfaces(machine);
    const same =
      known.routes === machine.routes &&
      known.interfaces.length === interfaces.length &&
      known.interfaces.every((one, index) => one === interfaces[index]);
    return same ? known : (known = networkTexts(interfaces, machine.routes));
  };
  text('/proc/1/net/route', () => texts().route);
  text('/proc/1/net/ipv6_route', () => texts().route6);
  text('/proc/1/net/if_inet6', () => texts().addresses6);
  text('/proc/1/net/fib_trie', () => texts().trie);
  text('/proc/1/net/dev', () => texts().names);
  text('/proc/1/net/tcp', () => noConnections);
  text('/proc/1/net/tcp6', () => noConnections);
}

type Interfaces = ReturnType<typeof presentInterfaces>;

interface NetworkTexts {
  readonly interfaces: Interfaces;
  readonly routes: Machine['routes'];
  readonly route: string;
  readonly route6: string;
  readonly addresses6: string;
  readonly trie: string;
  readonly names: string;
}

function networkTexts(interfaces: Interfaces, routes: Machine['routes']): NetworkTexts {
  const names = interfaces.map(({ name }) => name);
  const present = routes.filter((route) => names.includes(route.interface));
  return {
    interfaces,
    routes,
    route: routeText(present),
    route6: ipv6RouteText(present, interfaces),
    addresses6: ifInet6Text(interfaces),
    trie: fibTrieText(present, interfaces),
    names: netDevText(names),
  };
}

/** /proc/fb: number and name of each framebuffer. */
function framebuffers({ files }: Machine): string {
  const names = [...files.list('/sys/class/graphics')].sort();
  return names
    .map((name) => `${name.slice('fb'.length)} ${files.readText(`/sys/class/graphics/${name}/name`)}`)
    .join('');
}

/** Anything but a leading `0` turns it on. */
function storeAutoprobe(machine: Machine, bus: string, text: string): Thread<Errno> {
  return immediately(() => {
    machine.autoprobe.set(bus, !text.startsWith('0'));
    return null;
  });
}
