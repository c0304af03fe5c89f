// What the host knows of the modules that matter: loaded, built in, loadable or missing; blacklisted; of VFIO or not; and which drivers
// they have registered. The kernel's word (/sys/module, /sys/bus) goes before the files'.
import { genericDrivers } from '../domain/bus-catalog.ts';
import { buses } from '../domain/device.ts';
import type { Unread } from '../domain/device.ts';
import type { ModuleCatalog, ModuleFacts } from '../domain/driver-choice.ts';
import { isInVfioTree } from '../domain/module-files.ts';
import { toModuleName } from '../domain/module-name.ts';
import type { Files } from '../runtime/ports.ts';
import type { AliasSources } from './alias-sources.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs, type Sysfs } from './sysfs.ts';

/** What the catalog is asked for. */
export interface CatalogRequest {
  /** Modules that policies name; any spelling. */
  readonly modules: readonly string[];
  /** Whether the agent may load modules at all. The kernel's own `modules_disabled` overrules a yes. */
  readonly mayLoad: boolean;
}

/** Builds the catalog; `report` is called for what is there and cannot be read. */
export function buildModuleCatalog(
  files: Files,
  paths: HostPaths,
  sources: AliasSources,
  request: CatalogRequest,
  report: (unread: Unread) => void = () => {},
): ModuleCatalog {
  const sysfs = createSysfs(files, report);
  const registered = scanDrivers(paths, sysfs);
  const names = new Set([
    ...sources.entries.map((entry) => entry.module),
    ...Object.values(genericDrivers).map((generic) => generic.module),
    ...request.modules.map(toModuleName),
    ...registered.moduleOfDriver.values(),
  ]);
  const evidence: Evidence = {
    paths,
    sysfs,
    sources,
    registered,
    blacklist: new Map(sources.blacklist.toReversed().map(({ module, source, line }) => [module, `${source}:${line}`])),
    holdersOfVfio: findHolders(paths, sysfs),
    ownAliases: new Set(sources.entries.filter(({ origin }) => isKernelOrigin(origin)).map(({ module }) => module)),
  };
  const modulesDisabled = sysfs.readOptionalAttribute(`${paths.proc}/sys/kernel/modules_disabled`) === '1';
  return {
    modules: new Map([...names].sort().map((name) => [name, describeModule(name, evidence)])),
    moduleOfDriver: registered.moduleOfDriver,
    mayLoad: request.mayLoad && !modulesDisabled,
  };
}

/** Modules in both directions, as /sys/bus shows them. */
interface RegisteredDrivers {
  /** Keyed `bus:driver`. */
  readonly moduleOfDriver: ReadonlyMap<string, string>;
  /** `bus:driver` of every registered driver, with or without a module. */
  readonly all: ReadonlySet<string>;
}

interface Evidence {
  readonly paths: HostPaths;
  readonly sysfs: Sysfs;
  readonly sources: AliasSources;
  readonly registered: RegisteredDrivers;
  readonly blacklist: ReadonlyMap<string, string>;
  /** Loaded modules that use the VFIO core, directly or not. */
  readonly holdersOfVfio: ReadonlySet<string>;
  /** Modules whose own device table (not a person) put a `vfio_` alias into the kernel's files. */
  readonly ownAliases: ReadonlySet<string>;
}

function isKernelOrigin(origin: string): boolean {
  return origin === 'file' || origin === 'builtin';
}

function scanDrivers(paths: HostPaths, sysfs: Sysfs): RegisteredDrivers {
  const moduleOfDriver = new Map<string, string>();
  const all = new Set<string>();
  for (const bus of buses) {
    for (const driver of sysfs.listNames(`${paths.bus(bus)}/drivers`) ?? []) {
      all.add(`${bus}:${driver}`);
      const module = sysfs.readLinkName(`${paths.driver(bus, driver)}/module`);
      if (module !== null) moduleOfDriver.set(`${bus}:${driver}`, toModuleName(module));
    }
  }
  return { moduleOfDriver, all };
}

/** A loaded module's `holders` are the modules that use it: the kernel's own dependencies, whatever modules.dep says. */
function findHolders(paths: HostPaths, sysfs: Sysfs): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (module: string): void => {
    for (const holder of sysfs.listNames(`${paths.module(module)}/holders`) ?? []) {
      if (found.has(holder)) continue;
      found.add(holder);
      visit(holder);
    }
  };
  visit('vfio');
  visit('vfio_pci_core');
  return found;
}

function describeModule(name: string, evidence: Evidence): ModuleFacts {
  const state = findState(name, evidence);
  return {
    name,
    state,
    blacklistedBy: evidence.blacklist.get(name) ?? null,
    isVfio: isVfioModule(name, state, evidence),
    drivers: state === 'Loaded' || state === 'BuiltIn' ? findDrivers(name, evidence) : [],
  };
}

function findState(name: string, { paths, sysfs, sources, registered }: Evidence): ModuleFacts['state'] {
  const directory = paths.module(name);
  if (sysfs.exists(directory)) {
    // A module still initialising (`coming`) has no driver yet; loading it again waits for it. Built-in ones have no state at all.
    const phase = sysfs.readOptionalAttribute(`${directory}/initstate`);
    if (phase === 'live') return 'Loaded';
    if (phase === null) return 'BuiltIn';
  }
  if (sources.builtin?.has(name) === true) return 'BuiltIn';
  if (sources.available?.has(name) === true) return 'Available';
  // A built-in driver without parameters has no /sys/module entry on older kernels; its driver is there all the same.
  const generic = genericDriverOf(name);
  return generic !== null && registered.all.has(generic) ? 'BuiltIn' : 'Missing';
}

/** `bus:driver` of the generic driver that the module registers; null for every other module. */
function genericDriverOf(module: string): string | null {
  const bus = buses.find((one) => genericDrivers[one].module === module);
  return bus === undefined ? null : `${bus}:${genericDrivers[bus].driver}`;
}

/**
 * Proof, in this order: the module uses the core now; modules.dep says so, or its file lies in drivers/vfio; it is built in from
 * drivers/vfio; it is a generic driver. Where dependencies cannot tell (the core is built in, or they are unread), a `vfio_`
 * alias that the module's own device table made is enough: the kernel's build writes that prefix for VFIO drivers alone.
 */
function isVfioModule(
  name: string,
  state: ModuleFacts['state'],
  { sources, holdersOfVfio, ownAliases }: Evidence,
): boolean {
  if (holdersOfVfio.has(name) || sources.vfio.has(name)) return true;
  if (genericDriverOf(name) !== null) return true;
  const builtinPath = sources.builtin?.get(name);
  if (builtinPath !== undefined && isInVfioTree(builtinPath)) return true;
  const dependenciesTell = sources.available !== null && sources.builtin?.has('vfio') !== true;
  return ownAliases.has(name) && (state === 'BuiltIn' || !dependenciesTell);
}

function findDrivers(name: string, { paths, sysfs, registered }: Evidence): ModuleFacts['drivers'] {
  const found = new Set(sysfs.listNames(`${paths.module(name)}/drivers`) ?? []);
  for (const [driver, module] of registered.moduleOfDriver) if (module === name) found.add(driver);
  const generic = genericDriverOf(name);
  if (found.size === 0 && generic !== null && registered.all.has(generic)) found.add(generic);
  return [...found].sort().flatMap((entry) => {
    const colon = entry.indexOf(':');
    return colon <= 0 ? [] : [{ bus: entry.slice(0, colon), name: entry.slice(colon + 1) }];
  });
}
