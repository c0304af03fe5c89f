// What happens to a machine's hardware and to its use by the host itself: devices are pulled, plugged in again, elsewhere or another in
// their place; disks are mounted, interfaces get default routes.
import type { ChildSpec, PciSpec } from '../../src/simulation/kernel/spec.ts';
import type { SimulatedEvent } from './event.ts';
import { isVfio } from './watch.ts';
import type { World } from './world.ts';

/** A use by the host. */
export interface HostUse {
  readonly what: string;
  /** The files that show it, and nothing else does. */
  readonly proof: RegExp;
}

/** What processes have open. */
export const openFilesProof = /^\/proc\/\d+\/fd$/;

/** The hardware of one world. */
export class Hardware {
  private readonly world: World;
  private readonly pulled: PciSpec[] = [];
  /** Who had a group number last, by address. */
  private readonly hadNumber = new Map<number, string>();
  private readonly mounts = new Map<string, string>();
  private readonly routes = new Map<string, string>();
  /** Processes that draw, by address. */
  private readonly drawn = new Map<string, { close(): void }>();

  constructor(world: World) {
    this.world = world;
  }

  /** Nothing that was mounted or routed is so any more. */
  takeOutOfUse(): void {
    for (const address of this.mounts.keys()) this.unmount(address);
    for (const address of this.routes.keys()) this.unroute(address);
    for (const address of this.drawn.keys()) this.stopDrawing(address);
  }

  /** Performs it; what was done, or null where there was nothing to do. */
  perform(event: SimulatedEvent): string | null {
    const { world } = this;
    const { kernel } = world;
    const { control } = kernel;
    const snapshot = control.snapshot();
    const present = world.machine.addresses.filter((address) => snapshot.drivers[address] !== undefined);
    const some = <Item>(items: readonly Item[]): Item | null => items[Math.floor(event.which * items.length)] ?? null;
    switch (event.kind) {
      case 'unplug': {
        const address = some(present.filter((one) => !this.world.machine.critical.includes(one)));
        if (address === null || this.mounts.has(address) || this.routes.has(address) || this.drawn.has(address))
          return null;
        this.unplug(address);
        return address;
      }
      case 'replug': {
        const spec = some(this.pulled);
        if (spec === null || snapshot.drivers[spec.address] !== undefined) return null;
        this.plug(spec, spec);
        return spec.address;
      }
      case 'replugElsewhere': {
        const spec = some(this.pulled);
        if (spec === null || event.what < 0.1) return null;
        const address = `${spec.address.slice(0, 8)}1${Math.floor(event.what * 8)}.0`;
        if (world.slots.has(address) || snapshot.drivers[address] !== undefined) return null;
        this.plug({ ...spec, address, group: event.how < 0.5 ? `group moved ${address}` : (spec.group ?? null) }, spec);
        return `${spec.address} at ${address}`;
      }
      case 'replace': {
        const spec = some(this.pulled);
        if (spec === null || snapshot.drivers[spec.address] !== undefined) return null;
        const { children: _, sriov: __, ...plain } = spec;
        this.plug({ ...plain, vendor: '1234', device: '11e8', class: '00ff00' }, spec);
        return spec.address;
      }
      case 'mount': {
        const address = some(present.filter((one) => this.diskOf(one) !== null));
        return address === null ? null : (this.mount(address)?.what ?? null);
      }
      case 'unmount': {
        const address = some([...this.mounts.keys()]);
        if (address === null) return null;
        this.unmount(address);
        return address;
      }
      case 'route': {
        const address = some(present.filter((one) => this.linkOf(one) !== null));
        return address === null ? null : (this.route(address)?.what ?? null);
      }
      case 'unroute': {
        const address = some([...this.routes.keys()]);
        if (address === null) return null;
        this.unroute(address);
        return address;
      }
      case 'draw': {
        const address = some(present.filter((one) => cardOf(world.slots.get(one)) !== null));
        return address === null ? null : (this.draw(address)?.what ?? null);
      }
      case 'stopDrawing': {
        const address = some([...this.drawn.keys()]);
        if (address === null) return null;
        this.stopDrawing(address);
        return address;
      }
      default:
        return null;
    }
  }

  /** The host begins to use the device, as a disk, as its way out or to draw with; null where it can be none of these now. */
  use(address: string): HostUse | null {
    return this.mount(address) ?? this.route(address) ?? this.draw(address);
  }

  /** What a device that works as a disk can be mounted by. */
  private diskOf(address: string): ReturnType<typeof blockOf> {
    const { watch, kernel, slots } = this.world;
    const free = kernel.control.snapshot().drivers[address] === 'nvme' && !this.mounts.has(address);
    return free && !watch.isInFlux(address) ? blockOf(slots.get(address)) : null;
  }

  /** The name of a device that works as a network interface. */
  private linkOf(address: string): string | null {
    const { watch, kernel, slots } = this.world;
    const driver = kernel.control.snapshot().drivers[address] ?? null;
    const free = driver !== null && !isVfio(driver) && !this.routes.has(address);
    return free && !watch.isInFlux(address) ? interfaceOf(slots.get(address)) : null;
  }

  private mount(address: string): HostUse | null {
    const { world } = this;
    const { watch } = world;
    const block = this.diskOf(address);
    if (block === null || world.machine.critical.includes(address)) return null;
    const target = `/mnt/${block.name}`;
    world.kernel.control.mount({ number: block.number, source: `/dev/${block.name}`, target, type: 'xfs' });
    this.mounts.set(address, target);
    watch.critical.set(address, watch.since(`${block.name} is mounted on ${target}`));
    watch.disturbances += 1;
    return { what: `${address} on ${target}`, proof: /^\/proc\/\d+\/mountinfo$/ };
  }

  private route(address: string): HostUse | null {
    const { watch } = this.world;
    const name = this.linkOf(address);
    if (name === null) return null;
    this.routes.set(address, name);
    this.setRoutes();
    watch.critical.set(address, watch.since(`${name} has a default route`));
    watch.disturbances += 1;
    return { what: `${address} by ${name}`, proof: /^\/proc\/1\/net\/route$/ };
  }

  private draw(address: string): HostUse | null {
    const { watch, kernel, slots } = this.world;
    const driver = kernel.control.snapshot().drivers[address] ?? null;
    const card = cardOf(slots.get(address));
    if (card === null || driver === null || isVfio(driver) || this.drawn.has(address) || watch.isInFlux(address))
      return null;
    this.drawn.set(address, kernel.control.openFile(`/dev/dri/${card}`, 'compositor'));
    watch.critical.set(address, watch.since(`a compositor has ${card} open`));
    watch.disturbances += 1;
    return { what: `${address} by its ${card}`, proof: openFilesProof };
  }

  private stopDrawing(address: string): void {
    this.drawn.get(address)?.close();
    this.drawn.delete(address);
    this.world.watch.critical.delete(address);
    this.world.watch.disturbances += 1;
  }

  private unplug(address: string): void {
    const { world } = this;
    const spec = world.slots.get(address);
    if (spec === undefined || !('vendor' in spec)) return;
    const number = world.kernel.control.snapshot().groups[address] ?? null;
    if (number !== null) this.hadNumber.set(number, address);
    world.slots.delete(address);
    world.watch.pulledAt.set(address, world.clock.monotonic());
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
    const number = world.kernel.control.snapshot().groups[spec.address] ?? null;
    const before = number === null ? undefined : this.hadNumber.get(number);
    if (before !== undefined && before !== spec.address) world.tally.add('group numbers recycled');
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
    const added = [...this.routes.values()].map((name) => ({
      ...own[0],
      family: 4 as const,
      destination: 'default',
      interface: name,
    }));
    this.world.kernel.control.setRoutes([...own, ...added]);
  }
}

function childrenOf(spec: unknown): readonly ChildSpec[] {
  return (spec as { readonly children?: readonly ChildSpec[] } | undefined)?.children ?? [];
}

function blockOf(spec: unknown): { readonly name: string; readonly number: string } | null {
  const disk = childrenOf(spec).find((child) => child.kind === 'nvme');
  return disk?.kind === 'nvme' ? (disk.namespaces[0] ?? null) : null;
}

function cardOf(spec: unknown): string | null {
  const display = childrenOf(spec).find((child) => child.kind === 'drm');
  return display?.kind === 'drm' ? display.card : null;
}

function interfaceOf(spec: unknown): string | null {
  const net = childrenOf(spec).find((child) => child.kind === 'net');
  return net?.kind === 'net' ? net.name : null;
}
