// Reads the attributes whose read may never return, through the kernel worker: first in batches, then, for a batch that did not come
// back, device by device, so that one stuck device is named and keeps nobody else waiting. A device found stuck takes its group, its
// PF and its VFs with it: their reads wait for the same lock and would cost a worker each.
import type { Device, GuardedAttributes, Inventory, Unread } from '../domain/device.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import { busDescriptions } from './buses.ts';
import type { HostPaths } from './host-paths.ts';
import { WorkerUnavailable, type KernelWorker, type WorkerRead } from './ports.ts';

/** A device whose read did not return in time. */
export interface StuckRead {
  readonly address: string;
  /** The process that is in the kernel for it. */
  readonly worker: ProcessIdentity;
  /** Resolves when the read has returned at last. Never rejects. */
  readonly returned: Promise<void>;
}

/** What was read. Devices in none of the maps were excluded, are related to a stuck one, or are in `unread`. */
export interface GuardedReading {
  /** By address. */
  readonly values: ReadonlyMap<string, GuardedAttributes>;
  readonly stuck: readonly StuckRead[];
  readonly unread: readonly Unread[];
}

export interface GuardedReadOptions {
  /** Addresses that are not touched: a kernel call on their group, or on a VF of theirs, has not returned. */
  readonly excluded: ReadonlySet<string>;
  /** Milliseconds for one request to the worker; a batch is one request. */
  readonly deadline: number;
}

const batchSize = 128;

/** Reads the guarded attributes of `devices`. Never rejects for what the kernel does. */
export async function readGuarded(
  worker: KernelWorker,
  paths: HostPaths,
  devices: readonly Device[],
  { excluded, deadline }: GuardedReadOptions,
): Promise<GuardedReading> {
  const values = new Map<string, GuardedAttributes>();
  const stuck: StuckRead[] = [];
  const unread: Unread[] = [];
  const shunned = new Set(excluded);

  const read = async (batch: readonly Device[]): Promise<void> => {
    const requests = batch.map((device) => toRequest(paths, device));
    const answer = await worker.read(requests.flat(), deadline);
    if (answer.outcome === 'Read') {
      let next = 0;
      for (const [index, device] of batch.entries()) {
        const request = requests[index] ?? [];
        const results = answer.results.slice(next, next + request.length);
        next += request.length;
        const value = toGuardedAttributes(request, results, unread);
        if (value !== null) values.set(device.address, value);
      }
      return;
    }
    const [device] = batch;
    if (device !== undefined && batch.length === 1) {
      stuck.push({ address: device.address, worker: answer.worker, returned: answer.returned });
      for (const related of devices) if (sharesLock(device, related)) shunned.add(related.address);
      return;
    }
    for (const one of batch) if (!shunned.has(one.address)) await read([one]);
  };

  try {
    const wanted = devices.filter(({ address }) => !shunned.has(address));
    for (let start = 0; start < wanted.length; start += batchSize) {
      const batch = wanted.slice(start, start + batchSize).filter(({ address }) => !shunned.has(address));
      if (batch.length > 0) await read(batch);
    }
  } catch (error) {
    if (!(error instanceof WorkerUnavailable)) throw error;
    unread.push({ source: 'driver_override and sriov_drivers_autoprobe', why: error.message });
  }
  return { values, stuck, unread };
}

/** The inventory with `guarded` filled in where it was read, and what was unread appended. */
export function withGuarded(inventory: Inventory, { values, unread }: GuardedReading): Inventory {
  const devices = new Map<string, Device>();
  for (const [address, device] of inventory.devices) {
    devices.set(address, { ...device, guarded: values.get(address) ?? null });
  }
  return { ...inventory, devices, unread: [...inventory.unread, ...unread] };
}

// Always driver_override first; the second path is there only for a device that can make VFs.
function toRequest(paths: HostPaths, device: Device): readonly string[] {
  const directory = paths.device(device.bus, device.address);
  const autoprobe = busDescriptions.find(({ bus }) => bus === device.bus)?.sriov?.autoprobe;
  const override = `${directory}/driver_override`;
  return autoprobe === undefined || device.totalVirtualFunctions === 0
    ? [override]
    : [override, `${directory}/${autoprobe}`];
}

// Null when one of them could not be read: "unset" would be a claim.
function toGuardedAttributes(
  request: readonly string[],
  results: readonly WorkerRead[],
  unread: Unread[],
): GuardedAttributes | null {
  const texts: (string | null)[] = [];
  for (const [index, path] of request.entries()) {
    const result = results[index] ?? { errno: 'no answer' };
    if ('text' in result) texts.push(result.text.trim());
    else if (result.errno === 'ENOENT' || result.errno === 'ENODEV') texts.push(null);
    else unread.push({ source: path, why: `read: ${result.errno}` });
  }
  if (texts.length < request.length) return null;
  const [override = null, autoprobe = null] = texts;
  return {
    driverOverride: override === '' || override === '(null)' ? null : override,
    autoprobe: autoprobe === null ? null : autoprobe === '1',
  };
}

function sharesLock(stuck: Device, other: Device): boolean {
  return (
    (stuck.iommuGroup !== null && stuck.iommuGroup === other.iommuGroup) ||
    stuck.physicalFunction === other.address ||
    other.physicalFunction === stuck.address
  );
}
