// The lab's hand inside the guest: does what the test machine asks over a virtio-serial port, several things at once.
// File operations run in worker threads, one batch per thread: a sysfs write or read that the kernel holds for ever
// keeps its own thread only, and the next batch gets another. It must stand alone: it imports nothing but node's own.

import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { constants, release } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import type { CommandEnd, FileOperation, FileResult, FileValue, Reply, Request } from '../protocol.ts';
import type { FileStat } from '../../../../src/runtime/ports.ts';

const PORT = 'lab.executor';
const OUTPUT_LIMIT = 16 * 1024 * 1024;

if (isMainThread) serve();
else
  parentPort?.on('message', (operations: readonly FileOperation[]) => parentPort?.postMessage(operations.map(perform)));

// ---- file operations, in a worker thread

function perform(operation: FileOperation): FileResult {
  try {
    return { ok: true, value: valueOf(operation) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { ok: false, code: code ?? 'UNKNOWN', message };
  }
}

function valueOf(operation: FileOperation): FileValue {
  if (operation.op === 'exec') return commandEnd(operation.command, operation.timeoutMs ?? 60_000);
  const { path } = operation;
  switch (operation.op) {
    case 'readText':
      return fs.readFileSync(path, 'utf8');
    case 'readBase64':
      return readBytes(path, operation.offset, operation.length ?? OUTPUT_LIMIT).toString('base64');
    case 'readLink':
      return fs.readlinkSync(path);
    case 'realPath':
      return fs.realpathSync.native(path);
    case 'list':
      return fs.readdirSync(path);
    case 'stat':
      return describe(operation.followLinks === false ? fs.lstatSync(path) : fs.statSync(path));
    case 'exists':
      return fs.existsSync(path);
    case 'write':
      return writeOnce(path, operation.text, operation.create === true);
    case 'makeDirectory':
      fs.mkdirSync(path, { recursive: true });
      return null;
    case 'remove':
      fs.rmSync(path, { recursive: true });
      return null;
  }
}

function commandEnd(command: string, timeoutMs: number): CommandEnd {
  const options = { encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_LIMIT } as const;
  const end = spawnSync('/bin/sh', ['-c', command], { ...options, cwd: '/' });
  const timedOut = end.error !== undefined && 'code' in end.error && end.error.code === 'ETIMEDOUT';
  return { code: end.status, signal: end.signal, stdout: end.stdout, stderr: end.stderr, timedOut };
}

/** Up to `length` bytes from `offset`; without an offset the file is read like a pipe. */
function readBytes(path: string, offset: number | undefined, length: number): Buffer {
  const file = fs.openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let got = 0; got < length;) {
      const chunk = Buffer.alloc(Math.min(length - got, 65536));
      const count = fs.readSync(file, chunk, 0, chunk.length, offset === undefined ? null : offset + got);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      got += count;
    }
    return Buffer.concat(chunks);
  } finally {
    fs.closeSync(file);
  }
}

/** sysfs takes each write(2) as one whole command, and O_CREAT would turn "no such attribute" into EACCES. */
function writeOnce(path: string, text: string, create: boolean): null {
  const flags = fs.constants.O_WRONLY | (create ? fs.constants.O_CREAT | fs.constants.O_TRUNC : 0);
  const file = fs.openSync(path, flags, 0o644);
  try {
    const bytes = Buffer.from(text);
    if (create) fs.writeFileSync(file, bytes);
    else fs.writeSync(file, bytes);
  } finally {
    fs.closeSync(file);
  }
  return null;
}

function describe(stat: fs.Stats): FileStat {
  const kind = kindOf(stat);
  // glibc's encoding of dev_t: gnu_dev_major(3).
  const device = BigInt(stat.rdev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return {
    kind,
    inode: stat.ino,
    device: stat.dev,
    node: kind === 'char' || kind === 'block' ? `${major}:${minor}` : null,
    size: stat.size,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    modifiedAt: stat.mtimeMs,
    changedAt: stat.ctimeMs,
  };
}

function kindOf(stat: fs.Stats): FileStat['kind'] {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'link';
  if (stat.isCharacterDevice()) return 'char';
  if (stat.isBlockDevice()) return 'block';
  if (stat.isFIFO()) return 'fifo';
  return stat.isSocket() ? 'socket' : 'file';
}

// ---- the channel, in the main thread

function serve(): void {
  const port = fs.openSync(portPath(), 'r+');
  const send = sender(port);
  const idle: Worker[] = [newWorker()];
  const commands = new Map<number, ChildProcess>();
  receive(port, (request) => {
    switch (request.kind) {
      case 'files':
        return runBatch(idle, request.id, request.operations, send);
      case 'run':
        return runCommand(commands, request, send);
      case 'signal':
        return send({ kind: 'done', id: request.id, ...signalled(commands, request) });
      case 'input': {
        const stdin = commands.get(request.target)?.stdin;
        if (request.text === null) stdin?.end();
        else stdin?.write(request.text);
        return send({ kind: 'done', id: request.id, ...(stdin ? {} : { error: 'ESRCH' }) });
      }
    }
  });
  const uptimeSeconds = Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  send({ kind: 'ready', pid: process.pid, uptimeSeconds });
}

/** The kernel lists ports under /sys/class/virtio-ports with the name QEMU gave them. */
function portPath(): string {
  const base = '/sys/class/virtio-ports';
  const found = fs.readdirSync(base).find((name) => fs.readFileSync(`${base}/${name}/name`, 'utf8').trim() === PORT);
  if (found === undefined) throw new Error(`no port ${PORT} under ${base} (kernel ${release()})`);
  return `/dev/${found}`;
}

function sender(port: number): (reply: Reply) => void {
  const queue: Buffer[] = [];
  let writing = false;
  const pump = (): void => {
    const chunk = queue[0];
    if (chunk === undefined) {
      writing = false;
      return;
    }
    writing = true;
    fs.write(port, chunk, (error, count) => {
      if (error) throw error;
      if (count >= chunk.length) queue.shift();
      else queue[0] = chunk.subarray(count);
      pump();
    });
  };
  return (reply) => {
    queue.push(Buffer.from(`${JSON.stringify(reply)}\n`));
    if (!writing) pump();
  };
}

function receive(port: number, handle: (request: Request) => void): void {
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.alloc(65536);
  let text = '';
  const next = (): void => {
    fs.read(port, buffer, 0, buffer.length, null, (error, count) => {
      if (error) throw error;
      // Nothing to read means that the other side is not connected at the moment.
      if (count === 0) return void setTimeout(next, 20);
      const lines = (text + decoder.write(buffer.subarray(0, count))).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) if (line !== '') handle(JSON.parse(line) as Request);
      next();
    });
  };
  next();
}

function newWorker(): Worker {
  return new Worker(new URL(import.meta.url));
}

function runBatch(
  idle: Worker[],
  id: number,
  operations: readonly FileOperation[],
  send: (reply: Reply) => void,
): void {
  const worker = idle.pop() ?? newWorker();
  worker.once('message', (results: readonly FileResult[]) => {
    idle.push(worker);
    send({ kind: 'files', id, results });
  });
  worker.postMessage(operations);
}

function runCommand(
  commands: Map<number, ChildProcess>,
  request: Extract<Request, { kind: 'run' }>,
  send: (reply: Reply) => void,
): void {
  const { id } = request;
  const child = spawn('/bin/sh', ['-c', request.command], {
    detached: true,
    stdio: 'pipe',
    env: { ...process.env, ...request.environment },
    cwd: '/',
  });
  commands.set(id, child);
  const collected = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      if (request.stream) send({ kind: 'output', id, stream, text });
      else if (collected[stream].length < OUTPUT_LIMIT) collected[stream] += text;
    });
  }
  child.stdin.on('error', () => undefined);
  if (request.input !== undefined) child.stdin.end(request.input);
  else if (!request.stream) child.stdin.end();
  let ended = false;
  let timedOut = false;
  const end = (code: number | null, signal: string | null): void => {
    if (ended) return;
    ended = true;
    if (timer !== undefined) clearTimeout(timer);
    send({ kind: 'ended', id, end: { code, signal, ...collected, timedOut } });
  };
  // SIGKILL does not reach a task the kernel holds: the reply must not wait for its death.
  const timer =
    request.timeoutMs === 0
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          signalGroup(child, 'SIGKILL');
          setTimeout(() => end(null, null), 200);
        }, request.timeoutMs);
  child.once('error', (error) => {
    collected.stderr += error.message;
    end(127, null);
  });
  child.once('spawn', () => send({ kind: 'started', id, pid: child.pid ?? 0 }));
  child.once('close', (code, signal) => {
    commands.delete(id);
    end(code, signal);
  });
}

function signalled(
  commands: Map<number, ChildProcess>,
  request: Extract<Request, { kind: 'signal' }>,
): { readonly error?: string } {
  const child = commands.get(request.target);
  if (child?.pid === undefined) return { error: 'ESRCH' };
  const signal = request.signal as NodeJS.Signals;
  if (constants.signals[signal] === undefined) return { error: 'EINVAL' };
  try {
    process.kill(request.group ? -child.pid : child.pid, signal);
    return {};
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? 'UNKNOWN' };
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}
