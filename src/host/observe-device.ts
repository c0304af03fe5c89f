// What the kernel shows of a device right now, for those who are about to write to it or have just done so: who it is and which
// driver it has (which never blocks), and on demand its override and VF settings (which may, and go through the kernel worker).
import type { Bus } from '../domain/device.ts';
import type { Identity } from '../domain/step.ts';
import type { ObservedDevice } from '../domain/transaction-states.ts';
import type { Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { WorkerUnavailable, type Abandoned, type KernelWorker, type WorkerRead } from './ports.ts';
import { createSysfs, type Sysfs } from './sysfs.ts';

/** Where to look. */
export interface ObserveHost {
  readonly files: Files;
  readonly worker: KernelWorker;
  readonly paths: HostPaths;
  /** Milliseconds for the guarded reads of one device. */
  readonly readDeadline: number;
}

/** Which device, and which of its attributes that may block. */
export interface ObserveRequest {
  readonly bus: Bus;
  readonly address: string;
  readonly override: boolean;
  readonly virtualFunctions: boolean;
  readonly autoprobe: boolean;
}

/** `Gone`: there is no such device. `Unreadable`: something is there that cannot be read. */
export type Observation =
  | { readonly outcome: 'Observed'; readonly device: ObservedDevice }
  | { readonly outcome: 'Gone' }
  | { readonly outcome: 'Unreadable'; readonly why: string }
  | Abandoned;

/** Who the device at an address is now; null when there is none. Never blocks. */
export function observeIdentity(
  host: Pick<ObserveHost, 'files' | 'paths'>,
  bus: Bus,
  address: string,
): Identity | null {
  const sysfs = createSysfs(host.files, () => undefined);
  const directory = host.paths.device(bus, address);
  if (!sysfs.exists(directory)) return null;
  return {
    address,
    modalias: sysfs.readAttribute(`${directory}/modalias`),
    driver: sysfs.readLinkName(`${directory}/driver`),
    iommuGroup: readGroup(sysfs, host.paths, directory),
  };
}

/** Looks at one device. */
export async function observeDevice(host: ObserveHost, request: ObserveRequest): Promise<Observation> {
  const { bus, address } = request;
  const directory = host.paths.device(bus, address);
  const names = [
    ...(request.override ? ['driver_override'] : []),
    ...(request.virtualFunctions ? ['sriov_numvfs'] : []),
    ...(request.autoprobe ? ['sriov_drivers_autoprobe'] : []),
  ];
  const texts = new Map<string, string | null>();
  if (names.length > 0) {
    const read = await readAll(host, directory, names);
    if ('outcome' in read) return read;
    for (const [name, text] of read) texts.set(name, text);
  }
  const identity = observeIdentity(host, bus, address);
  if (identity === null) return { outcome: 'Gone' };
  return {
    outcome: 'Observed',
    device: {
      bus,
      address,
      modalias: identity.modalias,
      iommuGroup: identity.iommuGroup,
      driver: identity.driver,
      override: toOverride(texts.get('driver_override') ?? null),
      virtualFunctions: toCount(texts.get('sriov_numvfs') ?? null),
      autoprobe: toFlag(texts.get('sriov_drivers_autoprobe') ?? null),
    },
  };
}

/** VFs that exist now: the links `virtfn0` and so on, which the kernel makes one by one. */
export function countVirtualFunctions(host: Pick<ObserveHost, 'files' | 'paths'>, address: string): number {
  const names = createSysfs(host.files, () => undefined).listNames(host.paths.device('pci', address));
  return (names ?? []).filter((name) => /^virtfn\d+$/.test(name)).length;
}

async function readAll(
  host: ObserveHost,
  directory: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string | null> | Abandoned | { readonly outcome: 'Unreadable'; readonly why: string }> {
  const paths = names.map((name) => `${directory}/${name}`);
  let results: readonly WorkerRead[];
  try {
    const answer = await host.worker.read(paths, host.readDeadline);
    if (answer.outcome === 'Stuck') return answer;
    results = answer.results;
  } catch (error) {
    if (!(error instanceof WorkerUnavailable)) throw error;
    return { outcome: 'Unreadable', why: error.message };
  }
  const texts = new Map<string, string | null>();
  for (const [index, name] of names.entries()) {
    const result = results[index] ?? { errno: 'no answer' };
    if ('text' in result) texts.set(name, result.text.trim());
    // Not there: the device is gone, or this kernel or device has no such attribute.
    else if (result.errno === 'ENOENT' || result.errno === 'ENODEV') texts.set(name, null);
    else return { outcome: 'Unreadable', why: `read ${directory}/${name}: ${result.errno}` };
  }
  return texts;
}

// VFIO gives devices without an IOMMU groups of its own (drivers/vfio/group.c, "vfio-noiommu"): they isolate nothing.
function readGroup(sysfs: Sysfs, paths: HostPaths, directory: string): number | null {
  const name = sysfs.readLinkName(`${directory}/iommu_group`);
  if (name === null || !/^\d+$/.test(name)) return null;
  return sysfs.readOptionalAttribute(`${paths.iommuGroup(name)}/name`) === 'vfio-noiommu' ? null : Number(name);
}

// The PCI bus shows an unset override as `(null)`, others as an empty line.
function toOverride(text: string | null): string | null {
  return text === null || text === '' || text === '(null)' ? null : text;
}

function toCount(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

function toFlag(text: string | null): boolean | null {
  return text === null ? null : text === '1';
}
