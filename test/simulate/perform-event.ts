// Makes events happen. Each finds for itself what it can be done to now; where there is nothing, nothing happens and nothing is counted.
import { call, devicePlugin } from '../../src/kubelet/contracts.ts';
import { GrpcError } from '../../src/kubelet/ports.ts';
import type { ChildSpec, PciSpec } from '../../src/simulation/kernel/spec.ts';
import type { SimulatedEvent } from './event.ts';
import { Hands } from './hands.ts';
import { Pods } from './pods.ts';
import { policyTemplates, policyText } from './policy-templates.ts';
import { isVfio, membersOf } from './watch.ts';
import type { Use } from './watch.ts';
import { pluginDirectory, policyDirectory, stateDirectory } from './world.ts';
import type { World } from './world.ts';

const proofSources = [
  /^\/proc\/1\/mountinfo$/,
  /^\/proc\/1\/net\/route$/,
  /^\/proc\/1\/net\/ipv6_route$/,
  /^\/proc\/1\/net\/fib_trie$/,
  /^\/proc\/swaps$/,
  /^\/run\/udev\/data/,
  /^\/proc\/\d+\/fd$/,
  /^\/proc\/fb$/,
];
const writing = new Set(['write', 'fsync', 'rename', 'mkdir', 'link', 'ftruncate', 'unlink']);

/** What performs events on one world. */
export class Stage {
  readonly pods: Pods;
  private readonly world: World;
  private readonly hands: Hands;
  private readonly foreigners: { readonly use: Use; close(): void }[] = [];
  private readonly pulled: PciSpec[] = [];
  private readonly mounts = new Map<string, string>();
  private readonly routes = new Map<string, string>();

  constructor(world: World) {
    this.world = world;
    this.pods = new Pods(world);
    this.hands = new Hands(world);
  }

  /** Performs it now or arms it; says whether there was something to do. */
  async perform(event: SimulatedEvent): Promise<void> {
    const { world } = this;
    if (event.atCall === null || !world.agentRuns) return this.now(event);
    world.arm(event.atCall, () => {
      if (event.kind === 'kill') {
        this.done(event, 'at a call of its ports');
        world.restartAt = world.clock.monotonic() + Math.floor(event.how * 15_000);
        return event.what < 0.5 ? 'killedBefore' : 'killedAfter';
      }
      void this.now(event);
      return 'live';
    });
  }

  /** Takes all faults away and gives every device free. */
  async calm(): Promise<void> {
    const { world } = this;
    const { control } = world.kernel;
    world.disarm();
    for (const name of this.pods.names) await this.pods.remove(name);
    while (this.foreigners.length > 0) this.closeForeigner(0);
    world.fileFaults.clear();
    world.failingWrites = null;
    world.failingModprobe = false;
    world.kubelet.faults.podResources = null;
    world.kubelet.faults.register = null;
    for (const address of world.machine.addresses) {
      control.failProbe(address, null);
      control.failProbe(address, null, 'vfio-pci');
    }
    for (const module of vfioModuleNames) control.hangModule(module, false);
    for (const address of this.mounts.keys()) this.unmount(address);
    for (const address of this.routes.keys()) this.unroute(address);
    for (const name of [...world.watch.policies]) this.setPolicy(name, 0);
    this.hands.undo();
    if (!world.kubeletRuns) await this.startKubelet();
  }

  async startKubelet(): Promise<void> {
    const { world } = this;
    await world.kubelet.start();
    world.kubeletRuns = true;
  }

  private done(event: SimulatedEvent, what: string): void {
    this.world.tally.add(`event ${event.kind}`);
    this.world.tally.add('events');
    this.world.say(`${event.kind} ${what}`);
  }

  private async now(event: SimulatedEvent): Promise<void> {
    const { world } = this;
    const { watch, kernel, files, kubelet } = world;
    const { control } = kernel;
    const snapshot = control.snapshot();
    const present = world.machine.addresses.filter((address) => snapshot.drivers[address] !== undefined);
    const some = <Item>(items: readonly Item[]): Item | null => items[Math.floor(event.which * items.length)] ?? null;
    const fault = (name: string, seconds: number, end: () => void): void => {
      world.clock.after(1_000 + event.how * seconds * 1_000, () => {
        end();
        world.say(`${name} is over`);
      });
    };
    switch (event.kind) {
      case 'wait':
        return this.done(event, '');
      case 'setPolicy': {
        const name = some(Object.keys(policyTemplates));
        if (name === null) return;
        this.setPolicy(name, event.what);
        return this.done(event, name);
      }
      case 'removePolicy': {
        const name = some([...watch.policies]);
        if (name === null) return;
        files.drop(`${policyDirectory}/${name}.yaml`);
        watch.policies.delete(name);
        watch.policiesMoved();
        return this.done(event, name);
      }
      case 'breakPolicy': {
        const name = some([...watch.policies]);
        if (name === null) return;
        files.put(`${policyDirectory}/${name}.yaml`, event.what < 0.5 ? 'spec: [' : '{"kind": "VfioPolicy"}');
        return this.done(event, name);
      }
      case 'hidePolicies':
        world.fileFaults.set('policies', (operation, path) =>
          path === policyDirectory && operation === 'scandir' ? (event.what < 0.5 ? 'EACCES' : 'ENOENT') : null,
        );
        fault('the policies are hidden', 60, () => {
          world.fileFaults.delete('policies');
          watch.policiesSince = world.clock.monotonic();
        });
        return this.done(event, '');
      case 'createPod': {
        if (!world.kubeletRuns) return;
        const resources = [...kubelet.resources()].filter(([, count]) => count.allocatable > 0);
        const resource = some(resources);
        if (resource === null) return;
        this.pods.create(resource[0], event.what < 0.8 ? 1 : 2);
        return this.done(event, resource[0]);
      }
      case 'deletePod': {
        const name = some(this.pods.names);
        if (name === null || !world.kubeletRuns) return;
        this.done(event, name);
        return void this.pods.remove(name);
      }
      case 'restartContainer': {
        const name = some(this.pods.names);
        if (name === null) return;
        this.done(event, name);
        return this.pods.start(name);
      }
      case 'openByForeigner': {
        const address = some(present.filter((one) => isVfio(snapshot.drivers[one])));
        if (address === null) return;
        const options = event.what < 0.3 ? { letsGoAfter: 2_000 } : {};
        const holder = event.what < 0.6 ? control.openDevice(address, options) : control.openGroup(address);
        if (!('close' in holder)) return;
        const addresses = membersOf(snapshot, address);
        const open = `/proc/${holder.pid}/fd`;
        const isOver = (): boolean => {
          const node = files.find(open);
          return node?.kind !== 'directory' || node.entries.size === 0;
        };
        const use = { ...watch.since(`somebody has ${address} open`), addresses, isOver };
        watch.uses.add(use);
        this.foreigners.push({ use, close: () => holder.close() });
        return this.done(event, address);
      }
      case 'closeByForeigner': {
        if (this.foreigners.length === 0) return;
        this.done(event, '');
        return this.closeForeigner(Math.floor(event.which * this.foreigners.length));
      }
      case 'kill':
        if (!world.agentRuns) return;
        this.done(event, 'between its steps');
        return world.endLife('it was killed', event.how * 15_000);
      case 'stopAgent': {
        const { life } = world;
        if (life === null || life.agent === null || !life.process.alive) return;
        this.done(event, '');
        const ended = (): void => {
          if (world.life === life) world.endLife('it was stopped', event.how * 5_000);
        };
        // What cannot be let go because the disk is full is what a crash leaves too.
        life.agent.stop().then(ended, ended);
        return;
      }
      case 'powerCut':
        this.done(event, '');
        return this.down(event, () => control.powerCut(world.random));
      case 'reboot':
        this.done(event, '');
        return this.down(event, () => control.reboot());
      case 'rebootWithoutJournal':
        this.done(event, '');
        return this.down(event, () => {
          control.reboot();
          files.drop(stateDirectory);
        });
      case 'fillDisk':
      case 'readOnlyDisk': {
        const errno = event.kind === 'fillDisk' ? 'ENOSPC' : 'EROFS';
        world.fileFaults.set('disk', (operation, path) => {
          if (!path.startsWith(stateDirectory) || !writing.has(operation)) return null;
          world.tally.add(`${errno} answers`);
          return operation === 'write' && errno === 'ENOSPC' ? { errno, written: Math.floor(event.what * 200) } : errno;
        });
        fault('the disk fault', 40, () => world.fileFaults.delete('disk'));
        return this.done(event, '');
      }
      case 'failProbe':
      case 'lieProbe':
      case 'hangProbe': {
        const address = some(world.machine.addresses);
        if (address === null) return;
        const kind = event.kind === 'failProbe' ? { errno: 'EIO' } : event.kind === 'lieProbe' ? 'lie' : 'hang';
        const driver = event.what < 0.6 ? 'vfio-pci' : '*';
        control.failProbe(address, kind, driver);
        if (driver === '*') watch.bare.add(address);
        watch.disturbances += 1;
        // Half of what hangs does so past the deadline of a write.
        const seconds = event.kind === 'hangProbe' && event.how > 0.4 ? 200 : 40;
        fault(`the fault of ${address}`, seconds, () => control.failProbe(address, null, driver));
        return this.done(event, `${address} on ${driver}`);
      }
      case 'failWrites':
        world.failingWrites = { left: 1 + Math.floor(event.what * 3), errno: event.how < 0.5 ? 'EIO' : 'ENODEV' };
        watch.disturbances += 1;
        return this.done(event, '');
      case 'failModprobe':
        world.failingModprobe = true;
        fault('modprobe fails', 20, () => (world.failingModprobe = false));
        return this.done(event, '');
      case 'hangModprobe': {
        const module = some(vfioModuleNames);
        if (module === null) return;
        control.hangModule(module, true);
        fault(`loading ${module} hangs`, 150, () => control.hangModule(module, false));
        return this.done(event, module);
      }
      case 'unplug': {
        const address = some(present.filter((one) => !this.world.machine.critical.includes(one)));
        if (address === null || this.mounts.has(address) || this.routes.has(address)) return;
        this.done(event, address);
        this.unplug(address);
        return;
      }
      case 'replug': {
        const spec = some(this.pulled);
        if (spec === null || snapshot.drivers[spec.address] !== undefined) return;
        this.done(event, spec.address);
        return this.plug(spec, spec);
      }
      case 'replugElsewhere': {
        const spec = some(this.pulled);
        if (spec === null || event.what < 0.1) return;
        const address = `${spec.address.slice(0, 8)}1${Math.floor(event.what * 8)}.0`;
        if (world.slots.has(address) || snapshot.drivers[address] !== undefined) return;
        this.done(event, `${spec.address} at ${address}`);
        return this.plug({ ...spec, address, group: event.how < 0.5 ? `group moved ${address}` : (spec.group ?? null) }, spec);
      }
      case 'replace': {
        const spec = some(this.pulled);
        if (spec === null || snapshot.drivers[spec.address] !== undefined) return;
        this.done(event, spec.address);
        const { children: _, sriov: __, ...plain } = spec;
        return this.plug({ ...plain, vendor: '1234', device: '11e8', class: '00ff00' }, spec);
      }
      case 'mount': {
        const found = some(
          present.flatMap((address) => {
            const block = blockOf(world.slots.get(address));
            const free = snapshot.drivers[address] === 'nvme' && !this.mounts.has(address);
            return block === null || !free ? [] : [{ address, block }];
          }),
        );
        if (found === null || world.machine.critical.includes(found.address)) return;
        const target = `/mnt/${found.block.name}`;
        control.mount({ number: found.block.number, source: `/dev/${found.block.name}`, target, type: 'xfs' });
        this.mounts.set(found.address, target);
        watch.critical.set(found.address, watch.since(`${found.block.name} is mounted on ${target}`));
        watch.disturbances += 1;
        return this.done(event, `${found.address} on ${target}`);
      }
      case 'unmount': {
        const address = some([...this.mounts.keys()]);
        if (address === null) return;
        this.unmount(address);
        return this.done(event, address);
      }
      case 'route': {
        const found = some(
          present.flatMap((address) => {
            const name = interfaceOf(world.slots.get(address));
            const driver = snapshot.drivers[address] ?? null;
            return name === null || driver === null || isVfio(driver) || this.routes.has(address) ? [] : [{ address, name }];
          }),
        );
        if (found === null) return;
        this.routes.set(found.address, found.name);
        this.setRoutes();
        watch.critical.set(found.address, watch.since(`${found.name} has a default route`));
        watch.disturbances += 1;
        return this.done(event, `${found.address} by ${found.name}`);
      }
      case 'unroute': {
        const address = some([...this.routes.keys()]);
        if (address === null) return;
        this.unroute(address);
        return this.done(event, address);
      }
      case 'hideProof': {
        const source = some(proofSources);
        if (source === null) return;
        const errno = event.what < 0.5 ? 'EACCES' : 'ENOENT';
        world.fileFaults.set('proof', (_operation, path) => {
          if (!source.test(path)) return null;
          world.tally.add('proofs not to be read');
          return errno;
        });
        watch.disturbances += 1;
        fault(`${source.source} is hidden`, 30, () => world.fileFaults.delete('proof'));
        return this.done(event, `${source.source} ${errno}`);
      }
      case 'restartKubelet':
        if (!world.kubeletRuns) return;
        this.done(event, '');
        await world.kubelet.restart();
        return;
      case 'stopKubelet':
        if (!world.kubeletRuns) return;
        this.done(event, '');
        return this.stopKubelet(event.how * 30_000);
      case 'forgetPlugin': {
        if (!world.kubeletRuns) return;
        const resource = some([...kubelet.resources().keys()]);
        if (resource === null) return;
        this.done(event, resource);
        return kubelet.cutStream(resource);
      }
      case 'staleAllocate': {
        const resource = world.kubeletRuns ? some([...kubelet.resources().keys()]) : null;
        const socket = resource === null ? null : kubelet.socket(resource);
        const id = some(world.machine.addresses);
        if (socket === null || id === null) return;
        this.done(event, `${id} of ${resource ?? ''}`);
        return this.askStale(socket, id);
      }
      case 'failPodResources':
        kubelet.faults.podResources = new GrpcError('Internal', 'the pod cache is not ready');
        fault('PodResources fails', 30, () => (kubelet.faults.podResources = null));
        return this.done(event, '');
      case 'failRegister':
        kubelet.faults.register = new GrpcError('Unavailable', 'not yet');
        fault('Register fails', 20, () => (kubelet.faults.register = null));
        return this.done(event, '');
      case 'jumpClock': {
        const by = Math.round((event.what - 0.5) * 2 * 86_400_000);
        world.clock.jump(by);
        return this.done(event, `by ${by} ms`);
      }
      case 'unbindByHand':
      case 'bindByHand':
      case 'overrideByHand': {
        const address = some(present.filter((one) => !watch.critical.has(one) && !world.machine.critical.includes(one)));
        if (address === null || [...watch.uses].some((use) => use.addresses.includes(address))) return;
        if (membersOf(snapshot, address).some((one) => watch.critical.has(one))) return;
        if (this.hands.perform(event.kind, address)) this.done(event, address);
        return;
      }
    }
  }

  private setPolicy(name: string, fraction: number): void {
    const { files, watch } = this.world;
    const versions = policyTemplates[name] ?? [];
    const spec = versions[Math.floor(fraction * versions.length)];
    if (spec === undefined) return;
    files.put(`${policyDirectory}/${name}.yaml`, policyText(name, spec));
    watch.policies.add(name);
    watch.policiesMoved();
  }

  private closeForeigner(at: number): void {
    const [one] = this.foreigners.splice(at, 1);
    if (one === undefined) return;
    this.world.watch.uses.delete(one.use);
    one.close();
  }

  private unplug(address: string): void {
    const { world } = this;
    const spec = world.slots.get(address);
    if (spec === undefined || !('vendor' in spec)) return;
    world.slots.delete(address);
    world.watch.disturbances += 1;
    this.pulled.push(spec);
    world.kernel.control.unplug(address);
  }

  private plug(spec: PciSpec, was: PciSpec): void {
    const { world } = this;
    this.pulled.splice(this.pulled.indexOf(was), 1);
    world.watch.replugged.add(spec.address);
    world.slots.set(spec.address, spec);
    world.watch.disturbances += 1;
    world.watch.foreign.delete(spec.address);
    world.kernel.control.plug(spec);
    // Beside an open group the kernel gives it to no host driver.
    if ((world.kernel.control.snapshot().drivers[spec.address] ?? null) === null) world.watch.bare.add(spec.address);
  }

  private unmount(address: string): void {
    this.world.kernel.control.unmount(this.mounts.get(address) ?? '');
    this.mounts.delete(address);
    this.world.watch.critical.delete(address);
    this.world.watch.disturbances += 1;
  }

  private unroute(address: string): void {
    this.routes.delete(address);
    this.setRoutes();
    this.world.watch.critical.delete(address);
    this.world.watch.disturbances += 1;
  }

  private setRoutes(): void {
    const own = this.world.machine.spec.routes ?? [];
    const added = [...this.routes.values()].map((name) => ({ ...own[0], family: 4 as const, destination: 'default', interface: name }));
    this.world.kernel.control.setRoutes([...own, ...added]);
  }

  /** The machine goes down and comes up again. */
  private async down(event: SimulatedEvent, how: () => void): Promise<void> {
    const { world } = this;
    const { watch, kernel } = world;
    world.endLife('the machine went down', event.how * 10_000);
    for (const module of vfioModuleNames) kernel.control.hangModule(module, false);
    this.pods.allDown();
    this.foreigners.splice(0);
    watch.uses.clear();
    watch.foreign.clear();
    watch.disturbed.clear();
    watch.replugged.clear();
    watch.disturbances += 1;
    for (const address of [...this.mounts.keys()]) this.unmount(address);
    for (const address of [...this.routes.keys()]) this.unroute(address);
    how();
    this.hands.forget();
    if (world.kubeletRuns) this.stopKubelet(1_000 + event.which * 10_000);
  }

  private stopKubelet(milliseconds: number): void {
    const { world } = this;
    world.kubeletRuns = false;
    void world.kubelet.stop().catch(() => undefined);
    world.clock.after(milliseconds, () => {
      if (!world.kubeletRuns) void this.startKubelet().then(() => world.say('kubelet is back'));
    });
  }

  private askStale(socket: string, id: string): void {
    const { world } = this;
    const channel = world.grpc.connect(`${pluginDirectory}/${socket}`);
    call(channel, devicePlugin.allocate, { containerRequests: [[id]] }, 10_000).then(
      () => {
        world.tally.add('stale ids answered');
        const driver = world.kernel.control.snapshot().drivers[id];
        if (!isVfio(driver)) world.watch.violate(`Allocate of ${id} was answered while it is on ${driver ?? 'no driver'}`);
      },
      () => world.tally.add('stale ids refused'),
    );
  }
}

const vfioModuleNames = ['vfio_pci', 'mlx5_vfio_pci', 'nvgrace_gpu_vfio_pci', 'e1000e_vfio_pci'];

function childrenOf(spec: unknown): readonly ChildSpec[] {
  return (spec as { readonly children?: readonly ChildSpec[] } | undefined)?.children ?? [];
}

function blockOf(spec: unknown): { readonly name: string; readonly number: string } | null {
  const disk = childrenOf(spec).find((child) => child.kind === 'nvme');
  return disk?.kind === 'nvme' ? (disk.namespaces[0] ?? null) : null;
}

function interfaceOf(spec: unknown): string | null {
  const net = childrenOf(spec).find((child) => child.kind === 'net');
  return net?.kind === 'net' ? net.name : null;
}
