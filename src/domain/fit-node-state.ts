// Keeps a node state within what etcd stores (1.5 MiB for a request, and we promise 1 MiB): what says least goes first, what is wrong
// goes last, and the document counts what it left out.
import type { VfioNodeDevice, VfioNodeStateStatus } from '../api/generated/types.ts';
import { clip, countBytes } from './clip.ts';

/** Bytes of the status as JSON; the rest of the mebibyte is for metadata and managedFields. */
export const nodeStateBudget = 960 * 1024;
const maxDevices = 4096;
/** Characters of a device's message: tried in this order until everything fits. */
const shortest = 80;
const messageLengths = [1024, 240, shortest];

/** The same status, made to fit: long messages are cut first, then the rehearsal goes, then the least telling devices. */
export function fitNodeState(status: VfioNodeStateStatus, budget: number = nodeStateBudget): VfioNodeStateStatus {
  const { devices = [], dryRun = [] } = status;
  if (devices.length <= maxDevices && dryRun.length <= maxDevices) {
    for (const length of messageLengths) {
      const whole = assemble(status, devices.map(shortenTo(length)), dryRun.map(shortenTo(length)));
      if (sizeOf(whole) <= budget) return whole;
    }
  }
  const frame = sizeOf(assemble(status, [], [])) + 128;
  const kept = takeWithin(devices.map(shortenTo(shortest)), budget - frame);
  const left = budget - frame - sizeOf(kept);
  return assemble(status, kept, takeWithin(dryRun.map(shortenTo(shortest)), left));
}

/** Empty lists and zero counts are left out. */
function assemble(
  status: VfioNodeStateStatus,
  devices: readonly VfioNodeDevice[],
  dryRun: readonly VfioNodeDevice[],
): VfioNodeStateStatus {
  const { devices: all = [], dryRun: planned = [], ...rest } = status;
  const omittedDevices = all.length - devices.length;
  const omittedDryRun = planned.length - dryRun.length;
  const parts = Object.entries({ ...rest, devices, omittedDevices, dryRun, omittedDryRun });
  return Object.fromEntries(parts.filter(([, part]) => part !== 0 && !(Array.isArray(part) && part.length === 0)));
}

function shortenTo(length: number): (device: VfioNodeDevice) => VfioNodeDevice {
  return (device) =>
    device.message === undefined || device.message.length <= length
      ? device
      : { ...device, message: clip(device.message, length) };
}

/** What a person must see first. */
const importance: readonly VfioNodeDevice['decision'][] = [
  'Stuck',
  'Quarantined',
  'Failed',
  'Held',
  'Release',
  'Bind',
  'Refused',
  'Bound',
  'Ignored',
];

/** As many as fit, the most important ones, in their old order. */
function takeWithin(devices: readonly VfioNodeDevice[], bytes: number): readonly VfioNodeDevice[] {
  const ranked = devices
    .map((device, index) => ({ index, rank: importance.indexOf(device.decision), size: sizeOf(device) + 1 }))
    .toSorted((a, b) => a.rank - b.rank || a.index - b.index);
  const taken = new Set<number>();
  let left = bytes;
  for (const { index, size } of ranked) {
    if (size > left || taken.size === maxDevices) break;
    left -= size;
    taken.add(index);
  }
  return devices.filter((_, index) => taken.has(index));
}

function sizeOf(value: unknown): number {
  return countBytes(JSON.stringify(value));
}
