// The machine below all our logic: files, processes, clock, randomness. Everything above these interfaces runs unchanged on the
// simulated node; the real ones are the `*-adapter.ts` files beside this one. Nothing here knows devices or Kubernetes.

/** What a directory entry is. Sysfs attributes are `file`; VFIO nodes are `char`. */
export type FileKind = 'file' | 'directory' | 'link' | 'char' | 'block' | 'socket' | 'fifo';

/** The part of stat(2) that we use. Times are milliseconds since the epoch. */
export interface FileStat {
  readonly kind: FileKind;
  /** Inode number; with `device` it tells one file from its replacement of the same name. */
  readonly inode: number;
  /** Number of the file system the entry lies on. */
  readonly device: number;
  /** `major:minor` of a char or block node, null for everything else. */
  readonly node: string | null;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly modifiedAt: number;
  readonly changedAt: number;
}

/** An open file that only grows. Nothing is durable before `sync` has resolved. */
export interface LogFile {
  /** Appends with one write. */
  append(text: string): Promise<void>;
  sync(): Promise<void>;
  /** Cuts the file to `bytes`. */
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** A running watch of one directory. */
export interface Watch {
  close(): void;
}

/**
 * Files. Reading is synchronous: sysfs and procfs answer from memory in microseconds, and asynchronous reads cost four times as
 * much. The attributes whose read can block in the kernel (`driver_override`, `uevent`, `sriov_*`) never go through here, but
 * through the kernel worker. Every method throws `FileError` with the errno.
 */
export interface Files {
  /** Reads until end of file, at most `maxBytes` (default 16 MiB) as UTF-8, invalid bytes replaced. */
  readText(path: string, maxBytes?: number): string;
  /** Reads at most `length` bytes from `offset`. */
  readBytes(path: string, offset: number, length: number): Uint8Array;
  /** The text of a symbolic link, as stored. */
  readLink(path: string): string;
  /** Names in a directory, in no order. */
  list(path: string): readonly string[];
  /** Follows links. */
  stat(path: string): FileStat;
  /** Does not follow a final link. */
  linkStat(path: string): FileStat;
  /** Absolute path with all links resolved. */
  realPath(path: string): string;

  /** Creates the directory and its parents; no error when it exists. */
  makeDirectory(path: string, mode: number): Promise<void>;
  /** Opens for appending, creating it with mode 0600. `truncate` empties it first. */
  openLog(path: string, options: { readonly truncate: boolean }): Promise<LogFile>;
  /**
   * Creates a file with this text, durable and whole or not at all; `EEXIST` when the name is taken. Of several processes that
   * try at once exactly one succeeds (link(2) of a finished file).
   */
  createExclusive(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** fsync of a directory: makes creations, renames and removals in it durable. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Calls back after something in the directory changed, with the entry's name where the system tells it. Only an accelerator:
   * events may be lost, merged or, once the directory itself is replaced, cease for ever. Throws when a watch cannot be had.
   */
  watch(directory: string, onChange: (name: string | null) => void): Watch;
}

/** A failed file operation. `code` is the errno name, e.g. `ENOENT`. */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly code: string;
  readonly operation: string;
  readonly path: string;

  constructor(operation: string, path: string, code: string, options?: ErrorOptions) {
    super(`${operation} ${path}: ${code}`, options);
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}

/** A pending call that can be cancelled. */
export interface Timer {
  cancel(): void;
}

/** Time. `now` is the wall clock and may jump; `monotonic` never goes back. Both in milliseconds. */
export interface Clock {
  now(): number;
  monotonic(): number;
  /** Calls `run` once, `milliseconds` from now. A pending timer does not keep the process alive. */
  after(milliseconds: number, run: () => void): Timer;
}

/** Randomness, for jitter and names. */
export interface Random {
  /** In [0, 1). */
  fraction(): number;
  /** A lower-case hexadecimal name of `digits` digits. */
  name(digits: number): string;
}

/** Which process: a pid alone is reused, with its start time (field 22 of /proc/PID/stat, clock ticks after boot) it is not. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** How a command ended. `code` is null when a signal or the deadline ended it. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** Running programs, without a shell. */
export interface Processes {
  /** This process. */
  readonly self: ProcessIdentity;
  /**
   * Runs `file` with `args`; past `deadline` milliseconds it is killed and no longer waited for. Never rejects: a program that
   * cannot be started is code 127 with the reason in stderr. `root` runs it under chroot(2) of that directory.
   */
  run(
    file: string,
    args: readonly string[],
    options: { readonly deadline: number; readonly root?: string },
  ): Promise<CommandResult>;
}

/** A unix socket that answers. */
export interface SocketServer {
  /** Stops listening, removes the socket's file, and lets running answers go. */
  close(): Promise<void>;
}

/**
 * Unix sockets for a conversation of one line each way: the caller sends a line, the server answers with one, and the connection
 * ends. Lines hold at most 64 KiB and no newline.
 */
export interface Sockets {
  /** Listens with mode 0600 at `path`, replacing a file that is there: the caller knows that nobody else listens. */
  listen(path: string, answer: (line: string) => Promise<string>): Promise<SocketServer>;
  /**
   * Asks and waits `deadline` milliseconds for the answer. Throws `FileError` with `ENOENT` or `ECONNREFUSED` when nobody
   * listens, `ETIMEDOUT` when somebody does but does not answer, `EPIPE` when the connection ended without an answer.
   */
  ask(path: string, line: string, deadline: number): Promise<string>;
}
