// The state of the simulated machine, shared by the parts of its kernel. Everything here is lost at a reboot, except the tree of
// files and what is plugged in.
import type { Clock } from '../../runtime/ports.ts';
import type { Entry } from '../memory/entry.ts';
import type { Node } from '../memory/node.ts';
import type { MemoryFiles } from '../memory-files.ts';
import type { DeviceSpec, DriverSpec, KernelSpec, ModuleSpec, MountSpec, RouteSpec } from './spec.ts';
import type { Lock, Scheduler, Thread } from './scheduler.ts';
import type { KernelQuirks } from './quirks.ts';

/** The name of an errno; null is success. */
export type Errno = string | null;

/** So many VFs come; then the write fails with the errno and they go again, or it succeeds all the same. */
export interface VirtualFunctionFault {
  readonly made: number;
  readonly errno: Errno;
}

/** A registered driver. */
export interface SimDriver {
  readonly spec: DriverSpec;
  readonly name: string;
  readonly bus: string;
  readonly module: string;
  readonly ids: readonly string[];
  readonly managesDma: boolean;
  readonly probe: (device: SimDevice) => Thread<Errno>;
  readonly remove: (device: SimDevice) => Thread<void>;
}

/** A device as long as it exists; the next one at its address is another. */
export interface SimDevice {
  readonly spec: DeviceSpec;
  readonly bus: string;
  readonly address: string;
  readonly modalias: string;
  /** Its directory, below /sys/devices. */
  readonly path: string;
  readonly parent: SimDevice | null;
  readonly physicalFunction: SimDevice | null;
  readonly lock: Lock;
  override: string | null;
  /** As `dev->driver`: set from before the probe until after the remove. */
  driver: SimDriver | null;
  group: SimGroup | null;
  /** N of vfioN while bound to VFIO. */
  vfioNumber: number | null;
  /** Open device files. */
  users: number;
  virtualFunctions: SimDevice[];
  sriovAutoprobe: boolean;
  removed: boolean;
  /** Paths outside the device's own names that its driver made: interfaces, disks, displays. */
  shown: string[];
}

/** An IOMMU group. */
export interface SimGroup {
  readonly number: number;
  readonly label: string;
  readonly members: Set<SimDevice>;
  /** Made by VFIO for a device without IOMMU. */
  readonly noIommu: boolean;
  /** Minor of the group node while one exists. */
  minor: number | null;
  /** Open files of the group or its devices' cdevs. */
  openFiles: number;
  /** A user has attached it: host drivers are kept off. */
  owned: boolean;
}

/** A loaded module. */
interface SimModule {
  readonly spec: ModuleSpec;
  readonly users: Set<string>;
  drivers: SimDriver[];
}

/** What one process has open. */
export interface SimFd {
  readonly text: string;
  readonly node: Node | null;
  /** The device whose file it is; null for groups and all else. */
  readonly device: SimDevice | null;
  readonly close: () => void;
}

/** A process of the simulated machine. */
export interface SimProcess {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly startTime: string;
  readonly command: string;
  /** Its own mounts; null: those of the host. */
  readonly mounts: readonly MountSpec[] | null;
  readonly fds: Map<number, SimFd>;
  /** As in /proc/PID/stat: R, S, D, Z. */
  state: string;
  /** Asked to give its VFIO devices back, it does so after this many milliseconds; null: it never does. */
  readonly letsGoAfter: number | null;
}

/** What a fault does to the next probe of a device. */
export type ProbeFault = 'hang' | 'lie' | { readonly errno: string };

/** Something that must never happen and did: a kernel BUG, or a device the node lives on taken away. */
export interface Damage {
  readonly kind: 'KernelBug' | 'MountLost' | 'RouteLost' | 'SwapLost';
  readonly message: string;
}

/** The machine. */
export interface Machine {
  readonly spec: KernelSpec;
  readonly quirks: KernelQuirks;
  readonly files: MemoryFiles;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  bootId: string;
  bootedAt: number;
  /** What sits in the slots, by address; a device may be plugged and yet not known to the kernel (after `remove`). */
  readonly plugged: Map<string, DeviceSpec>;
  readonly devices: Map<string, SimDevice>;
  /** By `bus:name`. */
  readonly drivers: Map<string, SimDriver>;
  readonly modules: Map<string, SimModule>;
  readonly groups: Map<number, SimGroup>;
  /** Minors of group nodes that went while somebody had them open: not handed out again before they are closed. */
  readonly openMinors: Map<SimGroup, readonly number[]>;
  readonly processes: Map<number, SimProcess>;
  /** drivers_autoprobe by bus. */
  readonly autoprobe: Map<string, boolean>;
  rescanLock: Lock;
  /** By `DRIVER ADDRESS`, or `* ADDRESS` for any driver. */
  readonly probeFaults: Map<string, ProbeFault>;
  /** Modules whose loading never ends, until taken out. */
  readonly hangingModules: Set<string>;
  /** By address of the PF: VFs fail half way. */
  readonly virtualFunctionFaults: Map<string, VirtualFunctionFault>;
  modulesDisabled: boolean;
  mounts: MountSpec[];
  swaps: string[];
  routes: RouteSpec[];
  readonly damage: Damage[];
  /** What the kernel logged, newest last. */
  readonly log: string[];
  nextPid: number;
  /** Events sent to user space since boot; /sys/kernel/uevent_seqnum. */
  events: number;
  /** Parts that would otherwise import each other in a circle. */
  readonly parts: {
    removeDevice(device: SimDevice): Thread<void>;
    addVirtualFunction(physicalFunction: SimDevice, index: number): Thread<void>;
    rescan(): Thread<void>;
    loadForAlias(modalias: string): Thread<void>;
  };
}

/** Lowest whole number from 0 that is not taken, as the kernel's ida hands them out. */
export function lowestFree(taken: Iterable<number>): number {
  const used = new Set(taken);
  let number = 0;
  while (used.has(number)) number += 1;
  return number;
}

/** Sleeps in virtual time. */
export function* sleep(machine: Machine, milliseconds: number): Thread<void> {
  if (milliseconds <= 0) return;
  let due = false;
  machine.clock.after(milliseconds, () => {
    due = true;
    machine.scheduler.poll();
  });
  yield () => due;
}

/** The text of a link at `from` that leads to `to`, both absolute, as sysfs writes it. */
export function relativeLink(from: string, to: string): Entry {
  const source = from.split('/').slice(1, -1);
  const target = to.split('/').slice(1);
  let same = 0;
  while (same < source.length && source[same] === target[same]) same += 1;
  return { link: [...source.slice(same).map(() => '..'), ...target.slice(same)].join('/') };
}
