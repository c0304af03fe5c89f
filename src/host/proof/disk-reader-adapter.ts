// Reads disks in a child process, one per read: a read from a dead disk sleeps in the kernel, and then it is the child that sleeps.
import { spawn } from 'node:child_process';
import type { DiskReader, DiskReading } from './ports.ts';

// Runs in the child: opens the node named first and writes the ranges (offset, length, ...) one after the other to stdout.
const program = `
const fs = require('node:fs');
const [node, ...numbers] = process.argv.slice(1);
const fd = fs.openSync(node, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
for (let at = 0; at + 1 < numbers.length; at += 2) {
  let offset = Number(numbers[at]);
  const end = offset + Number(numbers[at + 1]);
  while (offset < end) {
    const bytes = Buffer.alloc(Math.min(65536, end - offset));
    const count = fs.readSync(fd, bytes, 0, bytes.length, offset);
    if (count === 0) process.exit(3);
    fs.writeSync(1, bytes.subarray(0, count));
    offset += count;
  }
}
`;

// More dead disks than these are not found out one by one.
const abandonedLimit = 4;

/** Reads by `executable` (a Node binary); past `deadline` milliseconds the child is abandoned. */
export function createDiskReader(executable: string, deadline = 5_000): DiskReader {
  const abandoned = new Set<string>();
  return {
    read: (node, ranges) => {
      if (abandoned.has(node)) return Promise.resolve({ failure: 'an earlier read has not returned' });
      if (abandoned.size >= abandonedLimit)
        return Promise.resolve({ failure: `${abandoned.size} reads have not returned` });
      return new Promise((resolve) => {
        const numbers = ranges.flatMap(({ offset, length }) => [String(offset), String(length)]);
        const child = spawn(executable, ['-e', program, node, ...numbers], {
          cwd: '/',
          env: {},
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const output: Buffer[] = [];
        let message = '';
        const timer = setTimeout(() => {
          abandoned.add(node);
          child.kill('SIGKILL');
          child.unref();
          child.stdout.destroy();
          child.stderr.destroy();
          resolve({ failure: `no answer in ${deadline} ms` });
        }, deadline);
        child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
        child.stderr.on('data', (bytes: Buffer) => (message = (message + bytes.toString('utf8')).slice(0, 2_000)));
        child.on('error', (error) => {
          clearTimeout(timer);
          resolve({ failure: `cannot start ${executable}: ${error.message}` });
        });
        child.on('exit', () => abandoned.delete(node));
        child.on('close', (code) => {
          clearTimeout(timer);
          resolve(code === 0 ? cut(Buffer.concat(output), ranges) : { failure: describeEnd(code, message) });
        });
      });
    },
  };
}

function cut(output: Buffer, ranges: readonly { readonly length: number }[]): DiskReading {
  let start = 0;
  return { pieces: ranges.map(({ length }) => output.subarray(start, (start += length))) };
}

function describeEnd(code: number | null, message: string): string {
  if (code === 3) return 'it ended early';
  return /\b(E[A-Z0-9]{2,}): /.exec(message)?.[1] ?? `reader ended with ${code ?? 'a signal'}`;
}
