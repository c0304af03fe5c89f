// Which of the available devices kubelet should take: those it must, then whole groups, then on one NUMA node, then as the policy
// wants physical functions filled, then the lowest addresses. Pure, never fails, and deterministic: a hint must not refuse a pod.
import { compareAddresses } from './device.ts';
import type { AdvertisedDevice, ResourcePool } from './resource-pool.ts';

/** The available devices of one IOMMU group: better given whole, since nobody else can have the rest. */
interface Cluster {
  readonly first: string;
  /** Sorted. */
  readonly ids: readonly string[];
  readonly numaNode: number | null;
  /** The PF, or the device itself where it is no VF. */
  readonly parent: string;
  /** All devices that the pool has of this group are available. */
  readonly whole: boolean;
}

/**
 * The best `size` ids of `available` (fewer when there are not that many), the ones that must be included first. Ids that the pool
 * does not know come last.
 */
export function preferDevices(
  pool: ResourcePool,
  available: readonly string[],
  mustInclude: readonly string[],
  size: number,
): readonly string[] {
  const must = new Set(mustInclude);
  const chosen = [...must];
  const known = new Map(pool.devices.map((device) => [device.id, device]));
  const free = [...new Set(available)].filter((id) => !must.has(id));
  const wanted = Math.max(0, size - chosen.length);
  if (wanted >= free.length) return [...chosen, ...free.toSorted(compareAddresses)].slice(0, Math.max(size, 0));

  const started = new Set(chosen.map((id) => groupKey(known.get(id), id)));
  const homes = new Set(chosen.flatMap((id) => known.get(id)?.numaNode ?? []));
  const clusters = order(pool, buildClusters(pool, free, known), new Set(free));
  const begun = clusters.filter((cluster) => cluster.ids.some((id) => started.has(groupKey(known.get(id), id))));
  const rest = clusters.filter((cluster) => !cluster.ids.some((id) => started.has(groupKey(known.get(id), id))));

  const picked = begun.flatMap((cluster) => cluster.ids).slice(0, wanted);
  picked.push(...pickWhole(pool, rest, wanted - picked.length, homes));
  const taken = new Set(picked);
  // Nothing fits whole any more: split the group that leaves the least behind.
  const split = rest
    .filter((cluster) => cluster.ids.every((id) => !taken.has(id)))
    .toSorted((a, b) => Number(a.whole) - Number(b.whole) || a.ids.length - b.ids.length)
    .flatMap((cluster) => cluster.ids);
  const unknown = free.filter((id) => !known.has(id)).toSorted(compareAddresses);
  return [...chosen, ...[...picked, ...split, ...unknown].slice(0, wanted)].slice(0, Math.max(size, 0));
}

function groupKey(device: AdvertisedDevice | undefined, id: string): string {
  return device?.iommuGroup == null ? id : String(device.iommuGroup);
}

function buildClusters(
  pool: ResourcePool,
  free: readonly string[],
  known: ReadonlyMap<string, AdvertisedDevice>,
): readonly Cluster[] {
  const members = new Map<string, number>();
  for (const device of pool.devices) {
    const key = groupKey(device, device.id);
    members.set(key, (members.get(key) ?? 0) + 1);
  }
  const clusters = new Map<string, Omit<Cluster, 'ids'> & { ids: string[] }>();
  for (const id of free.toSorted(compareAddresses)) {
    const device = known.get(id);
    if (device === undefined) continue;
    const key = groupKey(device, id);
    const cluster = clusters.get(key);
    if (cluster !== undefined) cluster.ids.push(id);
    else {
      const { numaNode, physicalFunction } = device;
      clusters.set(key, { first: id, ids: [id], numaNode, parent: physicalFunction ?? id, whole: false });
    }
  }
  return [...clusters].map(([key, cluster]) => ({ ...cluster, whole: cluster.ids.length === members.get(key) }));
}

/**
 * The order in which groups are taken. Packed takes the PFs that are used most first, and one after the other; spreading always takes
 * from the PF that is used least by then.
 */
function order(pool: ResourcePool, clusters: readonly Cluster[], free: ReadonlySet<string>): readonly Cluster[] {
  const used = new Map<string, number>();
  for (const device of pool.devices) {
    const parent = device.physicalFunction ?? device.id;
    used.set(parent, (used.get(parent) ?? 0) + (free.has(device.id) ? 0 : 1));
  }
  const packed = pool.allocation === 'Packed';
  const ranked = clusters.map((cluster) => {
    const uses = used.get(cluster.parent) ?? 0;
    // When it is reached, everything before it on its PF is in use.
    if (!packed) used.set(cluster.parent, uses + cluster.ids.length);
    return { cluster, rank: packed ? -uses : uses };
  });
  return ranked
    .toSorted(
      (a, b) =>
        a.rank - b.rank ||
        compareAddresses(a.cluster.parent, b.cluster.parent) ||
        compareAddresses(a.cluster.first, b.cluster.first),
    )
    .map(({ cluster }) => cluster);
}

/** Ids of whole groups that make up `wanted` exactly if that is possible, on as few NUMA nodes as possible. */
function pickWhole(
  pool: ResourcePool,
  clusters: readonly Cluster[],
  wanted: number,
  homes: ReadonlySet<number>,
): readonly string[] {
  const whole = clusters.filter((cluster) => cluster.whole);
  const nodes = [...Map.groupBy(whole, (cluster) => cluster.numaNode)].map(([numaNode, list]) => ({
    list,
    home: numaNode !== null && homes.has(numaNode),
    free: list.reduce((sum, cluster) => sum + cluster.ids.length, 0),
    number: numaNode ?? Number.POSITIVE_INFINITY,
  }));
  const direction = pool.allocation === 'Packed' ? 1 : -1;
  const preferred = nodes.toSorted(
    (a, b) => Number(b.home) - Number(a.home) || direction * (a.free - b.free) || a.number - b.number,
  );
  for (const { list } of preferred) {
    const exact = pickExactly(list, wanted);
    if (exact !== null) return exact;
  }
  // No node alone: the fullest ones first.
  const spread = nodes
    .toSorted((a, b) => Number(b.home) - Number(a.home) || b.free - a.free || a.number - b.number)
    .flatMap(({ list }) => list);
  return pickExactly(spread, wanted) ?? pickGreedily(spread, wanted);
}

/**
 * Groups whose sizes add up to `wanted`, earlier ones first among those of one size; null when no choice does. Sizes are few, so the
 * sums that can be reached are found size by size: each stage maps a sum to how many groups of its size it takes at least.
 */
function pickExactly(clusters: readonly Cluster[], wanted: number): readonly string[] | null {
  let sums = new Map([[0, 0]]);
  const stages = [...Map.groupBy(clusters, (cluster) => cluster.ids.length)]
    .toSorted(([a], [b]) => b - a)
    .map(([size, list]) => {
      sums = new Map([...sums.keys()].map((sum) => [sum, 0]));
      for (let sum = size; sum <= wanted; sum += 1) {
        const before = sums.get(sum - size);
        if (before !== undefined && before < list.length && !sums.has(sum)) sums.set(sum, before + 1);
      }
      return { size, list, counts: sums };
    });
  if (!sums.has(wanted)) return null;
  const picked = new Set<Cluster>();
  let left = wanted;
  for (const { size, list, counts } of stages.toReversed()) {
    const count = counts.get(left) ?? 0;
    for (const cluster of list.slice(0, count)) picked.add(cluster);
    left -= count * size;
  }
  return clusters.flatMap((cluster) => (picked.has(cluster) ? cluster.ids : []));
}

function pickGreedily(clusters: readonly Cluster[], wanted: number): readonly string[] {
  const picked: string[] = [];
  for (const cluster of clusters) {
    if (picked.length + cluster.ids.length <= wanted) picked.push(...cluster.ids);
  }
  return picked;
}
