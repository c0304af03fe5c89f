// A process that can be killed at any await. All its ports go through here: from the kill on nothing it still has running sees an
// answer, no timer of it fires, and nothing it tries has an effect. What it had begun in the kernel or on the disk stays begun.
import type { KernelWorker, WorkerLease, WriteOutcome } from '../host/ports.ts';
import type { Clock, Files, LogFile, Processes, SocketServer, Sockets } from '../runtime/ports.ts';

/** What a process works with. */
export interface ProcessPorts {
  readonly files: Files;
  readonly clock: Clock;
  readonly processes: Processes;
  readonly sockets: Sockets;
  readonly worker: KernelWorker;
}

/** When to die: before the call has its effect, after it but before the process hears of it, or not now. */
export type Fate = 'live' | 'killedBefore' | 'killedAfter';

/** Asked at every asynchronous call of a port, by its name, e.g. `append`, `worker.write`. */
export type FateOfCall = (operation: string) => Fate;

/** Thrown by what a killed process calls synchronously: its code runs on to its next await, and must reach nothing. */
class ProcessKilled extends Error {
  override readonly name = 'ProcessKilled';
}

/** The ports of a process, and its end. */
export interface MortalProcess {
  readonly ports: ProcessPorts;
  readonly alive: boolean;
  kill(): void;
}

/** Wraps ports; `onKill` is what the machine does when the process ends. */
export function createMortalProcess(inner: ProcessPorts, onKill: () => void, fate?: FateOfCall): MortalProcess {
  let alive = true;
  const endings = new Set<() => void>();
  const kill = (): void => {
    if (!alive) return;
    alive = false;
    for (const end of endings) end();
    endings.clear();
    onKill();
  };
  /** Calls, and hands the answer on only while the process lives. A dead process waits for ever. */
  const call = <Result>(operation: string, run: () => Promise<Result>): Promise<Result> => {
    const now = alive ? (fate?.(operation) ?? 'live') : 'killedBefore';
    if (now === 'killedBefore') {
      kill();
      return new Promise(() => {});
    }
    const running = run();
    if (now === 'killedAfter') kill();
    return new Promise((resolve, reject) => {
      running.then(
        (value) => {
          if (alive) resolve(value);
        },
        (error: unknown) => {
          if (alive) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  };
  const mustLive = (): void => {
    if (!alive) throw new ProcessKilled('the process was killed');
  };
  const ports: ProcessPorts = {
    files: mortalFiles(inner.files, call, mustLive, endings),
    clock: mortalClock(inner.clock, () => alive, endings),
    processes: {
      self: inner.processes.self,
      run: (file, args, options) => call('run', () => inner.processes.run(file, args, options)),
    },
    sockets: mortalSockets(inner.sockets, call),
    worker: mortalWorker(inner.worker, call, () => alive),
  };
  return {
    ports,
    kill,
    get alive() {
      return alive;
    },
  };
}

/** What ends with the process. */
type Endings = Set<() => void>;

type Call = <Result>(operation: string, run: () => Promise<Result>) => Promise<Result>;

function mortalFiles(inner: Files, call: Call, mustLive: () => void, endings: Endings): Files {
  return {
    readText(path, maxBytes) {
      mustLive();
      return inner.readText(path, maxBytes);
    },
    readBytes(path, offset, length) {
      mustLive();
      return inner.readBytes(path, offset, length);
    },
    readLink(path) {
      mustLive();
      return inner.readLink(path);
    },
    list(path) {
      mustLive();
      return inner.list(path);
    },
    stat(path) {
      mustLive();
      return inner.stat(path);
    },
    linkStat(path) {
      mustLive();
      return inner.linkStat(path);
    },
    realPath(path) {
      mustLive();
      return inner.realPath(path);
    },
    makeDirectory: (path, mode) => call('makeDirectory', () => inner.makeDirectory(path, mode)),
    openLog: async (path, options) => mortalLog(await call('openLog', () => inner.openLog(path, options)), call),
    createExclusive: (path, text) => call('createExclusive', () => inner.createExclusive(path, text)),
    rename: (from, to) => call('rename', () => inner.rename(from, to)),
    remove: (path) => call('remove', () => inner.remove(path)),
    syncDirectory: (path) => call('syncDirectory', () => inner.syncDirectory(path)),
    watch(directory, onChange) {
      mustLive();
      const watch = inner.watch(directory, onChange);
      const close = (): void => {
        endings.delete(close);
        watch.close();
      };
      endings.add(close);
      return { close };
    },
  };
}

function mortalLog(inner: LogFile, call: Call): LogFile {
  return {
    append: (text) => call('append', () => inner.append(text)),
    sync: () => call('sync', () => inner.sync()),
    truncate: (bytes) => call('truncate', () => inner.truncate(bytes)),
    close: () => call('close', () => inner.close()),
  };
}

function mortalClock(inner: Clock, isAlive: () => boolean, endings: Endings): Clock {
  return {
    now: () => inner.now(),
    monotonic: () => inner.monotonic(),
    after(milliseconds, run) {
      if (!isAlive()) return { cancel: () => undefined };
      const timer = inner.after(milliseconds, () => {
        endings.delete(cancel);
        run();
      });
      const cancel = (): void => {
        endings.delete(cancel);
        timer.cancel();
      };
      endings.add(cancel);
      return { cancel };
    },
  };
}

function mortalSockets(inner: Sockets, call: Call): Sockets {
  return {
    async listen(path, answer): Promise<SocketServer> {
      const server = await call('listen', () => inner.listen(path, answer));
      return { close: () => call('closeSocket', () => server.close()) };
    },
    ask: (path, line, deadline) => call('ask', () => inner.ask(path, line, deadline)),
  };
}

function mortalWorker(inner: KernelWorker, call: Call, isAlive: () => boolean): KernelWorker {
  const whileAlive = <Outcome extends { readonly outcome: string }>(outcome: Outcome): Outcome => {
    if (!('returned' in outcome) || !(outcome.returned instanceof Promise)) return outcome;
    const { returned } = outcome;
    const heard = new Promise<void>((resolve) => {
      void returned.then(() => {
        if (isAlive()) resolve();
      });
    });
    return { ...outcome, returned: heard };
  };
  const mortalLease = (lease: WorkerLease): WorkerLease => ({
    worker: lease.worker,
    write: async (path, text, deadline): Promise<WriteOutcome> =>
      whileAlive(await call('worker.write', () => lease.write(path, text, deadline))),
    release: () => lease.release(),
  });
  return {
    lease: async () => mortalLease(await call('worker.lease', () => inner.lease())),
    read: async (paths, deadline) => whileAlive(await call('worker.read', () => inner.read(paths, deadline))),
    get abandoned() {
      return inner.abandoned;
    },
    close: () => inner.close(),
  };
}
