// The kernel worker: the only way to read or write what can block in the kernel without end. Measured on 5.10 to 7.3: a write to
// `unbind` of an open VFIO device sleeps until its user lets go, survives SIGKILL, and makes reads of `driver_override`, `uevent`
// and `sriov_*` of that device block too. A child process takes that fate on itself.
import type { ProcessIdentity } from '../runtime/ports.ts';

/** One read in a batch: the text, or the errno name. */
export type WorkerRead = { readonly text: string } | { readonly errno: string };

/** A worker that has not answered within its deadline: it was abandoned, and lives on until the kernel lets it go. */
export interface Abandoned {
  readonly outcome: 'Stuck';
  readonly worker: ProcessIdentity;
  /** Resolves when the kernel call has returned at last and the worker is gone. Never rejects. */
  readonly returned: Promise<void>;
}

/** How one write ended: the kernel took it, refused it with an errno, or has not returned. */
export type WriteOutcome =
  { readonly outcome: 'Written' } | { readonly outcome: 'Failed'; readonly errno: string } | Abandoned;

/** How a batch of reads ended; results are in the order of the paths. */
export type ReadOutcome = { readonly outcome: 'Read'; readonly results: readonly WorkerRead[] } | Abandoned;

/** A worker held for one write, so that its identity can be journaled before the kernel is touched. */
export interface WorkerLease {
  readonly worker: ProcessIdentity;
  /**
   * Opens `path` O_WRONLY without O_CREAT and issues exactly one write of `text` (sysfs takes each write as a whole command).
   * `deadline` in milliseconds.
   */
  write(path: string, text: string, deadline: number): Promise<WriteOutcome>;
  /** Gives the worker back; after a stuck write this does nothing. */
  release(): void;
}

/** The pool of worker processes. */
export interface KernelWorker {
  /** Waits for a free worker, or starts one. Rejects with `WorkerUnavailable` when 8 workers are abandoned or none can start. */
  lease(): Promise<WorkerLease>;
  /**
   * Reads small attributes (up to 64 KiB) in one batch; of a file named `config` the first 64 bytes, in hexadecimal. `deadline` in
   * milliseconds for the whole batch. Rejects as `lease` does.
   */
  read(paths: readonly string[], deadline: number): Promise<ReadOutcome>;
  /** Workers that have not returned. At 8, no new kernel write begins. */
  readonly abandoned: number;
  /** Lets idle workers go; does not wait for abandoned ones. */
  close(): void;
}

/** No worker can be had: too many are stuck in the kernel, or no process could be started. */
export class WorkerUnavailable extends Error {
  override readonly name = 'WorkerUnavailable';
}

/** Most workers that may be stuck before no new kernel write is begun. */
export const abandonedLimit = 8;
