// Kernel modules: loading with what they depend on, /sys/module, and the drivers they register. A module that registers a driver
// has it bound to waiting devices before its loading returns.
import type { Entry } from '../memory/entry.ts';
import { attributeEntry } from './attribute.ts';
import { hideChildren, showChildren } from './children.ts';
import { attachAll, bind, busPath, unbind } from './driver-core.ts';
import { relativeLink, sleep } from './machine.ts';
import type { Errno, Machine, SimDriver } from './machine.ts';
import { immediately } from './scheduler.ts';
import type { Thread } from './scheduler.ts';
import type { DriverSpec, ModuleSpec } from './spec.ts';
import { removeVirtualFunctions } from './sriov.ts';
import { probeVfio, removeVfio } from './vfio.ts';

/** init_module of `name` with its dependencies; nothing to do when it is loaded or built in. */
export function* loadModule(machine: Machine, name: string): Thread<Errno> {
  if (machine.modules.has(name)) return null;
  const spec = machine.spec.modules.find((module) => module.name === name);
  if (spec === undefined) return 'ENOENT';
  for (const dependency of spec.depends ?? []) {
    const errno = yield* loadModule(machine, dependency);
    if (errno !== null) return errno;
  }
  if (spec.builtin !== true) {
    if (machine.modulesDisabled) return 'EPERM';
    if (spec.loadErrno !== undefined) return spec.loadErrno;
    if (machine.hangingModules.has(name)) yield () => !machine.hangingModules.has(name);
    if (machine.modules.has(name)) return null;
  }
  machine.modules.set(name, { spec, users: new Set(), drivers: [] });
  for (const dependency of spec.depends ?? []) machine.modules.get(dependency)?.users.add(name);
  showModule(machine, spec);
  for (const driver of spec.drivers ?? []) yield* registerDriver(machine, spec, driver);
  return null;
}

function* registerDriver(machine: Machine, module: ModuleSpec, spec: DriverSpec): Thread<void> {
  const driver = buildDriver(machine, module, spec);
  const directory = `${busPath(spec.bus)}/drivers/${spec.name}`;
  machine.drivers.set(`${spec.bus}:${spec.name}`, driver);
  machine.modules.get(module.name)?.drivers.push(driver);
  machine.files.put(directory, { directory: {} });
  yield* attachAll(machine, driver);
  const files: Record<string, Entry> = {
    bind: attributeEntry(machine, { store: (text) => bind(machine, driver, text) }),
    unbind: attributeEntry(machine, { store: (text) => unbind(machine, driver, text) }),
    uevent: attributeEntry(machine, { store: succeed }),
    ...(spec.bus === 'pci'
      ? {
          new_id: attributeEntry(machine, { store: refuseIds }),
          remove_id: attributeEntry(machine, { store: refuseIds }),
        }
      : {}),
  };
  for (const [name, entry] of Object.entries(files)) machine.files.put(`${directory}/${name}`, entry);
  const owner = `/sys/module/${module.name}`;
  if (!machine.files.exists(owner)) return;
  machine.files.put(`${directory}/module`, relativeLink(`${directory}/module`, owner));
  const link = `${owner}/drivers/${spec.bus}:${spec.name}`;
  machine.files.put(link, relativeLink(link, directory));
}

function buildDriver(machine: Machine, module: ModuleSpec, spec: DriverSpec): SimDriver {
  const vfio = spec.vfio === true;
  const managesDma = vfio || spec.managesDma === true;
  return {
    spec,
    name: spec.name,
    bus: spec.bus,
    module: module.name,
    ids: spec.ids ?? (module.aliases ?? []).filter((pattern) => ownPattern(spec.bus, pattern)),
    managesDma,
    *probe(device) {
      yield* sleep(machine, spec.probeTakes ?? 0);
      const errno = typeof spec.probeErrno === 'function' ? spec.probeErrno(device.spec) : (spec.probeErrno ?? null);
      if (errno !== null) return errno;
      if (vfio) return probeVfio(machine, device);
      if (!managesDma) showChildren(machine, device);
      return null;
    },
    *remove(device) {
      yield* sleep(machine, spec.removeTakes ?? 0);
      if (vfio) {
        yield* removeVfio(machine, device);
        return;
      }
      if (spec.sriov === true && spec.leavesVfs !== true) yield* removeVirtualFunctions(machine, device);
      if (!managesDma) hideChildren(machine, device);
    },
  };
}

/** A device-tree or ACPI alias names a platform device, too. */
function ownPattern(bus: string, pattern: string): boolean {
  return pattern.startsWith(`${bus}:`) || (bus === 'platform' && /^(of|acpi):/.test(pattern));
}

function showModule(machine: Machine, spec: ModuleSpec): void {
  const builtin = spec.builtin === true;
  const parameters = Object.entries(spec.parameters ?? {}).map(([name, value]) => [name, `${value}\n`] as const);
  if (builtin && parameters.length === 0 && !machine.quirks.builtinModules) return;
  const refcnt = (): string => `${referenceCount(machine, spec.name)}\n`;
  machine.files.put(`/sys/module/${spec.name}`, {
    directory: {
      ...(builtin
        ? {}
        : { refcnt: attributeEntry(machine, { show: refcnt }), initstate: 'live\n', holders: { directory: {} } }),
      ...(parameters.length === 0 ? {} : { parameters: { directory: Object.fromEntries(parameters) } }),
    },
  });
}

/** Modules that need it, and open devices of its drivers. */
function referenceCount(machine: Machine, name: string): number {
  const module = machine.modules.get(name);
  const open = [...machine.devices.values()]
    .filter(({ driver }) => driver?.module === name)
    .reduce((sum, { users }) => sum + users, 0);
  return (module?.users.size ?? 0) + open;
}

const succeed = (): Thread<Errno> => immediately(() => null);

/** Nothing of ours may ever write new_id: it takes every device of that id, now and later. */
const refuseIds = (): Thread<Errno> => immediately(() => 'EINVAL');
