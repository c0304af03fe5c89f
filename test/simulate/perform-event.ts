// Makes events happen. Each finds for itself what it can be done to now; where there is nothing, nothing happens and nothing is counted.
import { call, devicePlugin } from '../../src/kubelet/contracts.ts';
import type { SimulatedEvent } from './event.ts';
import { Faults } from './fault-events.ts';
import { Hands } from './hands.ts';
import { Hardware, openFilesProof } from './hardware-events.ts';
import { Pods } from './pods.ts';
import { policyTemplates } from './policy-templates.ts';
import { isVfio, membersOf } from './watch.ts';
import type { Use } from './watch.ts';
import { pluginDirectory, stateDirectory } from './places.ts';
import type { World } from './world.ts';

/** What performs events on one world. */
export class Stage {
  readonly pods: Pods;
  private readonly world: World;
  private readonly hands: Hands;
  private readonly foreigners: { readonly use: Use; close(): void }[] = [];
  private readonly hardware: Hardware;
  private readonly faults: Faults;

  constructor(world: World) {
    this.world = world;
    this.pods = new Pods(world);
    this.hands = new Hands(world);
    this.hardware = new Hardware(world);
    this.faults = new Faults(world);
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
    world.disarm();
    for (const name of this.pods.names) await this.pods.remove(name);
    while (this.foreigners.length > 0) this.closeForeigner(0);
    this.faults.end();
    this.hardware.takeOutOfUse();
    for (const name of world.watch.policies) this.setPolicy(name, 0);
    this.hands.undo();
    if (!world.kubeletRuns) await this.startKubelet();
  }

  async startKubelet(): Promise<void> {
    const { world } = this;
    await world.kubelet.start();
    world.kubeletRuns = true;
  }

  private tell(event: SimulatedEvent, what: string | null): void {
    if (what !== null) this.done(event, what);
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
        world.removePolicy(name);
        return this.done(event, name);
      }
      case 'breakPolicy': {
        const name = some([...watch.policies]);
        if (name === null) return;
        world.spoilPolicy(name, event.what);
        return this.done(event, name);
      }
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
        if (address !== null && this.open(address, event)) this.done(event, address);
        return;
      }
      case 'ambush':
        if (event.what < 0.1) return;
        world.ambush((addresses) => this.spring(addresses, event));
        return;
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
      case 'unplug':
      case 'replug':
      case 'replugElsewhere':
      case 'replace':
      case 'mount':
      case 'unmount':
      case 'route':
      case 'unroute':
      case 'draw':
      case 'stopDrawing':
        return this.tell(event, this.hardware.perform(event));
      case 'hidePolicies':
      case 'disturbApi':
      case 'fillDisk':
      case 'readOnlyDisk':
      case 'failProbe':
      case 'lieProbe':
      case 'hangProbe':
      case 'failWrites':
      case 'failModprobe':
      case 'hangModprobe':
      case 'lieModprobe':
      case 'failVirtualFunctions':
      case 'slowKubelet':
      case 'hideProof':
      case 'failPodResources':
      case 'failRegister':
      case 'jumpClock':
        return this.tell(event, this.faults.perform(event));
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
      case 'secondAgent':
        if (!world.agentRuns || world.life?.agent === null) return;
        this.done(event, '');
        return world.startSecond();
      case 'unbindByHand':
      case 'bindByHand':
      case 'overrideByHand': {
        const address = some(
          present.filter((one) => !watch.critical.has(one) && !world.machine.critical.includes(one)),
        );
        if (address === null || [...watch.uses].some((use) => use.addresses.includes(address))) return;
        if (membersOf(snapshot, address).some((one) => watch.critical.has(one))) return;
        if (this.hands.perform(event.kind, address)) this.done(event, address);
        return;
      }
    }
  }

  /** Somebody opens the device or its group; says whether it could be opened. */
  private open(address: string, event: SimulatedEvent): boolean {
    const { watch, kernel, files } = this.world;
    const { control } = kernel;
    const addresses = membersOf(control.snapshot(), address);
    const options = { ...(event.what < 0.3 ? { letsGoAfter: 2_000 } : {}), passed: event.how < 0.4 };
    const holder = event.what < 0.6 ? control.openDevice(address, options) : control.openGroup(address);
    if (!('close' in holder)) return false;
    const open = `/proc/${holder.pid}/fd`;
    // A group that is open by its node alone and has no member on VFIO any more: only the list of open files shows that.
    const isUnseen = (): boolean =>
      event.what >= 0.6 &&
      this.faults.hides(openFilesProof) &&
      !addresses.some((one) => isVfio(control.snapshot().drivers[one]));
    const isOver = (): boolean => {
      const node = files.find(open);
      return node?.kind !== 'directory' || node.entries.size === 0 || isUnseen();
    };
    const use = { ...watch.since(`somebody has ${address} open`), addresses, isOver };
    watch.uses.add(use);
    this.foreigners.push({ use, close: () => holder.close() });
    return true;
  }

  /** Of the devices that are about to be written to one comes into use; in half of the cases what would prove that cannot be read. */
  private spring(addresses: readonly string[], event: SimulatedEvent): boolean {
    const { drivers } = this.world.kernel.control.snapshot();
    for (const address of addresses) {
      const driver = drivers[address];
      if (driver === undefined) continue;
      if (isVfio(driver)) {
        if (!this.open(address, event)) continue;
        // Who has the group's node alone open is not seen by anything else, nor is there a write that would wait for it.
        if (event.how < 0.5 && event.what < 0.6) this.faults.hide(openFilesProof, event);
        this.done(event, `${address} is opened`);
        return true;
      }
      const use = this.hardware.use(address);
      if (use === null) continue;
      if (event.how < 0.5) this.faults.hide(use.proof, event);
      this.done(event, use.what);
      return true;
    }
    return false;
  }

  private setPolicy(name: string, fraction: number): void {
    const versions = policyTemplates[name] ?? [];
    const spec = versions[Math.floor(fraction * versions.length)];
    if (spec === undefined) return;
    this.world.setPolicy(name, spec);
  }

  private closeForeigner(at: number): void {
    const [one] = this.foreigners.splice(at, 1);
    if (one === undefined) return;
    this.world.watch.uses.delete(one.use);
    one.close();
  }

  /** The machine goes down and comes up again. */
  private async down(event: SimulatedEvent, how: () => void): Promise<void> {
    const { world } = this;
    const { watch } = world;
    world.endLife('the machine went down', event.how * 10_000);
    world.endSeconds();
    this.faults.endHangs();
    this.pods.allDown();
    this.foreigners.splice(0);
    watch.uses.clear();
    watch.foreign.clear();
    watch.disturbed.clear();
    watch.replugged.clear();
    watch.begun.clear();
    watch.disturbances += 1;
    this.hardware.takeOutOfUse();
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
        if (!isVfio(driver))
          world.watch.violate(`Allocate of ${id} was answered while it is on ${driver ?? 'no driver'}`);
      },
      () => world.tally.add('stale ids refused'),
    );
  }
}
