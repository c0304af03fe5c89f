// The kernel worker on the simulated machine: each lease is a process of it, a write that sleeps in the kernel keeps its process
// asleep past the deadline, and `returned` comes true when the kernel lets it go.
import { abandonedLimit, WorkerUnavailable } from '../host/ports.ts';
import type { Abandoned, KernelWorker, ReadOutcome, WorkerLease, WorkerRead, WriteOutcome } from '../host/ports.ts';
import { FileError } from '../runtime/ports.ts';
import { readNode, writeNode } from './kernel/attribute.ts';
import type { Errno, Machine, SimProcess } from './kernel/machine.ts';
import { endProcess, startProcess } from './kernel/processes.ts';
import type { Thread } from './kernel/scheduler.ts';

/** A hook that fails or delays what a worker does; for faults. */
export interface WorkerFaults {
  /** Called before a write reaches the kernel; an errno name makes it fail with that. */
  beforeWrite?(path: string, text: string): Errno;
}

/** The port, and the end of the agent above it. */
export interface SimulatedWorker extends KernelWorker {
  /** The agent is gone: workers see their channel close and end, those asleep in the kernel as soon as it lets them go. */
  orphan(): void;
}

/** Builds the worker pool of one agent process. */
export function createSimulatedWorker(machine: Machine, faults: WorkerFaults = {}): SimulatedWorker {
  let abandoned = 0;
  let idle: SimProcess[] = [];
  const leased = new Set<SimProcess>();
  const calling = new Set<SimProcess>();
  let orphaned = false;
  let boot = machine.bootId;

  const take = (): SimProcess => {
    if (boot !== machine.bootId) {
      boot = machine.bootId;
      abandoned = 0;
      idle = [];
    }
    if (abandoned >= abandonedLimit) {
      throw new WorkerUnavailable(`${abandoned} kernel workers have not returned; no new kernel call is begun`);
    }
    const process = idle.pop() ?? startProcess(machine, 'kernel-worker');
    leased.add(process);
    return process;
  };
  const give = (process: SimProcess): void => {
    process.state = 'S';
    leased.delete(process);
    if (machine.processes.get(process.pid) === process) idle.push(process);
  };
  const call = async <Result>(
    process: SimProcess,
    thread: Thread<Result>,
    deadline: number,
  ): Promise<{ readonly value: Result } | Abandoned> => {
    process.state = 'D';
    calling.add(process);
    const running = machine.scheduler.start(thread);
    return new Promise((resolve) => {
      let late = false;
      let goneAway = (): void => {};
      const timer = machine.clock.after(deadline, () => {
        late = true;
        abandoned += 1;
        const returned = new Promise<void>((done) => {
          goneAway = done;
        });
        resolve({ outcome: 'Stuck', worker: identity(process), returned });
      });
      running.whenDone((value) => {
        calling.delete(process);
        if (late || orphaned) {
          if (late) abandoned -= 1;
          endProcess(machine, process);
          goneAway();
          return;
        }
        timer.cancel();
        resolve({ value });
      });
    });
  };

  return {
    async lease(): Promise<WorkerLease> {
      const process = take();
      let held = true;
      return {
        worker: identity(process),
        async write(path, text, deadline): Promise<WriteOutcome> {
          if (!held) throw new Error('this lease was given back');
          const fault = faults.beforeWrite?.(path, text) ?? null;
          if (fault !== null) return { outcome: 'Failed', errno: fault };
          const result = await call(process, writePath(machine, path, text), deadline);
          if ('outcome' in result) {
            held = false;
            return result;
          }
          return result.value === null ? { outcome: 'Written' } : { outcome: 'Failed', errno: result.value };
        },
        release() {
          if (held) give(process);
          held = false;
        },
      };
    },
    async read(paths, deadline): Promise<ReadOutcome> {
      const process = take();
      const result = await call(process, readPaths(machine, paths), deadline);
      if ('outcome' in result) return result;
      give(process);
      return { outcome: 'Read', results: result.value };
    },
    get abandoned() {
      return boot === machine.bootId ? abandoned : 0;
    },
    close() {
      for (const process of idle) endProcess(machine, process);
      idle = [];
    },
    orphan() {
      orphaned = true;
      for (const process of [...idle, ...leased]) if (!calling.has(process)) endProcess(machine, process);
      idle = [];
    },
  };
}

const identity = ({ pid, startTime }: SimProcess): { pid: number; startTime: string } => ({ pid, startTime });

/** open(2) O_WRONLY without O_CREAT, one write(2). */
function* writePath(machine: Machine, path: string, text: string): Thread<Errno> {
  try {
    const node = machine.files.openAttribute(path);
    if (node.write === null) return 'EACCES';
    return yield* writeNode(node, text);
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Reads one path after the other, as one process does. */
function* readPaths(machine: Machine, paths: readonly string[]): Thread<readonly WorkerRead[]> {
  const results: WorkerRead[] = [];
  for (const path of paths) {
    try {
      const node = machine.files.find(path);
      if (node?.kind === 'computed' && node.read !== null) results.push(yield* readNode(node));
      else if (path.endsWith('/config')) results.push({ text: toHex(machine.files.readBytes(path, 0, 64)) });
      else results.push({ text: machine.files.readText(path) });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      results.push({ errno: error.code });
    }
  }
  return results;
}
