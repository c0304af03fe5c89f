// What the agent and a kernel worker say to each other: lines of JSON on the worker's standard input and output, one request at a
// time. Types alone: the worker's bundle imports nothing but node.

/** First line of a worker, once it is where it shall be. */
export interface WorkerHello {
  readonly pid: number;
  /** Field 22 of /proc/self/stat. */
  readonly startTime: string;
  /** null: the worker left its cgroup, or was not asked to; else why it could not. */
  readonly stayed: string | null;
}

/** One write, or a batch of reads. */
export type WorkerRequest =
  { readonly write: { readonly path: string; readonly text: string } } | { readonly read: readonly string[] };

/** Answer to a request of the same form. `errno: null` means that the kernel took the write. */
export type WorkerAnswer =
  | { readonly errno: string | null }
  | { readonly results: readonly ({ readonly text: string } | { readonly errno: string })[] };
