// A booted guest as tests see it: commands, processes, files, QEMU's controls, its console, its end.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from './channel.ts';
import type { KernelName } from './kernels.ts';
import { LabError } from './lab-error.ts';
import type { Machine } from './machine.ts';
import type { CommandEnd, FileOperation, FileResult, Reply } from './protocol.ts';
import type { Qmp, QmpValue } from './qmp.ts';
import type { LabDevice } from './topology.ts';

export interface ExecOptions {
  /** After this many ms the command is killed and the result says `timedOut`. Default 60,000. */
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A process started in the guest that goes on beside the test. */
export interface GuestProcess {
  /** PID in the guest; also its process group. */
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when its stdout and stderr so far contain `text`; throws LabError when it ends or the time runs out first. */
  waitFor(text: string | RegExp, timeoutMs?: number): Promise<void>;
  /** Sends a signal such as SIGTERM to the process, or to its whole group. */
  signal(name: NodeJS.Signals, to?: 'process' | 'group'): Promise<void>;
  /** Writes to its stdin; `null` closes it. */
  input(text: string | null): Promise<void>;
  readonly ended: Promise<CommandEnd>;
}

export interface Guest {
  readonly kernel: KernelName;
  /** `uname -r`. */
  readonly release: string;
  /** Seconds from power-on to the executor's greeting, as the test machine's clock saw it. */
  readonly bootSeconds: number;
  /** The vfio_pci aliases kbuild wrote into the variants, as `PATTERN MODULE`; none on 5.10. */
  readonly variantAliases: readonly string[];
  /** Runs a shell command; a failing one is a result. */
  exec(command: string, options?: ExecOptions): Promise<CommandEnd>;
  /** Runs a shell command that must succeed and returns its stdout without the last newline. */
  run(command: string, options?: ExecOptions): Promise<string>;
  spawn(command: string, options?: Omit<ExecOptions, 'timeoutMs' | 'input'>): Promise<GuestProcess>;
  /**
   * Performs `operations` in order in one round trip and returns the kernel's answer to each. It resolves when the
   * kernel has answered, however long that takes; other batches go on meanwhile.
   */
  files(operations: readonly FileOperation[]): Promise<readonly FileResult[]>;
  /** Content of a file; throws LabError with the errno when the guest cannot read it. */
  readText(path: string): Promise<string>;
  /** One write(2) to an existing file, as sysfs wants it; throws LabError with the errno. */
  writeText(path: string, text: string): Promise<void>;
  /** Creates or replaces a file. */
  createFile(path: string, text: string): Promise<void>;
  qmp(command: string, parameters?: Readonly<Record<string, QmpValue>>): Promise<QmpValue>;
  qmpEvents(): ReturnType<Qmp['events']>;
  /** PCI address of a device of the lab, by QEMU's word; `disk` names of boot options are devices too. */
  pciAddress(device: LabDevice | (string & {})): Promise<string>;
  console(): string;
  /** Flushes the guest's disks, then switches it off. */
  shutdown(): Promise<void>;
  /** Power cut. */
  kill(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a guest is made of. */
export interface GuestParts {
  readonly kernel: KernelName;
  readonly release: string;
  readonly bootSeconds: number;
  readonly variantAliases: readonly string[];
  readonly machine: Machine;
  readonly channel: Channel;
  readonly qmp: Qmp;
}

/** Joins the parts of a running machine into a Guest. */
export function guestOf(parts: GuestParts): Guest {
  const { machine, channel, qmp } = parts;
  const files: Guest['files'] = (operations) =>
    unattended((resolve, reject) => {
      channel.send(
        { kind: 'files', operations },
        (reply) => {
          if (reply.kind === 'files') resolve(reply.results);
          return true;
        },
        reject,
      );
    });
  const exec: Guest['exec'] = (command, options = {}) => collect(channel, command, options);
  const one = async (operation: Extract<FileOperation, { readonly path: string }>): Promise<string> => {
    const [result] = await files([operation]);
    if (result?.ok === true) return typeof result.value === 'string' ? result.value : '';
    throw new LabError(`${operation.op} ${operation.path} in the guest: ${result?.code}: ${result?.message}`);
  };
  const kill = async (): Promise<void> => {
    channel.close();
    await machine.kill();
  };
  const shutdown = async (): Promise<void> => {
    if (!machine.running()) return;
    await exec('sync', { timeoutMs: 20_000 }).catch(() => undefined);
    const patience = sleep(2_000, undefined, { ref: false });
    await Promise.race([qmp.execute('quit').catch(() => undefined), machine.stopped, patience]);
    await Promise.race([machine.stopped, patience]);
    await kill();
  };
  return {
    kernel: parts.kernel,
    release: parts.release,
    bootSeconds: parts.bootSeconds,
    variantAliases: parts.variantAliases,
    exec,
    run: async (command, options) => {
      const end = await exec(command, options);
      if (end.code === 0) return end.stdout.replace(/\n$/, '');
      const how = end.timedOut ? 'did not end in time' : `ended with ${end.code ?? end.signal}`;
      throw new LabError(`In the guest, ${command} ${how}.`, { detail: `${end.stdout}\n${end.stderr}` });
    },
    spawn: (command, options) => start(channel, command, options?.environment),
    files,
    readText: (path) => one({ op: 'readText', path }),
    writeText: async (path, text) => void (await one({ op: 'write', path, text })),
    createFile: async (path, text) => void (await one({ op: 'write', path, text, create: true })),
    qmp: (command, parameters) => qmp.execute(command, parameters),
    qmpEvents: () => qmp.events(),
    pciAddress: async (device) => pciAddressIn(await qmp.execute('query-pci'), device),
    console: () => machine.console(),
    shutdown,
    kill,
    [Symbol.asyncDispose]: shutdown,
  };
}

/** A promise that may fail when nobody looks any more: what the kernel still holds when the guest is switched off. */
function unattended<T>(start: (resolve: (value: T) => void, reject: (error: LabError) => void) => void): Promise<T> {
  const promise = new Promise<T>(start);
  promise.catch(() => undefined);
  return promise;
}

function collect(channel: Channel, command: string, options: ExecOptions): Promise<CommandEnd> {
  return unattended((resolve, reject) => {
    channel.send(
      {
        kind: 'run',
        command,
        timeoutMs: options.timeoutMs ?? 60_000,
        stream: false,
        ...(options.input === undefined ? {} : { input: options.input }),
        ...(options.environment === undefined ? {} : { environment: options.environment }),
      },
      (reply) => {
        if (reply.kind === 'ended') resolve(reply.end);
        return reply.kind === 'ended';
      },
      reject,
    );
  });
}

async function start(
  channel: Channel,
  command: string,
  environment: Readonly<Record<string, string>> | undefined,
): Promise<GuestProcess> {
  const output = { stdout: '', stderr: '' };
  const started = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<CommandEnd>();
  ended.promise.catch(() => undefined);
  let over = false;
  const id = channel.send(
    { kind: 'run', command, timeoutMs: 0, stream: true, ...(environment === undefined ? {} : { environment }) },
    (reply) => {
      if (reply.kind === 'started') started.resolve(reply.pid);
      if (reply.kind === 'output') output[reply.stream] += reply.text;
      if (reply.kind !== 'ended') return false;
      over = true;
      started.reject(new LabError(`In the guest, ${command} could not be started: ${reply.end.stderr}`));
      ended.resolve({ ...reply.end, ...output });
      return true;
    },
    (error) => {
      started.reject(error);
      ended.reject(error);
    },
  );
  const pid = await started.promise;
  const matches = (text: string | RegExp): boolean => {
    const all = `${output.stdout}\n${output.stderr}`;
    return typeof text === 'string' ? all.includes(text) : text.test(all);
  };
  return {
    pid,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    ended: ended.promise,
    waitFor: async (text, timeoutMs = 60_000) => {
      const deadline = Date.now() + timeoutMs;
      while (!matches(text)) {
        if (over || Date.now() > deadline) {
          const why = over ? 'ended' : `went on for ${timeoutMs} ms`;
          throw new LabError(`In the guest, ${command} ${why} without saying ${text}.`, {
            detail: `${output.stdout}\n${output.stderr}`,
          });
        }
        await sleep(20);
      }
    },
    signal: (name, to = 'process') =>
      acknowledged(channel, { kind: 'signal', target: id, signal: name, group: to === 'group' }, `${name} to ${pid}`),
    input: (text) => acknowledged(channel, { kind: 'input', target: id, text }, `input for ${pid}`),
  };
}

function acknowledged(channel: Channel, request: Parameters<Channel['send']>[0], what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const handler = (reply: Reply): boolean => {
      if (reply.kind !== 'done') return false;
      if (reply.error === undefined) resolve();
      else reject(new LabError(`In the guest, ${what} failed: ${reply.error}.`));
      return true;
    };
    channel.send(request, handler, reject);
  });
}

/** Walks query-pci's answer, buses below bridges included, for the device with this QEMU id. */
function pciAddressIn(answer: QmpValue, device: string): string {
  const queue: QmpValue[] = [answer];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (Array.isArray(value)) queue.push(...(value as readonly QmpValue[]));
    if (value === null || typeof value !== 'object' || Array.isArray(value)) continue;
    const entry = value as { readonly [name: string]: QmpValue };
    if (entry['qdev_id'] === device && typeof entry['bus'] === 'number') {
      const hex = (part: QmpValue | undefined, width: number): string => Number(part).toString(16).padStart(width, '0');
      return `0000:${hex(entry['bus'], 2)}:${hex(entry['slot'], 2)}.${hex(entry['function'], 1)}`;
    }
    queue.push(...Object.values(entry));
  }
  throw new LabError(`QEMU has no PCI device with the id ${device} now.`);
}
