// From decisions to what kubelet is offered. A device is offered once it is verified bound; one that is ours but not as it should
// be (held for release, unplugged, its node gone) stays in its resource as Unhealthy, so that kubelet's count and ours agree.
import type { Decision } from './decision.ts';
import { compareAddresses, type Device, type Inventory } from './device.ts';
import { harmlessDrivers } from './judge-group.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import { ownEntry, policiesInForce } from './ownership.ts';
import type { Policy, ResourcePolicy } from './policy.ts';
import { comparePolicies } from './rank-policies.ts';
import type { AdvertisedDevice, AdvertisedFunction, ResourcePool } from './resource-pool.ts';

/** Names of the nodes that exist under /dev/vfio and /dev/vfio/devices. */
export interface VfioNodes {
  readonly groups: ReadonlySet<string>;
  readonly cdevs: ReadonlySet<string>;
}

export interface PoolInput {
  readonly inventory: Inventory;
  readonly ledger: Ledger;
  readonly decisions: readonly Decision[];
  readonly policies: readonly Policy[];
  readonly nodes: VfioNodes;
  /** No-IOMMU group nodes by address, e.g. `noiommu-0`; empty where that mode is off. */
  readonly noIommuNodes: ReadonlyMap<string, string>;
  /** Devices that are there and do not answer, each with a sentence. */
  readonly silent: ReadonlyMap<string, string>;
}

/** One member of a device id: its ledger record, and the device if it is there. */
interface Member {
  readonly entry: LedgerEntry;
  readonly device: Device | null;
  readonly decision: Decision | null;
}

/**
 * Builds all pools, sorted by resource. A resource that a policy of this node names is there even when it is empty, so that kubelet
 * counts 0; one that only the ledger knows stays until its last device is gone.
 */
export function buildPools(input: PoolInput): readonly ResourcePool[] {
  const decisions = new Map(input.decisions.map((decision) => [decision.address, decision]));
  const context: PoolContext = {
    ...input,
    decisionOf: decisions,
    ourDrivers: new Set([...input.ledger.entries.values()].map((entry) => entry.driver)),
  };
  const ids = new Map<string, Map<string, Member[]>>();
  for (const entry of input.ledger.entries.values()) {
    if (!isOffered(entry, input.inventory)) continue;
    const device = input.inventory.devices.get(entry.address);
    const same = device !== undefined && device.modalias === entry.modalias ? device : null;
    const resource = ids.get(entry.resource) ?? new Map<string, Member[]>();
    const members = resource.get(entry.deviceId) ?? [];
    members.push({ entry, device: same, decision: decisions.get(entry.address) ?? null });
    resource.set(entry.deviceId, members);
    ids.set(entry.resource, resource);
  }
  const policies = policiesInForce(input.policies, input.ledger, input.inventory).toSorted(comparePolicies);
  const names = new Set([
    ...ids.keys(),
    ...policies.flatMap((policy) =>
      policy.mode === 'Enforce' && policy.resource !== null ? [policy.resource.name] : [],
    ),
  ]);
  const pools = [...names].sort(compareAddresses).map((name): ResourcePool => {
    const resource = policies.find((policy) => policy.resource?.name === name)?.resource ?? null;
    const devices = [...(ids.get(name) ?? [])].map(([id, members]) =>
      toAdvertised(id, members, resource?.deviceNodes ?? 'Auto', context),
    );
    return {
      resource: name,
      unit: resource?.unit ?? 'Group',
      deviceNodes: resource?.deviceNodes ?? 'Auto',
      allocation: resource?.allocation ?? 'Packed',
      environment: resource?.environment ?? ['KubeVirt'],
      cdi: resource?.cdi ?? false,
      devices: devices.sort((a, b) => compareAddresses(a.id, b.id)),
    };
  });
  return withSharedGroups(pools);
}

/**
 * A group under several ids, as a policy with unit Function left it before it was changed or is no longer seen, goes by the rules of that
 * unit whatever the policy says now: else each id would hand out the same group.
 */
function withSharedGroups(pools: readonly ResourcePool[]): readonly ResourcePool[] {
  const known = new Set<number>();
  const shared = new Set<number>();
  for (const { iommuGroup } of pools.flatMap((pool) => pool.devices)) {
    if (iommuGroup === null) continue;
    if (known.has(iommuGroup)) shared.add(iommuGroup);
    known.add(iommuGroup);
  }
  return pools.map((pool) =>
    pool.devices.some(({ iommuGroup }) => iommuGroup !== null && shared.has(iommuGroup))
      ? { ...pool, unit: 'Function' }
      : pool,
  );
}

/** What all ids are judged by, worked out once: with thousands of groups each must not cost a walk through everything. */
interface PoolContext extends PoolInput {
  /** By address. */
  readonly decisionOf: ReadonlyMap<string, Decision>;
  /** Drivers that we have bound something to. */
  readonly ourDrivers: ReadonlySet<string | null>;
}

type OfferedEntry = LedgerEntry & { readonly resource: string; readonly deviceId: string };

function isOffered(entry: LedgerEntry, inventory: Inventory): entry is OfferedEntry {
  return (
    entry.resource !== null &&
    entry.deviceId !== null &&
    !entry.retained &&
    entry.state !== 'InTransaction' &&
    entry.bootId === inventory.kernel.bootId
  );
}

function toAdvertised(
  id: string,
  members: readonly Member[],
  deviceNodes: ResourcePolicy['deviceNodes'],
  input: PoolContext,
): AdvertisedDevice {
  const sorted = [...members].sort((a, b) => compareAddresses(a.entry.address, b.entry.address));
  const device = sorted.find((member) => member.device !== null)?.device ?? null;
  const group = device?.iommuGroup ?? null;
  const groupNode = group !== null ? String(group) : (input.noIommuNodes.get(id) ?? null);
  const companions = companionsOf(group, sorted, input);
  const functions = [
    ...sorted.map((member) => toFunction(member.entry, member.device, true, input.nodes)),
    ...companions.map((member) => toFunction(member.entry, member.device, false, input.nodes)),
  ].sort((a, b) => compareAddresses(a.address, b.address));
  const problem =
    findProblem([...sorted, ...companions], input) ??
    findHostDriver(group, input) ??
    findMissingNode(sorted, groupNode, deviceNodes, input);
  return {
    id,
    healthy: problem === null,
    unhealthyBecause: problem,
    numaNode: device?.numaNode ?? null,
    iommuGroup: group,
    groupNode,
    physicalFunction: device?.physicalFunction ?? null,
    functions,
  };
}

function companionsOf(group: number | null, selected: readonly Member[], input: PoolContext): readonly Member[] {
  if (group === null) return [];
  const taken = new Set(selected.map((member) => member.entry.address));
  return (input.inventory.groups.get(group)?.members ?? []).flatMap((address): Member[] => {
    const entry = input.ledger.entries.get(address);
    const device = input.inventory.devices.get(address) ?? null;
    if (entry === undefined || device === null || taken.has(address) || entry.role !== 'Companion') return [];
    if (entry.retained || ownEntry(input.ledger, input.inventory, device) === null) return [];
    return [{ entry, device, decision: input.decisionOf.get(address) ?? null }];
  });
}

/** A member that went back to its host driver while others stay: the kernel lets nobody use the group. */
function findHostDriver(group: number | null, { inventory, ourDrivers }: PoolContext): string | null {
  if (group === null) return null;
  for (const address of inventory.groups.get(group)?.members ?? []) {
    const device = inventory.devices.get(address);
    if (device === undefined || device.driver === null || device.vfioDevice !== null) continue;
    if (ourDrivers.has(device.driver) || harmlessDrivers.has(device.driver)) continue;
    return `member ${address} of IOMMU group ${group} is on host driver ${device.driver}, so nobody can use the group`;
  }
  return null;
}

// From 6.1 on every bound device has a name in vfio-dev/; a node of that name exists only with CONFIG_VFIO_DEVICE_CDEV, and only a node
// can be given to a pod.
function toFunction(
  entry: LedgerEntry,
  device: Device | null,
  selected: boolean,
  { cdevs }: VfioNodes,
): AdvertisedFunction {
  const name = device?.vfioDevice ?? null;
  const vfioDevice = name !== null && cdevs.has(name) ? name : null;
  return { address: entry.address, driver: entry.driver ?? '', selected, vfioDevice };
}

function findProblem(members: readonly Member[], input: PoolInput): string | null {
  for (const { entry, device, decision } of members) {
    if (device === null) return `${entry.address} is gone from its bus`;
    if (entry.state !== 'Taken') return `${entry.address}: ${entry.detail ?? entry.state}`;
    if (device.driver !== entry.driver)
      return `${entry.address} is on ${device.driver ?? 'no driver'}, not on ${entry.driver ?? '?'}`;
    const silence = input.silent.get(entry.address);
    if (silence !== undefined) return silence;
    if (decision !== null && decision.kind !== 'Bound') return `${entry.address}: ${decision.message}`;
    if (
      device.vfioDevice !== null &&
      input.inventory.kernel.iommufd &&
      input.nodes.cdevs.size > 0 &&
      !input.nodes.cdevs.has(device.vfioDevice)
    )
      return `/dev/vfio/devices/${device.vfioDevice} is missing`;
  }
  return null;
}

/** What the kernel has not made of all that Allocate has to hand out. */
function findMissingNode(
  selected: readonly Member[],
  groupNode: string | null,
  deviceNodes: ResourcePolicy['deviceNodes'],
  { nodes, inventory }: PoolInput,
): string | null {
  if (deviceNodes === 'Auto' || deviceNodes === 'Group')
    return groupNode !== null && nodes.groups.has(groupNode) ? null : `/dev/vfio/${groupNode ?? 'GROUP'} is missing`;
  if (deviceNodes === 'Iommufd' && !inventory.kernel.iommufd) return '/dev/iommu is missing';
  const without = selected.find(({ device }) => device?.vfioDevice == null || !nodes.cdevs.has(device.vfioDevice));
  return without === undefined
    ? null
    : `/dev/vfio/devices/${without.device?.vfioDevice ?? 'vfioN'} of ${without.entry.address} is missing`;
}
