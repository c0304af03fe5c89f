// A program of the control plane as a process of the test machine: in a group of its own, its output in a file, ended by its id and gone for
// certain when the promise says so, killed by the kernel when the test that started it dies.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../lab/lab-error.ts';

export type StopSignal = 'SIGTERM' | 'SIGKILL';

export interface ServiceInput {
  readonly name: string;
  readonly program: string;
  readonly flags: readonly string[];
  /** File that takes both outputs; a restart appends to it. */
  readonly log: string;
  /** Whether it does its work; asked every 100 ms after a start. */
  readonly ready: () => Promise<boolean>;
  /** Default 90. */
  readonly readySeconds?: number;
  /** What `stop` sends unless told; default SIGTERM. */
  readonly stopSignal?: StopSignal;
}

/** A program that can be ended, started again and frozen. */
export interface Service {
  readonly name: string;
  /** Starts it and waits until it is ready. Throws LabError with the end of its log when it ends or does not get ready. */
  start(): Promise<void>;
  /** Sends the signal and resolves when the process is gone; does nothing when it is. */
  stop(signal?: StopSignal): Promise<void>;
  /** SIGSTOP: it keeps its connections and answers nobody. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  running(): boolean;
  pid(): number | undefined;
  /** All it has written so far. */
  log(): string;
}

/** A service that does not run yet. */
export function newService(input: ServiceInput): Service {
  let child: ChildProcess | undefined;
  let gone: Promise<string> = Promise.resolve('it was never started');
  const running = (): boolean => child !== undefined;
  const log = (): string => (existsSync(input.log) ? readFileSync(input.log, 'utf8') : '');
  const signal = (name: NodeJS.Signals): void => void child?.kill(name);
  const failure = (how: string): LabError =>
    new LabError(`${input.name} ${how}.`, {
      detail: log(),
      hint: `its whole output is in ${input.log} while the test runs`,
    });

  async function start(): Promise<void> {
    if (running()) return;
    const output = openSync(input.log, 'a');
    // The kernel kills it when the thread that started it ends: nothing outlives its test.
    const own = spawn('setpriv', ['--pdeathsig', 'KILL', '--', input.program, ...input.flags], {
      stdio: ['ignore', output, output],
      detached: true,
    });
    closeSync(output);
    child = own;
    gone = new Promise((resolve) => {
      const end = (how: string): void => {
        if (child === own) child = undefined;
        resolve(how);
      };
      own.once('error', (error) => end(`cannot be started: ${error.message}`));
      own.once('exit', (code, by) => end(`ended with ${by ?? `exit code ${code}`}`));
    });
    const deadline = Date.now() + (input.readySeconds ?? 90) * 1000;
    while (!(await input.ready().catch(() => false))) {
      if (!running()) throw failure(await gone);
      if (Date.now() > deadline) {
        await stop('SIGKILL');
        throw failure(`was not ready in ${input.readySeconds ?? 90} s`);
      }
      await sleep(100);
    }
  }

  async function stop(by: StopSignal = input.stopSignal ?? 'SIGTERM'): Promise<void> {
    if (!running()) return;
    // A frozen process takes SIGTERM only once it goes on.
    signal(by);
    signal('SIGCONT');
    await gone;
  }

  return {
    name: input.name,
    start,
    stop,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    running,
    pid: () => child?.pid,
    log,
  };
}

/** `count` different ports of 127.0.0.1 that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
