// A node's kernel in memory: plugs a machine together from its spec, boots it, and gives the ports that the agent runs on beside
// the hands that a test or a demo needs (plug, open, mount, fail, hang, reboot).
import type { KernelWorker } from '../host/ports.ts';
import type { Clock, Processes, Random, Sockets } from '../runtime/ports.ts';
import { boot } from './kernel/boot.ts';
import { createKernelControl } from './kernel/control.ts';
import type { KernelControl } from './kernel/control.ts';
import { addVirtualFunction, removeDevice, rescanBuses } from './kernel/device-registry.ts';
import type { Machine, SimProcess } from './kernel/machine.ts';
import { loadForAlias } from './kernel/modprobe.ts';
import { endProcess, startProcess } from './kernel/processes.ts';
import { quirksOf } from './kernel/quirks.ts';
import { createLock, createScheduler } from './kernel/scheduler.ts';
import type { KernelSpec } from './kernel/spec.ts';
import { createMemoryFiles } from './memory-files.ts';
import type { MemoryFiles } from './memory-files.ts';
import { createSocketNetwork } from './memory-sockets.ts';
import { createMortalProcess } from './mortal-process.ts';
import type { FateOfCall, MortalProcess, ProcessPorts } from './mortal-process.ts';
import { createSimulatedProcesses } from './simulated-processes.ts';
import { createSimulatedWorker } from './simulated-worker.ts';
import type { WorkerFaults } from './simulated-worker.ts';

/** One process of ours: its ports, which die with it. */
export interface AgentProcess extends ProcessPorts {
  readonly alive: boolean;
  /** SIGKILL: the process is gone at once; workers asleep in the kernel stay until it lets them go. */
  kill(): void;
}

/** What may befall a process. */
export interface AgentFaults extends WorkerFaults {
  /** Asked at every asynchronous call of its ports. */
  readonly fate?: FateOfCall;
}

/** The simulated machine. */
export interface SimulatedKernel {
  readonly files: MemoryFiles;
  /** The first agent process, started with the machine. */
  readonly agent: AgentProcess;
  /** Ports of the first agent process. */
  readonly processes: Processes;
  readonly sockets: Sockets;
  readonly worker: KernelWorker;
  /** Starts another process of ours: the agent's next life, or one beside it. */
  startAgent(faults?: AgentFaults): AgentProcess;
  readonly control: KernelControl;
}

/** What it runs on. */
export interface SimulatedKernelOptions {
  readonly spec: KernelSpec;
  readonly clock: Clock;
  readonly random: Random;
  /** For the first agent process. */
  readonly faults?: AgentFaults;
}

/** Builds the machine and boots it. */
export function createSimulatedKernel(options: SimulatedKernelOptions): SimulatedKernel {
  const { clock, random } = options;
  const machine = createMachine(options);
  machine.scheduler.start(boot(machine, bootName(random)));
  const lives = new Set<MortalProcess>();
  const network = createSocketNetwork(machine.files, clock);
  const startAgent = (faults: AgentFaults = {}): AgentProcess => {
    const process: SimProcess = startProcess(machine, 'vfio-operator');
    machine.files.put('/proc/self', { link: String(process.pid) });
    const worker = createSimulatedWorker(machine, faults);
    const attached = network.attach();
    const self = { pid: process.pid, startTime: process.startTime };
    const mortal = createMortalProcess(
      {
        files: machine.files,
        clock,
        processes: createSimulatedProcesses(machine, self),
        sockets: attached.sockets,
        worker,
      },
      () => {
        attached.kill();
        worker.orphan();
        endProcess(machine, process);
      },
      faults.fate,
    );
    lives.add(mortal);
    return {
      ...mortal.ports,
      kill: mortal.kill,
      get alive() {
        return mortal.alive;
      },
    };
  };
  const agent = startAgent(options.faults);
  const control = createKernelControl(machine, {
    clock,
    reboot: () => {
      for (const life of lives) life.kill();
      lives.clear();
      machine.scheduler.start(boot(machine, bootName(random)));
    },
  });
  const { processes, sockets, worker } = agent;
  return { files: machine.files, agent, processes, sockets, worker, startAgent, control };
}

function createMachine({ spec, clock }: SimulatedKernelOptions): Machine {
  const files = createMemoryFiles({
    now: () => clock.now(),
    schedule: (deliver) => void clock.after(0, deliver),
  });
  const machine: Machine = {
    spec,
    quirks: { ...quirksOf(spec.release), ...spec.quirks },
    files,
    clock,
    scheduler: createScheduler(),
    bootId: '',
    bootedAt: 0,
    plugged: new Map(spec.devices.map((device) => [device.address, device])),
    devices: new Map(),
    drivers: new Map(),
    modules: new Map(),
    groups: new Map(),
    openMinors: new Map(),
    processes: new Map(),
    autoprobe: new Map(),
    rescanLock: createLock(),
    probeFaults: new Map(),
    hangingModules: new Set(),
    virtualFunctionFaults: new Map(),
    modulesDisabled: false,
    mounts: [],
    swaps: [],
    routes: [],
    damage: [],
    log: [],
    nextPid: 300,
    events: 0,
    parts: {
      removeDevice: (device) => removeDevice(machine, device),
      addVirtualFunction: (pf, index) => addVirtualFunction(machine, pf, index),
      rescan: () => rescanBuses(machine),
      loadForAlias: (modalias) => loadForAlias(machine, modalias),
    },
  };
  return machine;
}

/** A boot id in the form of a UUID. */
function bootName(random: Random): string {
  return [8, 4, 4, 4, 12].map((digits) => random.name(digits)).join('-');
}
