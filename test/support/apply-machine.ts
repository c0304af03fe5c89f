// The apply engine on the simulated kernel: lives of an agent that can be cut off after any await, over a machine and a disk that
// stay. A life that was cut off never runs another line and has no further effect.
import type { ApplyContext, Check, StepEvent } from '../../src/agent/apply-context.ts';
import type { Transaction } from '../../src/domain/step.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { openJournal, type Journal } from '../../src/host/journal.ts';
import { loadModule } from '../../src/host/load-module.ts';
import { observeIdentity } from '../../src/host/observe-device.ts';
import type { KernelWorker, WorkerLease } from '../../src/host/ports.ts';
import type { Files } from '../../src/runtime/ports.ts';
import type { KernelSpec } from '../../src/simulation/kernel/spec.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { createSimulatedKernel, type SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { WorkerFaults } from '../../src/simulation/simulated-worker.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createVirtualClock, type VirtualClock } from '../../src/simulation/virtual-clock.ts';

const directory = '/var/lib/vfio-operator';

/** A machine, its disk and its time. */
export interface ApplyMachine {
  readonly kernel: SimulatedKernel;
  readonly clock: VirtualClock;
  readonly bootId: () => string;
  /** Starts an agent: opens the journal and gives what applying needs. */
  startLife(options?: LifeOptions): Promise<Life>;
  /** Lets time pass until the promise is settled. */
  finish<T>(promise: Promise<T>): Promise<T>;
}

export interface LifeOptions {
  readonly faults?: WorkerFaults;
  /** Cut off at the n-th call of a port (from 1), before it has an effect or right after it. */
  readonly cut?: { readonly at: number; readonly when: 'before' | 'after' };
  readonly preflight?: (transaction: Transaction) => Check;
  readonly holders?: (transaction: Transaction) => Check;
  readonly isWriter?: () => boolean;
}

/** One life of an agent. */
export interface Life {
  readonly context: ApplyContext;
  readonly journal: Journal;
  readonly events: readonly StepEvent[];
  /** Aborts as SIGTERM does. */
  stop(): void;
  /** Calls of ports so far. */
  readonly calls: () => number;
  readonly isCut: () => boolean;
  /** Resolves when it is cut off. */
  readonly cut: Promise<'cut'>;
  kill(): void;
}

/** A new machine of that spec, booted. */
export async function createApplyMachine(spec: KernelSpec): Promise<ApplyMachine> {
  const clock = createVirtualClock({ settle: settleByImmediate });
  const kernel = createSimulatedKernel({ spec, clock, random: createSeededRandom(1) });
  await clock.runUntilIdle(60_000);
  await kernel.files.makeDirectory(directory, 0o700);
  const finish = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    if (!(await clock.runUntil(() => settled, 3_600_000))) throw new Error('nothing came of it within an hour');
    return watched;
  };
  const bootId = () => kernel.files.readText('/proc/sys/kernel/random/boot_id').trim();
  return { kernel, clock, bootId, finish, startLife: (options = {}) => startLife(kernel, clock, bootId(), options) };
}

/** The transaction as the planner would make it now: each member's identity and override as the kernel shows them. */
export function identified(machine: ApplyMachine, transaction: Transaction): Transaction {
  const host = { files: machine.kernel.files, paths: hostPaths() };
  const members = transaction.members.map((member) => ({
    ...member,
    identity: observeIdentity(host, member.bus, member.identity.address) ?? member.identity,
  }));
  return { ...transaction, members };
}

async function startLife(
  kernel: SimulatedKernel,
  clock: VirtualClock,
  bootId: string,
  options: LifeOptions,
): Promise<Life> {
  const agent = kernel.startAgent(options.faults);
  const gate = createGate(options.cut ?? null, () => agent.kill());
  const files = gateFiles(kernel.files, gate);
  const worker = gateWorker(agent.worker, gate);
  const paths = hostPaths();
  gate.hold();
  const journal = await openJournal({ files, clock, directory, bootId });
  gate.begin();
  const loader = {
    files: kernel.files,
    processes: agent.processes,
    paths,
    sources: { blacklist: [], installs: [], builtin: null, available: null },
    deadline: 60_000,
  };
  const controller = new AbortController();
  const events: StepEvent[] = [];
  const ok = (): Check => ({ ok: true });
  const context: ApplyContext = {
    host: {
      files: kernel.files,
      worker,
      paths,
      clock,
      loadModule: (module) => gate.pass(() => loadModule(loader, module)),
      readDeadline: 5_000,
      writeDeadline: 60_000,
      virtualFunctionDeadline: 1_000,
      nodeDeadline: 2_000,
    },
    journal,
    isWriter: options.isWriter ?? (() => true),
    preflight: (transaction) => gate.pass(() => Promise.resolve((options.preflight ?? ok)(transaction))),
    holders: (transaction) => gate.pass(() => Promise.resolve((options.holders ?? ok)(transaction))),
    onStep: (event) => void events.push(event),
    signal: controller.signal,
  };
  return {
    context,
    journal,
    events,
    stop: () => controller.abort(),
    calls: gate.calls,
    isCut: gate.isCut,
    cut: gate.cut,
    kill: () => gate.now(),
  };
}

/** Counts calls and cuts off at one of them. */
interface Gate {
  pass<T>(call: () => Promise<T>): Promise<T>;
  /** Does not count until `begin`. */
  hold(): void;
  begin(): void;
  calls(): number;
  isCut(): boolean;
  readonly cut: Promise<'cut'>;
  now(): void;
}

function createGate(plan: LifeOptions['cut'] | null, onCut: () => void): Gate {
  let calls = 0;
  let counting = true;
  let dead = false;
  let tell: (cut: 'cut') => void = () => undefined;
  const cut = new Promise<'cut'>((resolve) => {
    tell = resolve;
  });
  const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
  const now = (): void => {
    if (dead) return;
    dead = true;
    onCut();
    tell('cut');
  };
  return {
    async pass(call) {
      if (dead) return never();
      if (!counting) return call();
      calls += 1;
      const here = plan !== null && plan !== undefined && calls === plan.at;
      if (here && plan.when === 'before') {
        now();
        return never();
      }
      const result = await call();
      if (here) now();
      return dead ? never() : result;
    },
    hold: () => void (counting = false),
    begin: () => void (counting = true),
    calls: () => calls,
    isCut: () => dead,
    cut,
    now,
  };
}

function gateFiles(files: Files, gate: Gate): Files {
  return {
    ...files,
    makeDirectory: (path, mode) => gate.pass(() => files.makeDirectory(path, mode)),
    createExclusive: (path, text) => gate.pass(() => files.createExclusive(path, text)),
    rename: (from, to) => gate.pass(() => files.rename(from, to)),
    remove: (path) => gate.pass(() => files.remove(path)),
    syncDirectory: (path) => gate.pass(() => files.syncDirectory(path)),
    openLog: async (path, options) => {
      const log = await gate.pass(() => files.openLog(path, options));
      return {
        append: (text) => gate.pass(() => log.append(text)),
        sync: () => gate.pass(() => log.sync()),
        truncate: (bytes) => gate.pass(() => log.truncate(bytes)),
        close: () => gate.pass(() => log.close()),
      };
    },
  };
}

// The workers of an agent that was cut off end by themselves as soon as they are not in the kernel: their input has ended.
function gateWorker(worker: KernelWorker, gate: Gate): KernelWorker {
  const held = new Set<WorkerLease>();
  const letGo = (lease: WorkerLease): void => {
    held.delete(lease);
    lease.release();
    if (gate.isCut()) worker.close();
  };
  void gate.cut.then(() => {
    for (const lease of held) letGo(lease);
  });
  return {
    lease: async () => {
      const lease = await gate.pass(async () => {
        const taken = await worker.lease();
        held.add(taken);
        return taken;
      });
      return {
        worker: lease.worker,
        write: (path, text, deadline) =>
          gate.pass(async () => {
            held.delete(lease);
            const outcome = await lease.write(path, text, deadline);
            held.add(lease);
            if (gate.isCut()) letGo(lease);
            return outcome;
          }),
        release: () => letGo(lease),
      };
    },
    read: (paths, deadline) => gate.pass(() => worker.read(paths, deadline)),
    get abandoned() {
      return worker.abandoned;
    },
    close: () => worker.close(),
  };
}
