// Runs in the guest beside the agent and watches its journal. Told on stdin, a line of JSON a trap, at which record to act and how
// (`TrapRequest`); it says `TrapLine`s. Under a real-time class on the guest's one processor (`chrt --fifo 50`) it runs as soon as a
// record is in the file, before the agent goes on: what it kills or stops has announced the next kernel write and not made it.
// `made` makes that write itself, exactly as the kernel worker would, before the agent dies: killed after the write and before any word
// of it. Usage: node journal-trap.ts JOURNAL.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, statSync, watch, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Step } from '../../../src/domain/step.ts';

/** What is to happen at a record. `signal` alone stops or ends the agent; `made` writes what the record announces, then ends it. */
export type TrapAct = 'SIGKILL' | 'SIGSTOP' | 'made';

/** A trap. Records are those written from now on; `skip` of those that `pattern` matches go by first. */
export interface TrapRequest {
  readonly id: number;
  readonly pid: number;
  readonly act: TrapAct;
  readonly pattern: string;
  readonly skip: number;
}

/** What it says: that it watches for `id`; that it has acted, on which record, and what the kernel answered to the write. */
export type TrapLine =
  | { readonly id: number; readonly armed: true }
  | { readonly id: number; readonly sprung: string; readonly answer: string | null }
  /** Every record, with the number of the trap that was set last. */
  | { readonly id: number; readonly record: string };

const journal = process.argv[2] ?? '';
const sysfs = '/sys/bus/pci';
// Reading on from where we are keeps what is done between two records short.
let inode = statSync(journal).ino;
let file = openSync(journal, 'r');
let at = readFileSync(file).length;
let partial = '';
const chunk = Buffer.alloc(64 * 1024);
let armed: { readonly request: TrapRequest; readonly pattern: RegExp; left: number } | null = null;
let current = 0;

function say(line: TrapLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function look(): void {
  for (;;) {
    const count = readSync(file, chunk, 0, chunk.length, at);
    if (count === 0) return;
    at += count;
    const lines = (partial + chunk.toString('utf8', 0, count)).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) hear(line);
  }
}

function hear(line: string): void {
  if (armed?.pattern.test(line) === true && armed.left-- === 0) spring(armed.request, line);
  say({ id: current, record: line });
}

function spring({ id, pid, act }: TrapRequest, line: string): void {
  armed = null;
  process.kill(pid, act === 'made' ? 'SIGSTOP' : act);
  const answer = act === 'made' ? perform(line) : null;
  if (act === 'made') process.kill(pid, 'SIGKILL');
  say({ id, sprung: line, answer });
}

/** Makes the write that the record announces; what the kernel says is told, not judged. */
function perform(line: string): string {
  const { step } = JSON.parse(line.slice(line.indexOf('{'))) as { readonly step?: Step };
  if (step === undefined) return 'the record announces no write';
  if (step.kind === 'LoadModule') return `modprobe: exit ${spawnSync('modprobe', [step.module]).status}`;
  const device = `${sysfs}/devices/${step.address}`;
  switch (step.kind) {
    case 'SetOverride':
      return write(`${device}/driver_override`, `${step.driver?.name ?? ''}\n`);
    case 'Unbind':
      return write(`${sysfs}/drivers/${step.driver}/unbind`, step.address);
    case 'Bind':
      return write(`${sysfs}/drivers/${step.driver.name ?? ''}/bind`, step.address);
    case 'Probe':
      return write(`${sysfs}/drivers_probe`, step.address);
    case 'SetAutoprobe':
      return write(`${device}/sriov_drivers_autoprobe`, step.value ? '1' : '0');
    case 'SetVirtualFunctions':
      return write(`${device}/sriov_numvfs`, String(step.count));
  }
}

function write(path: string, text: string): string {
  try {
    const target = openSync(path, 'w');
    try {
      writeSync(target, text);
    } finally {
      closeSync(target);
    }
    return 'written';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

watch(journal.slice(0, journal.lastIndexOf('/')), (_, name) => {
  if (name !== 'journal') return;
  const now = statSync(journal, { throwIfNoEntry: false });
  // Compacted, or taken over by the next agent: everything in the new file is newer than what we have read.
  if (now !== undefined && now.ino !== inode) {
    inode = now.ino;
    closeSync(file);
    file = openSync(journal, 'r');
    at = 0;
    partial = '';
  }
  look();
});

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as TrapRequest;
  look();
  current = request.id;
  armed = { request, pattern: new RegExp(request.pattern), left: request.skip };
  say({ id: request.id, armed: true });
}
process.exit(0);
