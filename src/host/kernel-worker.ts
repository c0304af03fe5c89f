// The kernel worker: a child process whose only work is to make the kernel calls that may never return, one at a time and
// synchronously. It ends when its input ends: the agent let it go, or is gone. A call in flight then ends by itself, whenever the
// kernel lets it. It has no other open file, no timer and no thread of its own in the kernel.
// Usage: kernel-worker [--cgroup DIRECTORY]
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { WorkerAnswer, WorkerHello, WorkerRequest } from './kernel-worker-protocol.ts';

const attributeLimit = 64 * 1024;
const headerLength = 64;
/** Serves every read: one of its own for each would pile up outside the heap. */
const attribute = Buffer.allocUnsafeSlow(attributeLimit);

function main(argv: readonly string[]): void {
  const cgroup = argv[0] === '--cgroup' ? argv[1] : undefined;
  const stayed = cgroup === undefined ? null : leaveCgroup(cgroup);
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  say({ pid: process.pid, startTime, stayed });
  for (const line of inputLines()) say(serve(JSON.parse(line) as WorkerRequest));
}

/**
 * Moves this process to a cgroup of its own, outside the pod's: one that hangs in the kernel would keep the pod Terminating. On
 * cgroup v2 mounted `nsdelegate` the kernel permits it only to a process in the initial cgroup namespace (cgroups(7)), which is
 * why we are started through nsenter. Returns why it failed, null when it worked.
 */
function leaveCgroup(directory: string): string | null {
  try {
    // Only in a cgroup v2 file system: elsewhere the directory would be a mere directory, left behind.
    statSync(`${dirname(directory)}/cgroup.procs`);
    mkdirSync(directory, { recursive: true });
    writeOnce(`${directory}/cgroup.procs`, '0');
    return null;
  } catch (error) {
    return `${directory}: ${toErrno(error)}`;
  }
}

function serve(request: WorkerRequest): WorkerAnswer {
  if ('read' in request) return { results: request.read.map(readOne) };
  try {
    writeOnce(request.write.path, request.write.text);
    return { errno: null };
  } catch (error) {
    return { errno: toErrno(error) };
  }
}

// With O_CREAT a missing attribute would be EACCES instead of ENOENT, and sysfs takes each write as one whole command.
function writeOnce(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

function readOne(path: string): { text: string } | { errno: string } {
  try {
    const fd = openSync(path, constants.O_RDONLY);
    try {
      return { text: isBinary(path) ? readHeader(fd) : readToEnd(fd) };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { errno: toErrno(error) };
  }
}

// A PCI function's configuration space; without CAP_SYS_ADMIN its first 64 bytes are all there is (pci_read_config()).
function isBinary(path: string): boolean {
  return path.endsWith('/config');
}

function readHeader(fd: number): string {
  const bytes = Buffer.alloc(headerLength);
  return bytes.subarray(0, readSync(fd, bytes, 0, headerLength, 0)).toString('hex');
}

function readToEnd(fd: number): string {
  let total = 0;
  while (total < attribute.length) {
    const count = readSync(fd, attribute, total, attribute.length - total, null);
    if (count === 0) break;
    total += count;
  }
  return attribute.toString('utf8', 0, total);
}

function* inputLines(): Generator<string> {
  const chunk = Buffer.alloc(attributeLimit);
  const decoder = new StringDecoder('utf8');
  let text = '';
  for (;;) {
    const count = readSync(0, chunk, 0, chunk.length, null);
    if (count === 0) return;
    text += decoder.write(chunk.subarray(0, count));
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

function say(message: WorkerHello | WorkerAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let done = 0; done < bytes.length;) done += writeSync(1, bytes, done);
}

function toErrno(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  // The agent is gone: nobody is left to hear an answer.
  if (toErrno(error) !== 'EPIPE') throw error;
}
