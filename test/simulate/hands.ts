// An administrator's hands on a simulated node: binds, unbinds and sets driver_override with the kernel's own files, as driverctl and
// virsh do. On a device that is not ours that makes it somebody's; on one of ours it disturbs us. `undo` puts back what was not ours.
import type { World } from './world.ts';
import { isVfio } from './watch.ts';

/** What hands do. */
export type Handiwork = 'unbindByHand' | 'bindByHand' | 'overrideByHand';

/** One administrator. */
export class Hands {
  private readonly world: World;
  private readonly was = new Map<string, string | null>();

  constructor(world: World) {
    this.world = world;
  }

  /** Says whether it could be done. */
  perform(work: Handiwork, address: string): boolean {
    const { kernel, watch } = this.world;
    const snapshot = kernel.control.snapshot();
    const driver = snapshot.drivers[address] ?? null;
    const ours = watch.begun.has(address) || watch.ledger.entries.has(address) || isVfio(driver);
    if (!ours && (work === 'unbindByHand' || this.was.has(address))) return false;
    if (ours) watch.disturbed.add(address);
    else {
      this.was.set(address, driver);
      watch.foreign.set(address, watch.since(`an administrator did ${work}`));
    }
    watch.disturbances += 1;
    if (work === 'unbindByHand') this.write(`/sys/bus/pci/devices/${address}/driver/unbind`, address);
    else if (work === 'overrideByHand') this.write(`/sys/bus/pci/devices/${address}/driver_override`, 'pci-stub\n');
    else this.bindToVfio(address, driver);
    return true;
  }

  /** Gives back what was not ours. */
  undo(): void {
    for (const [address, driver] of this.was) {
      const path = `/sys/bus/pci/devices/${address}`;
      this.write(`${path}/driver_override`, '\n');
      const now = this.world.kernel.control.snapshot().drivers[address] ?? null;
      if (now !== driver && now !== null) this.write(`${path}/driver/unbind`, address);
      if (driver !== null && now !== driver) this.write(`/sys/bus/pci/drivers/${driver}/bind`, address);
      this.world.watch.foreign.delete(address);
    }
    this.was.clear();
  }

  /** The machine went down, and everything set at run time with it. */
  forget(): void {
    this.was.clear();
  }

  private bindToVfio(address: string, driver: string | null): void {
    this.write(`/sys/bus/pci/devices/${address}/driver_override`, 'vfio-pci\n');
    if (driver !== null) this.write(`/sys/bus/pci/devices/${address}/driver/unbind`, address);
    this.write('/sys/bus/pci/drivers/vfio-pci/bind', address);
  }

  /** One write; what the kernel refuses is refused, and what sleeps goes on sleeping. */
  private write(path: string, text: string): void {
    try {
      this.world.files.openAttribute(path).write?.(text);
    } catch (error) {
      this.world.say(`  by hand ${text.trim()} > ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
