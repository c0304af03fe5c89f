// The hands on a simulated machine: what administrators, users of devices, cables and power do to a real one.
import type { Clock, Random } from '../../runtime/ports.ts';
import { addDevice, removeDevice } from './device-registry.ts';
import type { Damage, Machine, ProbeFault, SimDevice, SimProcess, VirtualFunctionFault } from './machine.ts';
import { addFd, closeFd, endProcess, passFd, startProcess } from './processes.ts';
import { locked } from './scheduler.ts';
import type { DeviceSpec, MountSpec, RouteSpec } from './spec.ts';
import { openByCdev, openByGroup } from './vfio.ts';

/** A process that uses something. */
interface Holder {
  readonly pid: number;
  /** Closes what it opened and ends the process. */
  close(): void;
}

/** Everything about the machine that binding changes: equal snapshots are equal machines. */
export interface KernelSnapshot {
  /** By address: driver name, override, IOMMU group number. */
  readonly drivers: Readonly<Record<string, string | null>>;
  readonly overrides: Readonly<Record<string, string | null>>;
  readonly groups: Readonly<Record<string, number | null>>;
  /** By address of the PF. */
  readonly virtualFunctions: Readonly<Record<string, number>>;
  readonly autoprobe: Readonly<Record<string, boolean>>;
}

/** What can be done to the machine. Errno names are returned, not thrown, where a real program would get one. */
export interface KernelControl {
  /** Plugs a device in, or in again what was there before; the kernel finds it at once. */
  plug(device: DeviceSpec | string): void;
  /** Pulls a device. Its directory stays as long as somebody has it open. */
  unplug(address: string): void;
  /**
   * A process opens the group of the devices and the devices' own files through it, as QEMU does; no devices of the group, or
   * `via: 'cdev'` the cdev of one. `letsGoAfter`: asked to release, it does so after that many milliseconds.
   */
  openDevice(
    addresses: string | readonly string[],
    options?: {
      readonly command?: string;
      readonly via?: 'group' | 'cdev' | 'unboundCdev';
      readonly letsGoAfter?: number;
      /** The device files alone are passed to another process (SCM_RIGHTS), and the first one ends. */
      readonly passed?: boolean;
    },
  ): Holder | { readonly errno: string };
  /** A process opens the group node alone. */
  openGroup(address: string, command?: string): Holder | { readonly errno: string };
  /** A process opens any other file, e.g. /dev/dri/card0 or /dev/sdb. */
  openFile(path: string, command?: string): Holder;
  /** SIGKILL. */
  kill(pid: number): void;
  mount(mount: MountSpec): void;
  unmount(target: string): void;
  setSwaps(paths: readonly string[]): void;
  setRoutes(routes: readonly RouteSpec[]): void;
  /** The device no longer answers: every read of its configuration space is all ones. */
  goDead(address: string): void;
  /** The next probes of the device by that driver (default: any) fail, hang until cleared, or succeed without binding. */
  failProbe(address: string, fault: ProbeFault | null, driver?: string): void;
  /** Making VFs on the PF fails half way, until set back. */
  failVirtualFunctions(address: string, fault: VirtualFunctionFault | null): void;
  /** Loading the module never ends, until set back. */
  hangModule(name: string, hangs: boolean): void;
  disableModules(): void;
  /** All processes are gone, and what was set at run time with them; devices that were pulled stay away. */
  reboot(): void;
  /** Reboot, and the disk holds only what was fsynced (with `random`: perhaps more, perhaps torn). */
  powerCut(random?: Random): void;
  snapshot(): KernelSnapshot;
  /** What must never happen and did. */
  readonly damage: readonly Damage[];
  readonly log: readonly string[];
  /** Kernel calls asleep now. */
  readonly sleeping: number;
  /** Command names and pids of all processes. */
  readonly processes: readonly { readonly pid: number; readonly command: string; readonly state: string }[];
}

/** Builds the hands of a machine. */
export function createKernelControl(
  machine: Machine,
  { reboot }: { readonly clock: Clock; readonly reboot: () => void },
): KernelControl {
  const { scheduler, files } = machine;
  const holder = (process: SimProcess): Holder => ({ pid: process.pid, close: () => endProcess(machine, process) });
  const opened = (process: SimProcess, fds: string | readonly number[]): Holder | { readonly errno: string } => {
    if (typeof fds !== 'string') return holder(process);
    endProcess(machine, process);
    return { errno: fds };
  };
  const down = (): void => {
    scheduler.reset();
    reboot();
  };

  return {
    plug(device) {
      const spec = typeof device === 'string' ? machine.spec.devices.find(({ address }) => address === device) : device;
      if (spec === undefined) throw new Error(`plug ${device as string}: the machine's spec has no such device`);
      machine.plugged.set(spec.address, spec);
      scheduler.start(locked(machine.rescanLock, () => addDevice(machine, spec)));
    },
    unplug(address) {
      const device = deviceAt(machine, address);
      machine.plugged.delete(address);
      scheduler.start(locked(machine.rescanLock, () => removeDevice(machine, device)));
    },
    openDevice(addresses, { command = 'qemu-system-x86', via = 'group', letsGoAfter, passed = false } = {}) {
      const devices = [addresses].flat().map((address) => deviceAt(machine, address));
      const process = startProcess(machine, command, letsGoAfter === undefined ? {} : { letsGoAfter });
      const [first] = devices;
      if (first === undefined || first.group === null) return opened(process, 'ENOENT');
      const fds =
        via === 'group'
          ? openByGroup(machine, process, first.group, devices)
          : openByCdev(machine, process, first, via === 'cdev');
      if (typeof fds === 'string' || !passed) return opened(process, fds);
      const receiver = startProcess(machine, command, letsGoAfter === undefined ? {} : { letsGoAfter });
      for (const [number, fd] of process.fds) if (fd.device !== null) passFd(machine, process, number, receiver);
      endProcess(machine, process);
      return holder(receiver);
    },
    openGroup(address, command = 'qemu-system-x86') {
      const { group } = deviceAt(machine, address);
      const process = startProcess(machine, command);
      return opened(process, group === null ? 'ENOENT' : openByGroup(machine, process, group, []));
    },
    openFile(path, command = 'user') {
      const process = startProcess(machine, command);
      addFd(machine, process, { text: path, node: files.find(path), device: null, close: () => {} });
      return holder(process);
    },
    kill(pid) {
      const process = machine.processes.get(pid);
      if (process === undefined) return;
      const open = [...process.fds.keys()];
      for (const number of open) closeFd(machine, process, number);
      if (process.state !== 'D') endProcess(machine, process);
    },
    mount: (mount) => void machine.mounts.push(mount),
    unmount: (target) => void (machine.mounts = machine.mounts.filter((mount) => mount.target !== target)),
    setSwaps: (paths) => void (machine.swaps = [...paths]),
    setRoutes: (routes) => void (machine.routes = [...routes]),
    goDead(address) {
      const path = `${deviceAt(machine, address).path}/config`;
      files.put(path, { file: new Uint8Array(256).fill(0xff) });
    },
    failProbe(address, fault, driver = '*') {
      const key = `${driver} ${address}`;
      if (fault === null) machine.probeFaults.delete(key);
      else machine.probeFaults.set(key, fault);
      scheduler.poll();
    },
    failVirtualFunctions(address, fault) {
      if (fault === null) machine.virtualFunctionFaults.delete(address);
      else machine.virtualFunctionFaults.set(address, fault);
    },
    hangModule(name, hangs) {
      if (hangs) machine.hangingModules.add(name);
      else machine.hangingModules.delete(name);
      scheduler.poll();
    },
    disableModules: () => void (machine.modulesDisabled = true),
    reboot: down,
    powerCut(random) {
      files.powerCut(random);
      down();
    },
    snapshot: () => snapshot(machine),
    damage: machine.damage,
    log: machine.log,
    get sleeping() {
      return scheduler.sleeping;
    },
    get processes() {
      return [...machine.processes.values()].map(({ pid, command, state }) => ({ pid, command, state }));
    },
  };
}

function deviceAt(machine: Machine, address: string): SimDevice {
  const device = machine.devices.get(address);
  if (device === undefined) throw new Error(`the simulated machine has no device ${address} now`);
  return device;
}

function snapshot(machine: Machine): KernelSnapshot {
  const drivers: Record<string, string | null> = {};
  const overrides: Record<string, string | null> = {};
  const groups: Record<string, number | null> = {};
  const virtualFunctions: Record<string, number> = {};
  const autoprobe: Record<string, boolean> = {};
  for (const address of [...machine.devices.keys()].sort()) {
    const device = machine.devices.get(address);
    if (device === undefined) continue;
    drivers[address] = device.driver?.name ?? null;
    overrides[address] = device.override;
    groups[address] = device.group?.number ?? null;
    if (!('sriov' in device.spec) || device.spec.sriov === undefined) continue;
    virtualFunctions[address] = device.virtualFunctions.length;
    autoprobe[address] = device.sriovAutoprobe;
  }
  return { drivers, overrides, groups, virtualFunctions, autoprobe };
}
