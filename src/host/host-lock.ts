// One writer per host. Owners are numbered: the owner is whoever created the file `lock.N` with the highest N, and only one process
// can create it (link(2)). The highest file is never removed, so the numbers never go back, and a starter who looked too early
// finds that its number was taken. The lock passes on only when its owner has given it back or is dead: its pid with its start
// time is gone (or the machine has booted since), and nobody answers on its socket.
import { FileError, type Files, type ProcessIdentity, type SocketServer, type Sockets } from '../runtime/ports.ts';
import { isAlive } from '../runtime/process-status.ts';

/** Who owns the lock. */
export interface LockOwner extends ProcessIdentity {
  /** `agent` or `release`. */
  readonly program: string;
  readonly bootId: string;
  /** The pid namespace (`pid:[4026531836]`): in another one, pids say nothing. */
  readonly pidNamespace: string;
}

/** What comes over the control socket. */
export type ControlRequest = { readonly command: 'release'; readonly address: string } | { readonly command: 'status' };

/** What goes back: `ok` or not, one sentence, and for `status` whatever the program says of itself. */
export interface ControlAnswer {
  readonly ok: boolean;
  readonly message: string;
  readonly data?: unknown;
}

/** What the lock needs. */
export interface HostLockOptions {
  readonly files: Files;
  readonly sockets: Sockets;
  readonly self: ProcessIdentity;
  /** The state directory; it exists. */
  readonly directory: string;
  /** The procfs in which pids are ours, normally /proc. */
  readonly proc: string;
  readonly bootId: string;
  readonly program: string;
  /** Answers requests on the control socket; its rejection becomes an answer that is not ok. */
  readonly answer: (request: ControlRequest) => Promise<ControlAnswer>;
}

/** The lock, held. */
export interface HostLock {
  /** False once the lock's file is gone or another's number is higher: somebody removed our state directory. Then write nothing. */
  isHeld(): boolean;
  /** Stops answering and lets the next one in. */
  release(): Promise<void>;
}

/** The outcome of asking for the lock. */
export type LockOutcome =
  | { readonly outcome: 'Held'; readonly lock: HostLock }
  | { readonly outcome: 'Taken'; readonly owner: LockOwner; readonly message: string };

// A listing that runs beside creations and removals may miss both the old and the new highest file: older ones are kept for a
// while, so that what is missed is never what counts.
const kept = 16;
const controlDeadline = 60_000;

/** The socket that `release` and `status` talk to. */
export function controlSocket(directory: string): string {
  return `${directory}/control.sock`;
}

/** Takes the lock, or says who has it. Throws `FileError` when the state directory cannot be used. */
export async function acquireHostLock(options: HostLockOptions): Promise<LockOutcome> {
  const { files, sockets, directory } = options;
  for (;;) {
    const highest = highestNumber(files, directory);
    const owner = highest === 0 ? null : readOwner(files, directory, highest);
    if (owner !== null && (await lives(options, owner))) return { outcome: 'Taken', owner, message: describe(owner) };
    const number = await claim(options, highest + 1);
    if (number === null) continue;
    await removeOlder(files, directory, number);
    const server = await sockets.listen(controlSocket(directory), (line) => answerLine(options, line));
    return { outcome: 'Held', lock: toLock(options, number, server) };
  }
}

/** Asks whoever holds the lock. Throws `FileError` (`ENOENT`, `ECONNREFUSED`) when nobody does. */
export async function askOwner(sockets: Sockets, directory: string, request: ControlRequest): Promise<ControlAnswer> {
  return JSON.parse(
    await sockets.ask(controlSocket(directory), JSON.stringify(request), controlDeadline),
  ) as ControlAnswer;
}

async function claim(options: HostLockOptions, number: number): Promise<number | null> {
  const { files, directory } = options;
  const owner: LockOwner = {
    pid: options.self.pid,
    startTime: options.self.startTime,
    program: options.program,
    bootId: options.bootId,
    pidNamespace: pidNamespace(options),
  };
  try {
    await files.createExclusive(lockFile(directory, number), JSON.stringify(owner));
  } catch (error) {
    if (error instanceof FileError && error.code === 'EEXIST') return null;
    throw error;
  }
  if (highestNumber(files, directory) === number) return number;
  // We had looked too early: others have come and gone since. Our number never counted.
  await files.remove(lockFile(directory, number));
  return null;
}

function toLock(options: HostLockOptions, number: number, server: SocketServer): HostLock {
  const { files, directory } = options;
  const inode = files.stat(lockFile(directory, number)).inode;
  let released = false;
  return {
    isHeld() {
      if (released) return false;
      try {
        return files.stat(lockFile(directory, number)).inode === inode && highestNumber(files, directory) === number;
      } catch (error) {
        if (error instanceof FileError) return false;
        throw error;
      }
    },
    async release() {
      if (released) return;
      released = true;
      await server.close();
      try {
        await files.createExclusive(lockFile(directory, number + 1), 'given back');
      } catch (error) {
        // A full disk takes no file. The next one finds that this process is over, and takes the lock from it.
        if (!(error instanceof FileError)) throw error;
      }
    },
  };
}

async function lives(options: HostLockOptions, owner: LockOwner): Promise<boolean> {
  if (owner.bootId !== options.bootId) return false;
  if (owner.pidNamespace === pidNamespace(options)) return isAlive(options.files, options.proc, owner);
  // Its pid means nothing to us. Its socket does: a connection is taken as long as the process lives, even if it never answers.
  try {
    await askOwner(options.sockets, options.directory, { command: 'status' });
    return true;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED';
  }
}

function readOwner(files: Files, directory: string, number: number): LockOwner | null {
  let text: string;
  try {
    text = files.readText(lockFile(directory, number));
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return null;
    throw error;
  }
  if (text === 'given back') return null;
  try {
    return JSON.parse(text) as LockOwner;
  } catch (error) {
    // Whose it is cannot be told, so nobody may take it over unseen.
    throw new FileError('parse', `${lockFile(directory, number)} (remove it if no agent runs)`, 'EBADMSG', {
      cause: error,
    });
  }
}

function highestNumber(files: Files, directory: string): number {
  return lockNumbers(files, directory).reduce((highest, number) => Math.max(highest, number), 0);
}

function lockNumbers(files: Files, directory: string): readonly number[] {
  return files.list(directory).flatMap((name) => {
    const digits = /^lock\.(\d{1,15})$/.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
}

async function removeOlder(files: Files, directory: string, number: number): Promise<void> {
  for (const older of lockNumbers(files, directory).filter((one) => one <= number - kept)) {
    await files.remove(lockFile(directory, older));
  }
}

async function answerLine(options: HostLockOptions, line: string): Promise<string> {
  try {
    return JSON.stringify(await options.answer(parseRequest(line)));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return JSON.stringify({ ok: false, message } satisfies ControlAnswer);
  }
}

function parseRequest(line: string): ControlRequest {
  const request = JSON.parse(line) as { readonly command?: unknown; readonly address?: unknown } | null;
  if (request?.command === 'status') return { command: 'status' };
  if (request?.command === 'release' && typeof request.address === 'string') {
    return { command: 'release', address: request.address };
  }
  throw new Error('not a request: expected {"command":"release","address":"0000:3b:00.0"} or {"command":"status"}');
}

function describe(owner: LockOwner): string {
  return `another writer is at work on this host: ${owner.program}, process ${owner.pid}. One at a time; stop it, or ask it`;
}

function pidNamespace(options: HostLockOptions): string {
  return options.files.readLink(`${options.proc}/self/ns/pid`);
}

function lockFile(directory: string, number: number): string {
  return `${directory}/lock.${number}`;
}
