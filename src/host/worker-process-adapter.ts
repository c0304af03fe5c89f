// One kernel worker as a child process: its start, one request at a time with a deadline, and its end. A worker that misses its
// deadline is never waited for and never killed: a signal would only change its sleep from S to D (vfio_main.c, first phase of
// vfio_unregister_group_dev), and its answer is how we learn that the kernel call has returned.
import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { WorkerUnavailable } from './ports.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import type { WorkerAnswer, WorkerHello, WorkerRequest } from './kernel-worker-protocol.ts';

/** How to start a worker. */
export interface WorkerCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** Milliseconds until its first line must have come. */
  readonly startDeadline: number;
}

/** How a request ended. `Ended`: the worker died before it answered, so what the kernel did is not known. */
export type RequestOutcome =
  | { readonly outcome: 'Answered'; readonly answer: WorkerAnswer }
  | { readonly outcome: 'Ended' }
  | { readonly outcome: 'Late'; readonly returned: Promise<void> };

/** A running worker. */
export interface WorkerProcess {
  readonly identity: ProcessIdentity;
  /** Why it stayed in our cgroup, null when it left or was not asked to. */
  readonly stayed: string | null;
  readonly ended: boolean;
  /** After a `Late` outcome there must be no other request. */
  request(request: WorkerRequest, deadline: number): Promise<RequestOutcome>;
  /** Lets it end after what it does now. */
  letGo(): void;
}

/** Starts a worker. Rejects with `WorkerUnavailable` when it ends or says nothing before its deadline. */
export async function startWorkerProcess(command: WorkerCommand): Promise<WorkerProcess> {
  const child = spawn(command.file, command.args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    cwd: '/',
    env: {},
    // A session of its own: no signal of a terminal or of our process group reaches it.
    detached: true,
  });
  const conversation = openConversation(child);
  const first = await conversation.nextLine(command.startDeadline);
  if ('line' in first) {
    const hello = JSON.parse(first.line) as WorkerHello;
    return toWorkerProcess(hello, conversation);
  }
  child.kill('SIGKILL');
  conversation.letGo();
  const why = first.problem === 'ended' ? conversation.lastWords() : `said nothing for ${command.startDeadline} ms`;
  throw new WorkerUnavailable(`cannot start a kernel worker (${command.file}): ${why}`);
}

function toWorkerProcess(hello: WorkerHello, conversation: Conversation): WorkerProcess {
  return {
    identity: { pid: hello.pid, startTime: hello.startTime },
    stayed: hello.stayed,
    get ended() {
      return conversation.ended();
    },
    letGo: conversation.letGo,
    async request(request, deadline) {
      conversation.say(JSON.stringify(request));
      const next = await conversation.nextLine(deadline);
      if ('line' in next) return { outcome: 'Answered', answer: JSON.parse(next.line) as WorkerAnswer };
      if (next.problem === 'ended') return { outcome: 'Ended' };
      conversation.letGo();
      return { outcome: 'Late', returned: conversation.end };
    },
  };
}

type NextLine = { readonly line: string } | { readonly problem: 'ended' | 'late' };

interface Conversation {
  say(line: string): void;
  /** The next line; while it is awaited, the child keeps our process alive. One at a time. */
  nextLine(deadline: number): Promise<NextLine>;
  letGo(): void;
  ended(): boolean;
  lastWords(): string;
  readonly end: Promise<void>;
}

function openConversation(child: ChildProcess): Conversation {
  let ended = false;
  let lastWords = 'ended at once';
  let text = '';
  const lines: string[] = [];
  let waiting: ((next: NextLine) => void) | null = null;
  const wake = (): void => {
    const line = waiting === null || ended ? undefined : lines.shift();
    const take = waiting;
    if (take === null || (line === undefined && !ended)) return;
    waiting = null;
    take(line === undefined ? { problem: 'ended' } : { line });
  };
  const end = new Promise<void>((resolve) => {
    const finish = (words: string): void => {
      if (ended) return;
      lastWords = words;
      ended = true;
      wake();
      resolve();
    };
    child.on('error', (error) => finish(error.message));
    // `close` comes after the last of its output, so that an answer given just before the end still counts.
    child.on('close', (code, signal) => finish(`ended with ${signal ?? `code ${code ?? '?'}`}`));
  });
  child.stdin?.on('error', () => undefined);
  child.stdout?.setEncoding('utf8');
  child.stdout?.on('data', (chunk: string) => {
    text += chunk;
    const complete = text.split('\n');
    text = complete.pop() ?? '';
    lines.push(...complete);
    wake();
  });
  child.stdout?.on('error', () => undefined);
  const keepAlive = (on: boolean): void => {
    if (on) child.ref();
    else child.unref();
    for (const stream of [child.stdin, child.stdout]) setRef(stream, on);
  };
  return {
    end,
    ended: () => ended,
    lastWords: () => lastWords,
    say: (line) => void child.stdin?.write(`${line}\n`),
    letGo: () => void child.stdin?.end(),
    nextLine: (deadline) =>
      new Promise((resolve) => {
        keepAlive(true);
        const finish = (next: NextLine): void => {
          clearTimeout(timer);
          waiting = null;
          keepAlive(false);
          resolve(next);
        };
        const timer = setTimeout(() => finish({ problem: 'late' }), deadline);
        waiting = finish;
        wake();
      }),
  };
}

// Node's pipes to a child are sockets, and each holds our event loop of its own.
function setRef(stream: Readable | Writable | null, on: boolean): void {
  if (!(stream instanceof Socket)) return;
  if (on) stream.ref();
  else stream.unref();
}
