// Ears on the ports of a simulated agent: what it journals, writes to the kernel, runs, and says.
import type { JournalRecord } from '../../src/host/journal-record.ts';
import type { KernelWorker } from '../../src/host/ports.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import type { CommandResult, Files, LogFile, Processes } from '../../src/runtime/ports.ts';

/** Hears of the process that makes a write, before and after. */
export interface WriteListener {
  onBegin(pid: number): void;
  onEnd(pid: number, stuck: boolean): void;
  /** Attributes whose read may sleep are read. */
  onRead(paths: readonly string[]): void;
}

/** Hears every record that the agent hands to the disk. */
export function tapJournal(files: Files, directory: string, hear: (record: JournalRecord) => void): Files {
  const tap = (log: LogFile): LogFile => ({
    ...log,
    append: (text) => {
      for (const line of text.split('\n')) {
        const json = line.slice(line.indexOf(' ') + 1);
        if (!json.startsWith('{')) continue;
        const record = JSON.parse(json) as JournalRecord;
        hear(record);
      }
      return log.append(text);
    },
  });
  return {
    ...files,
    openLog: async (path, options) => {
      const log = await files.openLog(path, options);
      return path.startsWith(`${directory}/journal`) ? tap(log) : log;
    },
  };
}

/** Knows which process makes the write that comes. */
export function tapWorker(worker: KernelWorker, hear: WriteListener): KernelWorker {
  return {
    lease: async () => {
      const lease = await worker.lease();
      return {
        worker: lease.worker,
        write: async (path, text, deadline) => {
          hear.onBegin(lease.worker.pid);
          const outcome = await lease.write(path, text, deadline);
          hear.onEnd(lease.worker.pid, outcome.outcome === 'Stuck');
          return outcome;
        },
        release: () => lease.release(),
      };
    },
    read: (paths, deadline) => {
      hear.onRead(paths);
      return worker.read(paths, deadline);
    },
    get abandoned() {
      return worker.abandoned;
    },
    close: () => worker.close(),
  };
}

/** What is answered for a command in place of what it does; or the module that is loaded in its place, in silence. */
export type CommandAnswer = CommandResult | { readonly runsInstead: string };

/** Hears every command; what is answered for it is not run. */
export function tapProcesses(processes: Processes, hear: (command: string) => CommandAnswer | null): Processes {
  return {
    self: processes.self,
    run: async (file, args, options) => {
      const heard = hear([file, ...args].join(' '));
      if (heard === null) return processes.run(file, args, options);
      if (!('runsInstead' in heard)) return heard;
      await processes.run(file, [heard.runsInstead], options);
      return { code: 0, stdout: '', stderr: '', timedOut: false };
    },
  };
}

/** A logger that tells what is worth telling; null: nobody listens. */
export function createTellingLogger(say: ((line: string) => void) | null): Logger {
  const log = (level: string) => (fields: object, message: string) => {
    if (level !== 'debug' && say !== null) say(`  agent ${level}: ${message} ${JSON.stringify(fields).slice(0, 300)}`);
  };
  const logger: Logger = {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: () => logger,
  };
  return logger;
}

/** A record, shortly. */
export function tellRecord(record: JournalRecord): string {
  switch (record.type) {
    case 'Begun':
      return `#${record.id} ${record.transaction.kind} of ${record.transaction.members.map((one) => one.identity.address).join(', ')}`;
    case 'StepBegun':
      return `#${record.id} ${record.direction} ${JSON.stringify(record.step)}`;
    default:
      return JSON.stringify(record).slice(0, 200);
  }
}
