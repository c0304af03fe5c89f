// One holder per IOMMU group where a resource's unit is the function. Kubelet does not say for which pod it asks, and one pod may want
// two functions of a group: so a sibling is given within 5 s of the first, and the first pod to start owns the group. From then on, and
// after those 5 s, nothing else of the group is offered until the pods are gone and the group is closed.
import type { AdvertisedDevice, ResourcePool } from '../domain/resource-pool.ts';
import type { AllocationStore } from './allocation-store.ts';
import type { PodHolder } from './pod-resources.ts';
import type { FindGroupUser } from './ports.ts';

/** For how long a sibling may be allocated after the first of a group, in milliseconds: the containers of one pod take less. */
const provisionalPeriod = 5_000;

/** One device of a group that somebody has. */
interface Claim {
  readonly resource: string;
  readonly id: string;
  /** Milliseconds since its Allocate; null: longer than we remember. */
  readonly age: number | null;
  /** `namespace/name`; null: no pod shows it now. */
  readonly pod: string | null;
}

/** Knows which groups are taken. */
export class GroupSafety {
  readonly #store: AllocationStore;
  readonly #findGroupUser: FindGroupUser;
  #pods: readonly PodHolder[] = [];
  /** Devices of unit Function by group, over all resources. */
  #groups: ReadonlyMap<number, readonly { readonly resource: string; readonly device: AdvertisedDevice }[]> = new Map();

  constructor(store: AllocationStore, findGroupUser: FindGroupUser) {
    this.#store = store;
    this.#findGroupUser = findGroupUser;
  }

  /** Takes the pools over. */
  update(pools: readonly ResourcePool[]): void {
    const entries = pools
      .filter((pool) => pool.unit === 'Function')
      .flatMap((pool) => pool.devices.map((device) => ({ resource: pool.resource, device })));
    const groups = new Map<number, { readonly resource: string; readonly device: AdvertisedDevice }[]>();
    for (const entry of entries) {
      const group = entry.device.iommuGroup;
      if (group !== null) groups.set(group, [...(groups.get(group) ?? []), entry]);
    }
    this.#groups = groups;
  }

  /** Takes a reading of PodResources over. */
  async observe(holders: readonly PodHolder[], begun: number): Promise<void> {
    this.#pods = holders;
    await this.#store.observe(holders, begun);
  }

  /**
   * Lets go of the groups whose pods are gone and that nobody has open. Call it after a look at the host's processes: a kubelet that has just
   * started knows no pods yet, and an older look may not show what a pod opened since.
   */
  async free(): Promise<void> {
    for (const group of this.#store.heldGroups()) {
      if (this.isLetGo(group) && this.#findGroupUser(group) === null) await this.#store.free(group);
    }
  }

  /**
   * Whether no pod has any device of the group, nor was any just allocated. Where nothing of the group is offered, as before the first pass
   * of an agent, it is not known which devices those are: its owner has them for as long as it has anything.
   */
  isLetGo(group: number): boolean {
    const unknown = !this.#groups.has(group);
    const owner = this.#store.holder(group);
    return this.#claims(group).length === 0 && !(unknown && this.#pods.some((one) => podName(one) === owner));
  }

  /** Why a device is not to be offered now; null: it is. One that somebody has stays as it is. */
  withdrawn(resource: string, device: AdvertisedDevice): string | null {
    const group = device.iommuGroup;
    if (group === null || this.#alone(group)) return null;
    const claims = this.#claims(group);
    if (claims.some((claim) => claim.id === device.id && claim.resource === resource)) return null;
    const [settled] = claims.filter((claim) => claim.age === null || claim.age >= provisionalPeriod);
    if (settled === undefined) return this.#heldBy(group);
    // No age: reports are written when they change, and this one is to say the same at every look.
    return settled.pod === null
      ? `IOMMU group ${group} is taken: ${settled.id} was allocated, and no pod shows it now`
      : `IOMMU group ${group} is taken by pod ${settled.pod}, which has ${settled.id}`;
  }

  /** Why an Allocate for a device has to fail; null: it may pass. */
  refuse(resource: string, device: AdvertisedDevice): string | null {
    const group = device.iommuGroup;
    if (group === null || this.#alone(group)) return null;
    const others = this.#claims(group).filter((claim) => claim.id !== device.id || claim.resource !== resource);
    const [settled] = others.filter((claim) => claim.age === null || claim.age >= provisionalPeriod);
    if (settled === undefined) {
      const held = this.#heldBy(group);
      return held === null ? null : `${device.id}: ${held}`;
    }
    return `${device.id} shares IOMMU group ${group} with ${describe(settled)}; a group belongs to one pod at a time`;
  }

  /** Milliseconds until the youngest group's provisional time is over; null: none is running. */
  nextChange(): number | null {
    const shared = [...this.#groups.keys()].filter((group) => !this.#alone(group));
    const waits = shared.flatMap((group) =>
      this.#claims(group).flatMap(({ age }) =>
        age !== null && age < provisionalPeriod ? [provisionalPeriod - age] : [],
      ),
    );
    return waits.length === 0 ? null : Math.min(...waits);
  }

  /**
   * Makes `pod` the owner of the device's group, or says why it cannot be: another one started first and PodResources shows it still,
   * or somebody has the group open. `holders` is a reading made just now.
   */
  async own(device: AdvertisedDevice, pod: string, holders: readonly PodHolder[]): Promise<string | null> {
    const group = device.iommuGroup;
    if (group === null) return null;
    const owner = this.#store.holder(group);
    if (owner === pod || this.#alone(group)) return null;
    const ids = new Set(this.#groups.get(group)?.map((entry) => entry.device.id));
    const others = holders.filter((holder) => podName(holder) !== pod && ids.has(holder.id));
    const still = others.find((holder) => podName(holder) === owner);
    if (still !== undefined) {
      return `IOMMU group ${group} of ${device.id} belongs to pod ${owner}, which has ${still.id} of it and started first`;
    }
    const user = owner === null && others.length === 0 ? null : this.#findGroupUser(group);
    if (user !== null) return `IOMMU group ${group} of ${device.id} is open for another pod: ${user}`;
    await this.#store.hold(group, pod);
    return null;
  }

  /** Nothing else of the group is offered, so nobody can come between: by far the most groups. */
  #alone(group: number): boolean {
    return (this.#groups.get(group)?.length ?? 0) < 2 && this.#store.holder(group) === null;
  }

  #claims(group: number): readonly Claim[] {
    const claims = new Map<string, Claim>();
    const members = this.#groups.get(group) ?? [];
    for (const { record, age } of this.#store.inUse()) {
      if (record.group !== group) continue;
      claims.set(`${record.resource}\n${record.id}`, { resource: record.resource, id: record.id, age, pod: null });
    }
    for (const holder of this.#pods) {
      if (!members.some(({ resource, device }) => resource === holder.resource && device.id === holder.id)) continue;
      const key = `${holder.resource}\n${holder.id}`;
      const age = claims.get(key)?.age ?? null;
      claims.set(key, { resource: holder.resource, id: holder.id, age, pod: podName(holder) });
    }
    return [...claims.values()];
  }

  #heldBy(group: number): string | null {
    const owner = this.#store.holder(group);
    if (owner === null) return null;
    const user = this.#findGroupUser(group);
    return `IOMMU group ${group} belongs to pod ${owner}${user === null ? '' : ` and is open still: ${user}`}`;
  }
}

/** `namespace/name`. */
export function podName({ namespace, pod }: PodHolder): string {
  return `${namespace}/${pod}`;
}

function describe({ id, age, pod }: Claim): string {
  const when = age === null ? '' : `, allocated ${Math.round(age / 1000)} s ago`;
  return `${id}${pod === null ? '' : ` of pod ${pod}`}${when}`;
}
