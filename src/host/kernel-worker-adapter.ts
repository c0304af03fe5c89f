// The pool of kernel workers: started on demand, kept for a while when idle, abandoned and replaced when the kernel does not
// return. Writers and readers have places of their own, so that long writes never keep a scan waiting. At `abandonedLimit` stuck
// workers nothing new is begun, so that their number, and our memory, is bounded.
import { startWorkerProcess, type WorkerProcess } from './worker-process-adapter.ts';
import {
  abandonedLimit,
  WorkerUnavailable,
  type Abandoned,
  type KernelWorker,
  type ReadOutcome,
  type WorkerLease,
  type WriteOutcome,
} from './ports.ts';

/** How workers are run. Milliseconds. */
export interface KernelWorkerOptions {
  /** The worker's own bundle (`kernel-worker.cjs`), or its source file. */
  readonly entry: string;
  /** Writes at a time, 4 unless told. */
  readonly writers?: number;
  /** Batches of reads at a time, 2 unless told. */
  readonly readers?: number;
  /** How long an idle worker is kept, 30 s unless told. */
  readonly idle?: number;
  /** How long a start may take, 30 s unless told: Node's own start takes seconds on a machine that is busy starting up. */
  readonly startDeadline?: number;
  /**
   * A directory in the cgroup v2 file system that workers move to before their first request, through PID 1's cgroup namespace
   * (`nsenter -t 1 -C`); for pods, which else stay Terminating while a kernel write hangs. Left out: workers stay.
   */
  readonly cgroup?: string;
}

/** The pool, and what it found out about cgroups. */
export interface KernelWorkerPool extends KernelWorker {
  /** Why the last worker could not leave our cgroup; null when it did, when it was not asked to, or before the first start. */
  readonly stayed: string | null;
}

/** A pool of real workers; starts none until one is needed. */
export function createKernelWorker(options: KernelWorkerOptions): KernelWorkerPool {
  const idleFor = options.idle ?? 30_000;
  const idle: { readonly process: WorkerProcess; readonly timer: NodeJS.Timeout }[] = [];
  const writers = createPlaces(options.writers ?? 4);
  const readers = createPlaces(options.readers ?? 2);
  let abandoned = 0;
  let stayed: string | null = null;
  let closed = false;

  const take = async (): Promise<WorkerProcess> => {
    if (closed) throw new WorkerUnavailable('the kernel workers are closed');
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      clearTimeout(kept.timer);
      if (!kept.process.ended) return kept.process;
    }
    const started = await start(options, stayed);
    stayed = started.stayed;
    return started.process;
  };
  const giveBack = (process: WorkerProcess): void => {
    if (closed || process.ended) {
      process.letGo();
      return;
    }
    const timer = setTimeout(() => {
      idle.splice(
        idle.findIndex((kept) => kept.process === process),
        1,
      );
      process.letGo();
    }, idleFor);
    timer.unref();
    idle.push({ process, timer });
  };
  const abandon = (process: WorkerProcess, returned: Promise<void>): Abandoned => {
    abandoned += 1;
    if (abandoned >= abandonedLimit) for (const places of [writers, readers]) places.refuse(tooManyStuck(abandoned));
    return {
      outcome: 'Stuck',
      worker: process.identity,
      returned: returned.then(() => void (abandoned -= 1)),
    };
  };
  const hold = async (places: Places): Promise<{ process: WorkerProcess; leave: () => void }> => {
    if (abandoned >= abandonedLimit) throw tooManyStuck(abandoned);
    const leave = await places.enter();
    try {
      return { process: await take(), leave };
    } catch (error) {
      leave();
      throw error;
    }
  };

  return {
    get abandoned() {
      return abandoned;
    },
    get stayed() {
      return stayed;
    },
    async lease() {
      const { process, leave } = await hold(writers);
      return toLease(process, {
        abandon: (returned) => {
          leave();
          return abandon(process, returned);
        },
        giveBack: () => {
          leave();
          giveBack(process);
        },
      });
    },
    async read(paths, deadline): Promise<ReadOutcome> {
      if (paths.length === 0) return { outcome: 'Read', results: [] };
      const { process, leave } = await hold(readers);
      const request = await process.request({ read: paths }, deadline);
      leave();
      if (request.outcome === 'Late') return abandon(process, request.returned);
      if (request.outcome === 'Answered' && 'results' in request.answer) {
        giveBack(process);
        return { outcome: 'Read', results: request.answer.results };
      }
      throw new WorkerUnavailable(`kernel worker ${process.identity.pid} ended while it read ${paths[0] ?? ''}`);
    },
    close() {
      closed = true;
      for (const kept of idle.splice(0)) {
        clearTimeout(kept.timer);
        kept.process.letGo();
      }
    },
  };
}

interface LeaseEnds {
  abandon(returned: Promise<void>): Abandoned;
  giveBack(): void;
}

function toLease(process: WorkerProcess, ends: LeaseEnds): WorkerLease {
  let state: 'free' | 'writing' | 'over' = 'free';
  return {
    worker: process.identity,
    async write(path, text, deadline): Promise<WriteOutcome> {
      if (state !== 'free') throw new Error(`the lease on kernel worker ${process.identity.pid} is ${state}`);
      state = 'writing';
      const request = await process.request({ write: { path, text } }, deadline);
      if (request.outcome === 'Late') {
        state = 'over';
        return ends.abandon(request.returned);
      }
      state = 'free';
      // A worker that was killed in the middle: the caller must look at what the kernel did, as after any failure.
      if (request.outcome === 'Ended' || !('errno' in request.answer)) return { outcome: 'Failed', errno: 'EINTR' };
      const { errno } = request.answer;
      return errno === null ? { outcome: 'Written' } : { outcome: 'Failed', errno };
    },
    release() {
      if (state !== 'free') return;
      state = 'over';
      ends.giveBack();
    },
  };
}

/** A worker has next to nothing to compute: nothing is compiled, and its heap is bounded. */
const nodeFlags = ['--max-old-space-size=16', '--max-semi-space-size=1', '--no-opt', '--no-maglev'] as const;

/** Starts a worker, outside our cgroup where that is wanted and possible, else where we are. */
async function start(
  options: KernelWorkerOptions,
  stayed: string | null,
): Promise<{ readonly process: WorkerProcess; readonly stayed: string | null }> {
  const startDeadline = options.startDeadline ?? 30_000;
  const node = [process.execPath, ...nodeFlags, options.entry];
  const plain = { file: process.execPath, args: node.slice(1), startDeadline };
  if (options.cgroup === undefined) return { process: await startWorkerProcess(plain), stayed: null };
  const outside = {
    file: 'nsenter',
    args: ['-t', '1', '-C', '--', ...node, '--cgroup', options.cgroup],
    startDeadline,
  };
  // What failed once fails again: capabilities and cgroup version do not change under a running process.
  if (stayed !== null) return { process: await startWorkerProcess(plain), stayed };
  try {
    const started = await startWorkerProcess(outside);
    return { process: started, stayed: started.stayed };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { process: await startWorkerProcess(plain), stayed: why };
  }
}

function tooManyStuck(abandoned: number): WorkerUnavailable {
  return new WorkerUnavailable(
    `${abandoned} kernel calls have not returned: no new one is begun until one does (see the devices that are Stuck)`,
  );
}

/** A bounded number of places, given out in order of asking. */
interface Places {
  /** Resolves with the function that leaves the place. */
  enter(): Promise<() => void>;
  /** Rejects everyone who waits. */
  refuse(error: Error): void;
}

function createPlaces(count: number): Places {
  let free = count;
  const queue: { admit: () => void; refuse: (error: Error) => void }[] = [];
  const leave = (): void => {
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next.admit();
  };
  const toPlace = (): (() => void) => {
    let left = false;
    return () => {
      if (!left) leave();
      left = true;
    };
  };
  return {
    enter: () =>
      new Promise((resolve, reject) => {
        if (free > 0) {
          free -= 1;
          resolve(toPlace());
        } else {
          queue.push({ admit: () => resolve(toPlace()), refuse: reject });
        }
      }),
    refuse: (error) => {
      for (const waiting of queue.splice(0)) waiting.refuse(error);
    },
  };
}
