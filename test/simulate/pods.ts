// The pods of a simulated node: admitted and started by the kubelet stand-in, each then opens what it was given as QEMU does. Whatever a
// container is started with is compared with what the kernel has at that moment.
import type { DeviceSpec } from '../../src/simulation/kernel/spec.ts';
import type { ContainerConfig } from '../../src/simulation/kubelet/pod.ts';
import { isVfio, membersOf } from './watch.ts';
import type { Use } from './watch.ts';
import type { World } from './world.ts';

interface SimulatedPod {
  readonly name: string;
  /** Addresses it was given, by resource; empty until it was admitted. */
  given: ReadonlyMap<string, readonly string[]>;
  /** Who sat at each address when it was given. */
  readonly was: Map<string, DeviceSpec | undefined>;
  use: Use | null;
  process: { close(): void } | null;
  admitted: boolean;
}

/** All pods of one world. */
export class Pods {
  private readonly world: World;
  private readonly pods = new Map<string, SimulatedPod>();
  private count = 0;
  /** Counts boots of the machine: what kubelet was about to do in one is not done in the next. */
  private boots = 0;

  constructor(world: World) {
    this.world = world;
  }

  get names(): readonly string[] {
    return [...this.pods.values()].filter((pod) => pod.admitted).map((pod) => pod.name);
  }

  /** Admits a pod that wants `count` of the resource, and starts it. */
  create(resource: string, count: number): void {
    const { kubelet, watch, tally } = this.world;
    this.count += 1;
    const name = `pod-${this.count}`;
    const pod: SimulatedPod = { name, given: new Map(), was: new Map(), use: null, process: null, admitted: false };
    this.pods.set(name, pod);
    const spec = { namespace: 'default', name, containers: [{ name: 'main', limits: { [resource]: count } }] };
    const { boots } = this;
    kubelet.admit(spec).then(
      () => {
        if (this.pods.get(name) !== pod) return;
        pod.admitted = true;
        tally.add('podsAdmitted');
        // The kubelet that admitted it may have died since: what the pod was given is then read when it starts.
        if (!this.world.kubeletRuns) return;
        this.note(pod);
        if (boots !== this.boots) return;
        this.take(pod);
        this.start(name);
      },
      (error: unknown) => {
        this.pods.delete(name);
        this.world.say(`  ${name} was refused: ${text(error)}`);
        tally.add('podsRefused');
        if (!(error instanceof Error)) watch.violate(`admitting ${name} threw ${text(error)}`);
      },
    );
  }

  /** Starts the container, or starts it again; kubelet repeats the answer it has. */
  start(name: string): void {
    const pod = this.pods.get(name);
    if (pod === undefined || !pod.admitted || !this.world.kubeletRuns) return;
    this.stopProcess(pod);
    // A kubelet that has lost its checkpoint admits the pod anew; here that is another pod.
    if (this.world.kubelet.held('default', name).size === 0) return void this.remove(name);
    if (pod.given.size === 0) {
      this.note(pod);
      this.take(pod);
    }
    const { boots } = this;
    this.world.kubelet.startContainer('default', name, 'main').then(
      (config) => {
        if (this.pods.get(name) === pod && boots === this.boots) this.started(pod, config);
      },
      (error: unknown) => {
        this.world.tally.add('startsRefused');
        this.world.say(`  ${name} does not start: ${text(error)}`);
      },
    );
  }

  /** Ends a pod's process, then the pod. */
  async remove(name: string): Promise<void> {
    const pod = this.pods.get(name);
    if (pod === undefined) return;
    this.stopProcess(pod);
    this.pods.delete(name);
    if (pod.use !== null) this.world.watch.uses.delete(pod.use);
    await this.world.kubelet.deletePod('default', name).catch(() => undefined);
  }

  /** The machine went down: no container runs. Which pod has what, kubelet may still know. */
  allDown(): void {
    this.boots += 1;
    for (const pod of this.pods.values()) {
      pod.process = null;
      if (pod.use !== null) this.world.watch.uses.delete(pod.use);
      pod.use = null;
    }
  }

  /** What kubelet holds for a pod now. */
  private note(pod: SimulatedPod): void {
    pod.given = this.world.kubelet.held('default', pod.name);
    for (const address of [...pod.given.values()].flat()) pod.was.set(address, this.world.slots.get(address));
  }

  /** From now on it counts as using what it was given. */
  private take(pod: SimulatedPod): void {
    const { kubelet, watch } = this.world;
    const addresses = [...pod.given.values()].flat();
    const isOver = (): boolean => pod.process === null && kubelet.phase('default', pod.name)?.phase === 'Failed';
    pod.use = { ...watch.since(`${pod.name} has ${addresses.join(', ')}`), addresses, isOver };
    watch.uses.add(pod.use);
    this.world.say(`  ${pod.name} was given ${addresses.join(', ')}`);
  }

  private started(pod: SimulatedPod, config: ContainerConfig): void {
    const { kernel, watch, slots, tally } = this.world;
    tally.add('containersStarted');
    const snapshot = kernel.control.snapshot();
    const addresses = [...pod.given.values()].flat();
    // Pulled in the very moment of the start: then nothing is there to be opened.
    if (addresses.some((address) => watch.pulledAt.get(address) === this.world.clock.monotonic())) return;
    const named = Object.entries(config.envs).filter(([key]) => key.startsWith('PCI_RESOURCE_'));
    const told = named.flatMap(([, value]) => value.split(','));
    // With unit Group the id is a name: the address that it was made from may have left the group since.
    const functions = told.length === 0 ? addresses : told;
    const nodes = config.devices.map((device) => device.hostPath).filter((path) => /^\/dev\/vfio\/\d+$/.test(path));
    const wanted = new Set<string>();
    for (const address of functions) {
      const group = snapshot.groups[address];
      if (!isVfio(snapshot.drivers[address]))
        watch.violate(
          `${pod.name} was started with ${address}, which is on ${snapshot.drivers[address] ?? 'no driver'}`,
        );
      if (
        pod.was.get(address) !== undefined &&
        slots.has(address) &&
        describe(slots.get(address)) !== describe(pod.was.get(address))
      )
        watch.violate(`${pod.name} was started with ${address}, where another device is now`);
      wanted.add(`/dev/vfio/${group ?? ''}`);
    }
    if ([...wanted].sort().join() !== [...new Set(nodes)].sort().join())
      watch.violate(`${pod.name} was started with ${nodes.join(', ')}; what it was given is ${[...wanted].join(', ')}`);
    const there = addresses.every((address) => snapshot.drivers[address] !== undefined);
    if (there && told.some((address) => !addresses.some((one) => membersOf(snapshot, one).includes(address))))
      watch.violate(`${pod.name} was told ${told.join(', ')}; what it was given is ${addresses.join(', ')}`);
    const groups = new Set(addresses.map((address) => snapshot.groups[address]));
    for (const other of this.pods.values()) {
      if (other === pod || other.process === null) continue;
      const shared = [...other.given.values()].flat().find((address) => groups.has(snapshot.groups[address]));
      if (shared !== undefined) watch.violate(`${pod.name} and ${other.name} both run with the group of ${shared}`);
    }
    if (pod.use === null) {
      this.note(pod);
      this.take(pod);
    }
    this.openAll(pod, addresses);
  }

  private openAll(pod: SimulatedPod, addresses: readonly string[]): void {
    const { kernel, tally } = this.world;
    const snapshot = kernel.control.snapshot();
    const opened: { close(): void }[] = [];
    const groups = new Set(addresses.map((address) => snapshot.groups[address]));
    for (const group of groups) {
      const mine = addresses.filter((address) => snapshot.groups[address] === group);
      if (mine.some((address) => snapshot.drivers[address] === undefined)) continue;
      const holder = kernel.control.openDevice(mine, { command: `qemu-${pod.name}` });
      if ('close' in holder) {
        opened.push(holder);
        tally.add('devicesOpened');
      } else tally.add('opensRefused');
    }
    pod.process = { close: () => opened.forEach((one) => one.close()) };
  }

  private stopProcess(pod: SimulatedPod): void {
    pod.process?.close();
    pod.process = null;
  }
}

function describe(spec: DeviceSpec | undefined): string {
  return spec === undefined || !('vendor' in spec) ? '' : `${spec.vendor}:${spec.device} ${spec.class}`;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
