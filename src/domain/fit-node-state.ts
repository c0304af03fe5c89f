// Keeps a node state within what etcd stores (1.5 MiB for a request, and we promise 1 MiB): what says least goes first, what is wrong
// goes last, and the document counts what it left out.
import type { VfioAliasEvidence, VfioNodeDevice, VfioNodeStateStatus } from '../api/generated/types.ts';
import { clip, countStoredBytes } from './clip.ts';

/** Bytes of the status as it is stored; the rest of the mebibyte is for metadata and managedFields. */
export const nodeStateBudget = 960 * 1024;
const maxDevices = 4096;
/** Characters of a device's message: tried in this order until everything fits. */
const shortest = 80;
const messageLengths = [1024, 240, shortest];

/** Bytes of alias evidence, where not everything fits. */
const evidenceBudget = 128 * 1024;
/** Characters of a condition's message, where not everything fits. */
const conditionLength = 1024;

/**
 * The same status, made to fit: long messages of devices are cut first, then everything else is cut, then the rehearsal goes, then the
 * least telling devices.
 */
export function fitNodeState(status: VfioNodeStateStatus, budget: number = nodeStateBudget): VfioNodeStateStatus {
  const { devices = [], dryRun = [] } = status;
  if (devices.length <= maxDevices && dryRun.length <= maxDevices) {
    for (const length of messageLengths) {
      const whole = assemble(status, devices.map(shortenTo(length)), dryRun.map(shortenTo(length)));
      if (sizeOf(whole) <= budget) return whole;
    }
  }
  const cut = cutFrame(status, budget);
  const frame = sizeOf(assemble(cut, [], [])) + 128;
  const kept = takeWithin(devices.map(shortenTo(shortest)), budget - frame);
  const left = budget - frame - sizeOf(kept);
  return assemble(cut, kept, takeWithin(dryRun.map(shortenTo(shortest)), left));
}

/** All but the devices, cut to half the budget. Names, codes, generations and counts stay: others act on them. */
function cutFrame(status: VfioNodeStateStatus, budget: number): VfioNodeStateStatus {
  if (sizeOf(assemble(status, [], [])) <= budget / 2) return status;
  const { conditions = [], policies = [], resources = [], aliasEvidence = [], unread = [] } = status;
  const shorter = {
    ...status,
    conditions: conditions.map((condition) => ({ ...condition, message: clip(condition.message, conditionLength) })),
    policies: policies.map(shortenTo(shortest)),
    resources: resources.map(shortenTo(shortest)),
    aliasEvidence: takeEvidence(aliasEvidence, Math.min(evidenceBudget, budget / 8)),
    unread: unread.map(({ source, why }) => ({ source: clip(source, shortest), why: clip(why, shortest) })),
  };
  if (sizeOf(assemble(shorter, [], [])) <= budget / 2) return shorter;
  return { ...shorter, policies: policies.map(withoutMessage), resources: resources.map(withoutMessage) };
}

function withoutMessage<T extends { readonly message?: string }>(one: T): Omit<T, 'message'> {
  const { message: _, ...rest } = one;
  return rest;
}

/** The first ones that fit. */
function takeEvidence(evidence: readonly VfioAliasEvidence[], bytes: number): readonly VfioAliasEvidence[] {
  let left = bytes;
  return evidence.filter((one) => {
    const size = sizeOf(one) + 1;
    if (size > left) return false;
    left -= size;
    return true;
  });
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

function shortenTo(length: number): <T extends { readonly message?: string }>(one: T) => T {
  return (one) =>
    one.message === undefined || one.message.length <= length ? one : { ...one, message: clip(one.message, length) };
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
  return countStoredBytes(JSON.stringify(value));
}
