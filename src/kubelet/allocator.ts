// Hands devices out: answers Allocate, GetPreferredAllocation and PreStartContainer for all resources of the node. Invariants: an answer
// is on disk before it is sent; it is checked against the host, not against our last scan alone; a container never starts with numbers
// that have become another device's. A refusal names the device and says why, since it lands in the pod's events.
import { buildAllocation, deviceNodes } from '../domain/allocation.ts';
import { cdiNames } from '../domain/cdi-spec.ts';
import type { Holder } from '../domain/ledger.ts';
import { preferDevices } from '../domain/preferred-allocation.ts';
import type { AdvertisedDevice, ResourcePool } from '../domain/resource-pool.ts';
import { endsWithin } from '../runtime/ends-within.ts';
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, Timer } from '../runtime/ports.ts';
import type { AllocationRecord } from './allocation-record.ts';
import type { AllocationStore } from './allocation-store.ts';
import type { CdiFiles, CdiOffer, CdiOutcome } from './cdi-files.ts';
import { compareCheckpoint, compareRecord } from './compare-answer.ts';
import type { DeviceHandlers } from './device-plugin-server.ts';
import { GroupSafety, podName } from './group-safety.ts';
import { readCheckpointedAnswers } from './kubelet-checkpoint.ts';
import type { ContainerAllocateResponse, ListedDevice } from './messages.ts';
import type { PodResourcesReading } from './pod-resources.ts';
import { GrpcError } from './ports.ts';
import type { FindGroupUser, VerifyDevice } from './ports.ts';

export interface AllocatorPorts {
  readonly files: Files;
  readonly clock: Clock;
  readonly store: AllocationStore;
  readonly cdi: CdiFiles;
  readonly verify: VerifyDevice;
  readonly findGroupUser: FindGroupUser;
  /** Asks kubelet now. */
  readonly readPods: () => Promise<PodResourcesReading>;
  /** Asks for a look at the host, which ends in `observeAfterLook`. */
  readonly lookAgain: () => void;
}

export interface AllocatorOptions {
  /** Where the host's root is seen, without a slash at its end; empty for `/` itself. */
  readonly hostRoot: string;
  /** Kubelet's plugin directory, where its checkpoint lies. */
  readonly pluginDirectory: string;
  readonly bootId: string | null;
  /** Hears when a list has changed without an `update`: a group was taken or came free. */
  readonly onChange: () => void;
}

/** For how long an Allocate waits for a look at the host that lets go of its group, in milliseconds. Kubelet admits no other pod meanwhile. */
const lookPatience = 3_000;

const cure = 'delete the pod, and a new one gets a device that fits';

/** The allocator of one node. */
export class Allocator {
  readonly #ports: AllocatorPorts;
  readonly #options: AllocatorOptions;
  readonly #groups: GroupSafety;
  #pools: ReadonlyMap<string, ResourcePool> = new Map();
  /** Every id ever offered, by resource: what is not in the pool but here was taken out. */
  readonly #offered = new Map<string, Set<string>>();
  #timer: Timer | null = null;
  #looked = Promise.withResolvers<void>();

  constructor(ports: AllocatorPorts, options: AllocatorOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#groups = new GroupSafety(ports.store, ports.findGroupUser);
  }

  /** Replaces the pools. What is not in them is refused from this moment on, also where kubelet still believes in it. */
  update(pools: readonly ResourcePool[]): void {
    this.#pools = new Map(pools.map((pool) => [pool.resource, pool]));
    this.#groups.update(pools);
    for (const { resource, devices } of pools) {
      const offered = this.#offered.get(resource) ?? new Set();
      for (const { id } of devices) offered.add(id);
      this.#offered.set(resource, offered);
    }
    this.#schedule();
  }

  /** Makes the CDI documents fit the pools as they are now. Allocate sees to its own; this one also removes what is over. */
  describe(): Promise<CdiOutcome> {
    return this.#ports.cdi.offer(this.#cdiOffer());
  }

  /** Takes a reading of PodResources over; an unreadable one changes nothing. */
  async observe(reading: PodResourcesReading): Promise<void> {
    if ('unreadable' in reading) return;
    await this.#groups.observe(reading.holders, reading.begun);
    this.#options.onChange();
  }

  /** The same, by a reading that a look at the host's processes has just preceded: only that lets go of groups. */
  async observeAfterLook(reading: PodResourcesReading): Promise<void> {
    if (!('unreadable' in reading)) {
      await this.#groups.observe(reading.holders, reading.begun);
      await this.#groups.free();
    }
    this.#looked.resolve();
    this.#looked = Promise.withResolvers();
    this.#options.onChange();
  }

  /** Whether no pod has any device of one of these groups any more, by what `observe` was told last. */
  isLetGo(groups: readonly number[]): boolean {
    return groups.some((group) => this.#groups.isLetGo(group));
  }

  /** Devices that count as used because they were allocated and no pod has let go of them yet: one entry per function. */
  recentHolders(): readonly Holder[] {
    // A boot ends every use; what was allocated before it must not keep a device from being bound before kubelet starts.
    const ofThisBoot = this.#ports.store.inUse().filter(({ record }) => record.bootId === this.#options.bootId);
    // By the clock and not by the age: what has not changed reads the same at every look.
    return ofThisBoot.flatMap(({ record }) =>
      record.functions.map(({ address }) => ({
        address,
        code: 'RecentlyAllocated' as const,
        who: `allocated as ${record.id} of ${record.resource} at ${new Date(record.at).toISOString()}`,
      })),
    );
  }

  /** What kubelet is told of a resource. */
  list(resource: string): readonly ListedDevice[] {
    const pool = this.#pools.get(resource);
    return (pool?.devices ?? []).map((device) => ({
      id: device.id,
      health: this.#unhealthy(pool, device) === null ? 'Healthy' : 'Unhealthy',
      numaNodes: device.numaNode === null ? [] : [device.numaNode],
    }));
  }

  /** The pools with the health that kubelet is told, and why. */
  told(pools: readonly ResourcePool[]): readonly ResourcePool[] {
    return pools.map((pool) => ({
      ...pool,
      devices: pool.devices.map((device) => {
        const unhealthyBecause = this.#unhealthy(pool, device);
        return { ...device, healthy: unhealthyBecause === null, unhealthyBecause };
      }),
    }));
  }

  handlers(resource: string): DeviceHandlers {
    return {
      prefer: ({ available, mustInclude, size }) => {
        const pool = this.#pools.get(resource);
        return pool === undefined ? available.slice(0, size) : preferDevices(pool, available, mustInclude, size);
      },
      allocate: (ids) => this.#allocate(resource, ids),
      preStart: (ids) => this.#preStart(resource, ids),
    };
  }

  async #allocate(resource: string, ids: readonly string[]): Promise<ContainerAllocateResponse> {
    await this.#refreshGroups(resource, ids);
    await this.#describe(resource, ids);
    // Nothing below waits until the record is in force: two Allocates for one group see each other.
    const { pool, devices } = this.#require(resource, ids);
    for (const device of devices) this.#check(pool, device);
    const answer = buildAllocation(pool, devices);
    if ('missing' in answer) throw refuse(`${answer.missing}; the policy asks for ${pool.deviceNodes}`);
    const named = pool.cdi ? cdiNames(resource, devices) : { names: [] };
    if ('missing' in named) throw refuse(named.missing);
    // A name brings the nodes along; both would put each node into the container twice.
    const nodes = pool.cdi ? [] : answer.nodes;
    await this.#ports.store.record(devices.map((device) => this.#toRecord(pool, ids, device)));
    this.#schedule();
    return {
      envs: answer.environment,
      mounts: [],
      devices: nodes.map(({ path, permissions }) => ({ containerPath: path, hostPath: path, permissions })),
      annotations: {},
      cdiDevices: named.names,
    };
  }

  /** Asks kubelet again before an Allocate is refused over a group: the pod that had it may be gone since the last look. */
  async #refreshGroups(resource: string, ids: readonly string[]): Promise<void> {
    const { pool, devices } = this.#require(resource, ids);
    if (pool.unit !== 'Function') return;
    const refused = (): readonly AdvertisedDevice[] =>
      devices.filter((device) => this.#groups.refuse(resource, device) !== null);
    if (refused().length === 0) return;
    await this.observe(await this.#ports.readPods());
    // No pod has them any more, as kubelet says. That nobody has them open is for a look to tell.
    const { clock } = this.#ports;
    const end = clock.monotonic() + lookPatience;
    for (let left = lookPatience; left > 0; left = end - clock.monotonic()) {
      const groups = refused().flatMap(({ iommuGroup }) => iommuGroup ?? []);
      if (groups.length === 0 || !groups.every((group) => this.#groups.isLetGo(group))) return;
      const looked = this.#looked.promise;
      this.#ports.lookAgain();
      await endsWithin(looked, clock, left);
    }
  }

  /** Has the document on disk that names the devices: the runtime looks it up as soon as kubelet has our answer. */
  async #describe(resource: string, ids: readonly string[]): Promise<void> {
    if (this.#pools.get(resource)?.cdi !== true) return;
    const problem = await this.#ports.cdi.ensure(resource, this.#cdiOffer());
    if (problem !== null) throw refuse(`${ids.join(', ')}: ${problem}`);
  }

  #cdiOffer(): CdiOffer {
    const inUse = this.#ports.store.inUse().map(({ record }) => record.resource);
    return { pools: [...this.#pools.values()], inUse: new Set(inUse) };
  }

  async #preStart(resource: string, ids: readonly string[]): Promise<void> {
    await this.#describe(resource, ids);
    const { pool, devices } = this.#require(resource, ids);
    for (const device of devices) this.#verify(pool, device);
    this.#compare(pool, ids, devices);
    if (pool.unit === 'Function') await this.#own(pool, devices);
  }

  /** Holds the devices now against what was answered when they were allocated. */
  #compare(pool: ResourcePool, ids: readonly string[], devices: readonly AdvertisedDevice[]): void {
    const { store, files } = this.#ports;
    const unrecorded: AdvertisedDevice[] = [];
    for (const device of devices) {
      const record = store.find(pool.resource, device.id);
      const difference = record === null ? null : compareRecord(record, device);
      if (record === null) unrecorded.push(device);
      if (difference !== null) throw refuse(`${difference}; ${cure}`);
    }
    if (unrecorded.length === 0) return;
    const [first] = unrecorded;
    const kept = readCheckpointedAnswers(files, this.#options.pluginDirectory).filter(
      (entry) => entry.resource === pool.resource && entry.ids.some((id) => ids.includes(id)),
    );
    if (kept.length === 0) {
      throw refuse(`nothing is known of how ${first?.id} was allocated, so it may be another device now; ${cure}`);
    }
    for (const entry of kept) {
      const difference = compareCheckpoint(pool, entry, this.#require(pool.resource, entry.ids).devices);
      if (difference !== null) throw refuse(`${difference}; ${cure}`);
    }
  }

  async #own(pool: ResourcePool, devices: readonly AdvertisedDevice[]): Promise<void> {
    const reading = await this.#ports.readPods();
    if ('unreadable' in reading) {
      throw refuse(
        `which pod has ${devices.map((device) => device.id).join(', ')} is not known: ${reading.unreadable}`,
      );
    }
    for (const device of devices) {
      const holder = reading.holders.find(({ resource, id }) => resource === pool.resource && id === device.id);
      if (holder === undefined) throw refuse(`PodResources shows no pod that has ${device.id} of ${pool.resource}`);
      const refusal = await this.#groups.own(device, podName(holder), reading.holders);
      if (refusal !== null) throw refuse(`${refusal}; ${cure}`);
    }
    await this.observe(reading);
  }

  #require(resource: string, ids: readonly string[]): { pool: ResourcePool; devices: readonly AdvertisedDevice[] } {
    const pool = this.#pools.get(resource);
    if (pool === undefined) throw refuse(`${ids.join(', ')}: ${resource} is not offered on this node any more`);
    const devices = ids.map((id) => {
      const device = pool.devices.find((candidate) => candidate.id === id);
      if (device !== undefined) return device;
      const before = this.#offered.get(resource)?.has(id) === true;
      throw refuse(before ? `${id} is not offered as ${resource} any more` : `${id} is no device of ${resource}`);
    });
    return { pool, devices };
  }

  #check(pool: ResourcePool, device: AdvertisedDevice): void {
    if (!device.healthy) throw refuse(`${device.id} is unhealthy: ${device.unhealthyBecause ?? 'no reason is known'}`);
    const taken = pool.unit === 'Function' ? this.#groups.refuse(pool.resource, device) : null;
    if (taken !== null) throw refuse(taken);
    this.#verify(pool, device);
  }

  /** Asks the host: driver link and group of every function, and the nodes that the container is to get. */
  #verify(pool: ResourcePool, device: AdvertisedDevice): void {
    for (const fn of device.functions) {
      const difference = this.#ports.verify(fn, device);
      if (difference !== null) throw refuse(difference);
    }
    const found = deviceNodes(device, pool.deviceNodes);
    if ('missing' in found) throw refuse(`${found.missing}; the policy asks for ${pool.deviceNodes}`);
    for (const { path } of found.nodes) {
      const why = this.#nodeMissing(path);
      if (why !== null) throw refuse(`${device.id} needs ${path}: ${why}`);
    }
  }

  #nodeMissing(path: string): string | null {
    try {
      const { kind } = this.#ports.files.stat(`${this.#options.hostRoot}${path}`);
      return kind === 'char' ? null : `it is no device node but a ${kind}`;
    } catch (error) {
      if (error instanceof FileError) return error.message;
      throw error;
    }
  }

  #unhealthy(pool: ResourcePool | undefined, device: AdvertisedDevice): string | null {
    if (!device.healthy) return device.unhealthyBecause ?? 'no reason is known';
    return pool?.unit === 'Function' ? this.#groups.withdrawn(pool.resource, device) : null;
  }

  #toRecord(pool: ResourcePool, ids: readonly string[], device: AdvertisedDevice): AllocationRecord {
    return {
      resource: pool.resource,
      id: device.id,
      ids,
      group: device.iommuGroup,
      groupNode: device.groupNode,
      functions: device.functions.map(({ address, driver, vfioDevice }) => ({ address, driver, cdev: vfioDevice })),
      bootId: this.#options.bootId,
      at: this.#ports.clock.now(),
    };
  }

  /** Wakes up when a group's provisional time is over, to withdraw its siblings. */
  #schedule(): void {
    this.#timer?.cancel();
    const wait = this.#groups.nextChange();
    this.#timer =
      wait === null
        ? null
        : this.#ports.clock.after(wait, () => {
            this.#options.onChange();
            this.#schedule();
          });
  }
}

// Kubelet fails the pod on any code; this one says that asking again alone does not help.
function refuse(sentence: string): GrpcError {
  return new GrpcError('FailedPrecondition', sentence);
}
