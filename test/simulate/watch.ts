// The invariants. The watch knows what the world did (who opened what since when, what was mounted, what an administrator set by hand)
// and hears of everything the agent does: each journal record, each write to the kernel, each finished pass, each started container.
// A look at the host takes a moment in which something may still happen; only what was there before that look counts against it.
import type { PassReport } from '../../src/agent/reconcile.ts';
import type { Ledger } from '../../src/domain/ledger.ts';
import type { JournalRecord } from '../../src/host/journal-record.ts';
import type { KernelSnapshot } from '../../src/simulation/kernel/control.ts';
import type { SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { Clock } from '../../src/runtime/ports.ts';
import { parseWrite, virtualFunctionsOf } from './kernel-writes.ts';

/** Something that has been true since then. */
export interface Since {
  readonly what: string;
  readonly moment: number;
  readonly at: number;
}

/** Somebody who uses devices. */
export interface Use extends Since {
  readonly addresses: readonly string[];
  /** A process may let go by itself when the kernel asks it to; absent: it holds until it is taken out of the watch. */
  readonly isOver?: () => boolean;
}

/** Milliseconds between a check and the write it is for that a healthy machine may take. */
const window = 15_000;

/** Milliseconds that the agent waits for a write to the kernel. */
export const writeDeadline = 60_000;

interface Phase {
  readonly id: number;
  readonly direction: string;
  readonly look: number;
  readonly at: number;
}

/** What a process writes to, since when, in which boot. */
interface Writer {
  readonly address: string;
  readonly at: number;
  readonly boot: string;
}

interface Settled {
  readonly intents: number;
  readonly disturbances: number;
}

export const isVfio = (driver: string | null | undefined): boolean =>
  driver !== null && driver !== undefined && /vfio/.test(driver);

/** One history's watch. */
export class Watch {
  readonly violations: string[] = [];
  /** Who has devices open or was given them. */
  readonly uses = new Set<Use>();
  /** What the node lives on, by address. */
  readonly critical = new Map<string, Since>();
  /** What somebody else set, on devices that were not ours. */
  readonly foreign = new Map<string, Since>();
  /** Addresses of devices of ours that somebody else's hands were on. */
  readonly disturbed = new Set<string>();
  /** Addresses that a transaction of ours was begun for in this boot. */
  readonly begun = new Set<string>();
  /** Addresses at which a device was plugged in again: it need not be on the driver that the ledger remembers. */
  readonly replugged = new Set<string>();
  /** Addresses whose own driver may have failed: they may have none. */
  readonly bare = new Set<string>();
  /** When a device was pulled. */
  readonly pulledAt = new Map<string, number>();
  /** Counts what may move a device without any policy changing: plugs, hands, failures. */
  disturbances = 0;
  /** Counts good changes of policies. */
  intents = 0;
  /** Since when the policy files have been as they are, and could be read. */
  policiesSince = 0;
  /** Which policies exist in a good version. */
  readonly policies = new Set<string>();
  ledger: Ledger = { entries: new Map() };
  writes = 0;
  moment = 0;
  private readonly kernel: SimulatedKernel;
  private readonly clock: Clock;
  private readonly phases = new Map<string, Phase>();
  private readonly members = new Map<number, readonly string[]>();
  private readonly settled = new Map<string, Settled>();
  /** Processes that were told to write to a device, by address of the device. */
  private readonly writers = new Map<number, Writer>();
  private readonly unhealthySince = new Map<string, { readonly at: number; readonly passes: number }>();
  private passes = 0;
  /** What was known when the pass in progress began; null between passes. */
  private passBegun: (Settled & { readonly known: boolean }) | null = null;
  /** When the last look for a device began. */
  private readonly looks = new Map<string, number>();
  private excused = 0;

  constructor(kernel: SimulatedKernel, clock: Clock) {
    this.kernel = kernel;
    this.clock = clock;
  }

  /** Now, for whatever begins. */
  since(what: string): Since {
    this.moment += 1;
    return { what, moment: this.moment, at: this.clock.monotonic() };
  }

  /** The policy files were changed, or can be read again. */
  policiesMoved(): void {
    this.intents += 1;
    if (Number.isFinite(this.policiesSince)) this.policiesSince = Math.max(this.policiesSince, this.clock.monotonic());
  }

  /** They can be read again; the agent may take so many milliseconds to try. */
  policiesShown(patience: number): void {
    this.policiesSince = this.clock.monotonic() + patience;
  }

  violate(what: string): void {
    if (this.violations.length < 5) this.violations.push(what);
  }

  /** The agent begins to look at the host; a preflight names the devices that it is for. */
  onLook(addresses: readonly string[]): void {
    for (const address of addresses) this.looks.set(address, this.moment);
    const known = this.clock.monotonic() - this.policiesSince >= window;
    this.passBegun ??= { known, intents: this.intents, disturbances: this.disturbances };
  }

  onJournal(record: JournalRecord): void {
    if (record.type === 'Begun') {
      const addresses = record.transaction.members.map((member) => member.identity.address);
      this.members.set(record.id, addresses);
      for (const address of addresses) {
        this.phases.delete(address);
        this.begun.add(address);
      }
      if (record.transaction.kind === 'Release' && record.transaction.steps.length > 0) this.checkRelease(addresses);
    }
    if (record.type !== 'StepBegun' || record.step.kind === 'LoadModule') return;
    const members = this.members.get(record.id) ?? [];
    const look = Math.min(...members.map((address) => this.looks.get(address) ?? 0));
    const phase = { id: record.id, direction: record.direction, look, at: this.clock.monotonic() };
    for (const address of members) {
      const known = this.phases.get(address);
      if (known?.id !== record.id || known.direction !== record.direction) this.phases.set(address, phase);
    }
  }

  /** A new life knows nothing of the phases of the last. */
  onStart(): void {
    if (Number.isFinite(this.policiesSince)) this.policiesSince = Math.max(this.policiesSince, this.clock.monotonic());
    this.phases.clear();
    this.passBegun = null;
    this.looks.clear();
  }

  /** The agent writes to the kernel; called before the write takes effect. */
  onWrite(path: string, text: string, pid: number): void {
    this.writes += 1;
    const write = parseWrite(path, text);
    if (write === null) return this.violate(`a write nobody expects: ${text} to ${path}`);
    const snapshot = this.kernel.control.snapshot();
    const { address } = write;
    const phase = this.phases.get(address) ?? null;
    const told = (since: Since): boolean => {
      if (phase === null) return true;
      const informed = since.moment <= phase.look;
      const late = since.at < phase.at - window;
      if (!informed && !late) this.excused += 1;
      return informed || late;
    };
    const group = membersOf(snapshot, address);
    const writer = this.stillWriting(group, pid)?.pid ?? null;
    if (writer !== null)
      this.violate(`${write.action} of ${address} while process ${writer} has not returned from the kernel`);
    this.writers.set(pid, { address, at: this.clock.monotonic(), boot: this.bootId });
    const touched = write.action === 'sriov_numvfs' ? virtualFunctionsOf(this.kernel, address) : group;
    for (const use of this.uses) {
      if (use.addresses.some((one) => touched.includes(one)) && use.isOver?.() !== true && told(use))
        this.violate(`${write.action} of ${address} while ${use.what} (since ${use.at} ms)`);
    }
    const driver = snapshot.drivers[address] ?? null;
    if (write.action === 'unbind' && !isVfio(driver)) {
      for (const one of group) {
        const why = this.critical.get(one);
        // What came into use in the moment of the write, and was taken, is lost to the host already.
        if (why !== undefined && !isVfio(snapshot.drivers[one]) && told(why))
          this.violate(`${address} is taken from ${driver ?? 'no driver'} while ${one}: ${why.what}`);
      }
    }
    const foreign = this.foreign.get(address);
    if (foreign !== undefined && told(foreign))
      this.violate(`${write.action} of ${address}, which is not ours: ${foreign.what}`);
  }

  /** The agent reads what may sleep: a group in which a write is past its deadline is left alone, each read would cost another process. */
  onRead(paths: readonly string[]): void {
    if (this.writers.size === 0) return;
    const snapshot = this.kernel.control.snapshot();
    const addresses = new Set(paths.flatMap((path) => /^\/sys\/bus\/\w+\/devices\/([^/]+)\//.exec(path)?.[1] ?? []));
    for (const address of addresses) {
      const writer = this.stillWriting(membersOf(snapshot, address), 0);
      if (writer !== null && this.clock.monotonic() - writer.at >= writeDeadline)
        this.violate(`${address} is read while process ${writer.pid} has been in the kernel since ${writer.at} ms`);
    }
  }

  /** The kernel has answered that process. */
  onReturned(pid: number): void {
    this.writers.delete(pid);
  }

  /** A finished pass. */
  onPass(report: PassReport, ledger: Ledger): void {
    this.passes += 1;
    this.ledger = ledger;
    const begun = this.passBegun;
    this.passBegun = null;
    if (begun?.known !== true) return;
    for (const decision of report.plan.decisions) {
      if (decision.kind === 'Bound') this.settled.set(decision.address, begun);
    }
  }

  /** After every event: what must hold at every moment. */
  check(): void {
    const { drivers } = this.kernel.control.snapshot();
    for (const use of this.uses)
      if (use.addresses.every((address) => drivers[address] === undefined)) this.uses.delete(use);
    const { damage } = this.kernel.control;
    if (damage.length > 0 && this.excused === 0) this.violate(`damage: ${damage.map((one) => one.message).join('; ')}`);
  }

  /** A device of ours is given back although no policy, no cable and no hand has moved since it was settled. */
  private checkRelease(addresses: readonly string[]): void {
    const snapshot = this.kernel.control.snapshot();
    const strange = (address: string): boolean => this.foreign.has(address) || this.disturbed.has(address);
    for (const address of addresses) {
      if (membersOf(snapshot, address).some(strange)) continue;
      const settled = this.settled.get(address);
      const policy = this.ledger.entries.get(address)?.policy;
      if (settled === undefined || policy === undefined || !this.policies.has(policy)) continue;
      if (settled.intents === this.intents && settled.disturbances === this.disturbances)
        this.violate(`${address} is released though policy ${policy} wants it as before`);
    }
  }

  /** What kubelet believes in: a device that is not bound must not be Healthy for long while the agent looks. */
  onHealthy(ids: readonly string[]): void {
    const { drivers } = this.kernel.control.snapshot();
    const wrong = ids.filter((id) => !this.isBound(id));
    for (const id of this.unhealthySince.keys()) if (!wrong.includes(id)) this.unhealthySince.delete(id);
    for (const id of wrong) {
      const since = this.unhealthySince.get(id) ?? { at: this.clock.monotonic(), passes: this.passes };
      this.unhealthySince.set(id, since);
      if (this.passes > since.passes + 2 && this.clock.monotonic() - since.at > window)
        this.violate(`${id} is offered as Healthy since ${since.at} ms and is on ${drivers[id] ?? 'no driver'}`);
    }
  }

  /** Something that we gave this id is on VFIO: with unit Group the device that gave the id its name may be gone. */
  isBound(id: string): boolean {
    const { drivers } = this.kernel.control.snapshot();
    if (isVfio(drivers[id])) return true;
    return [...this.ledger.entries.values()].some((entry) => entry.deviceId === id && isVfio(drivers[entry.address]));
  }

  /** Something was taken to be offered under this id. */
  isOffered(id: string, resource: string): boolean {
    return [...this.ledger.entries.values()].some((entry) => entry.deviceId === id && entry.resource === resource);
  }

  private stillWriting(group: readonly string[], pid: number): (Writer & { readonly pid: number }) | null {
    const asleep = new Set(this.kernel.control.processes.filter(({ state }) => state === 'D').map((one) => one.pid));
    for (const [other, writer] of this.writers) {
      if (writer.boot !== this.bootId || !asleep.has(other)) this.writers.delete(other);
      else if (other !== pid && group.includes(writer.address)) return { ...writer, pid: other };
    }
    return null;
  }

  /** A write to it, or a hand on it, may still take effect. */
  isInFlux(address: string): boolean {
    const group = membersOf(this.kernel.control.snapshot(), address);
    return this.disturbed.has(address) || this.foreign.has(address) || this.stillWriting(group, 0) !== null;
  }

  private get bootId(): string {
    return this.kernel.files.readText('/proc/sys/kernel/random/boot_id').trim();
  }

  private modalias(address: string): string {
    return this.kernel.files.readText(`/sys/bus/pci/devices/${address}/modalias`).trim();
  }

  /** Between passes, when nothing is open, by the boot id that the agent goes by: what the kernel shows and what the ledger says explain each other. */
  explain(bootId: string): readonly string[] {
    const problems: string[] = [];
    const snapshot = this.kernel.control.snapshot();
    const entries = new Map([...this.ledger.entries].filter(([, entry]) => entry.bootId === bootId));
    for (const [address, driver] of Object.entries(snapshot.drivers)) {
      if (isVfio(driver) && !entries.has(address) && !this.foreign.has(address) && !this.disturbed.has(address))
        problems.push(`${address} is on ${driver ?? ''} and nobody knows why`);
      if (
        (snapshot.overrides[address] ?? null) !== null &&
        !isVfio(driver) &&
        !this.foreign.has(address) &&
        !this.disturbed.has(address) &&
        entries.get(address)?.state === undefined
      )
        problems.push(`${address} has driver_override ${snapshot.overrides[address] ?? ''} left behind`);
    }
    for (const [address, entry] of entries) {
      if (
        entry.state !== 'Taken' ||
        entry.driver === null ||
        entry.retained ||
        this.disturbed.has(address) ||
        this.replugged.has(address)
      )
        continue;
      const driver = snapshot.drivers[address];
      if (driver !== undefined && driver !== entry.driver && this.modalias(address) === entry.modalias)
        problems.push(`${address} is on ${driver ?? 'no driver'}, the ledger says ${entry.driver}`);
    }
    return problems;
  }
}

/** All members of a device's group, with the device itself. */
export function membersOf(snapshot: KernelSnapshot, address: string): readonly string[] {
  const group = snapshot.groups[address] ?? null;
  if (group === null) return [address];
  return Object.keys(snapshot.groups).filter((other) => snapshot.groups[other] === group);
}
