// Listens in between agent and kernel: every write and every modprobe goes through unchanged and is recorded, with what a person who
// looks right afterwards would read there.
import type { KernelWorker } from '../host/ports.ts';
import { FileError } from '../runtime/ports.ts';
import type { Files, Processes } from '../runtime/ports.ts';
import type { NodeRecord } from './record.ts';

/** The worker, tapped. */
export function tapWorker(worker: KernelWorker, files: Files, record: NodeRecord): KernelWorker {
  return {
    async lease() {
      const lease = await worker.lease();
      return {
        worker: lease.worker,
        async write(path, text, deadline) {
          const outcome = await lease.write(path, text, deadline);
          const answer = { Written: 'ok', Stuck: 'no answer' } as const;
          record.add({
            kind: 'Write',
            path,
            text: text.trim(),
            answer: outcome.outcome === 'Failed' ? outcome.errno : answer[outcome.outcome],
            // What has not returned may hold the lock that a read would wait for.
            readBack: outcome.outcome === 'Stuck' ? null : readBack(files, path, text.trim()),
          });
          return outcome;
        },
        release: () => lease.release(),
      };
    },
    read: (paths, deadline) => worker.read(paths, deadline),
    get abandoned() {
      return worker.abandoned;
    },
    close: () => worker.close(),
  };
}

/** The programs, tapped. */
export function tapProcesses(processes: Processes, record: NodeRecord): Processes {
  return {
    self: processes.self,
    async run(file, args, options) {
      const result = await processes.run(file, args, options);
      record.add({ kind: 'Command', command: [file, ...args].join(' '), code: result.code });
      return result;
    },
  };
}

/** An attribute reads as what it holds; `bind`, `unbind` and `drivers_probe` hold nothing, so the device's driver link is looked at. */
function readBack(files: Files, path: string, text: string): string | null {
  const command = /^(\/sys\/bus\/[^/]+)\/(?:drivers\/[^/]+\/(?:bind|unbind)|drivers_probe)$/.exec(path);
  try {
    if (command === null) return files.readText(path).trim();
    const link = files.readLink(`${command[1]}/devices/${text}/driver`);
    return link.slice(link.lastIndexOf('/') + 1);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return null;
    throw error;
  }
}
