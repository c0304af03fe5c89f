// What a conformance case can do to a kernel, be it live or simulated. Small on purpose: files, commands, holders, and time enough
// to tell a call that is asleep from one that is slow.

/** Devices by what they are; the same names as the lab's. */
export type Role =
  | 'edu'
  | 'nic'
  | 'pair0'
  | 'pair1'
  | 'hot'
  | 'bridge'
  | 'legacy-nic'
  | 'legacy-edu'
  | 'igb'
  | 'nvme'
  | 'faulty'
  | 'numa-edu'
  | 'numa-nic';

/** A read or write begun: what came of it within a second or two, and what comes of it in the end. */
export interface Begun {
  /** `ok`, an errno name, the text read, or `blocked`. */
  readonly now: string;
  /** The same at last; resolves when the kernel has answered. */
  readonly end: Promise<string>;
}

/** A process that has something open. */
export interface OpenHolder {
  close(): Promise<void>;
}

/** A kernel under examination. */
export interface Subject {
  /** `5.10`, `6.1`, `6.12`. */
  readonly kernel: string;
  readonly addresses: Readonly<Record<Role, string>>;
  /** One open O_WRONLY without O_CREAT, one write. */
  write(path: string, text: string): Promise<Begun>;
  read(path: string): Promise<Begun>;
  /** Text of the link, or an errno name. */
  readLink(path: string): Promise<string>;
  /** Names, sorted; empty when there is no such directory. */
  list(path: string): Promise<readonly string[]>;
  exists(path: string): Promise<boolean>;
  /** `char 10:196 666`, or an errno name. */
  describe(path: string): Promise<string>;
  createFile(path: string, text: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Exit code. */
  modprobe(...args: readonly string[]): Promise<number>;
  /** `device` attaches the group and opens the device; `yield` also gives it back when asked; `group` opens the group alone. */
  open(how: 'device' | 'yield' | 'group', address: string): Promise<OpenHolder | string>;
  /** Pulls the device of this role out of its slot, and puts it back. */
  unplug(role: Role): Promise<void>;
  plug(role: Role): Promise<void>;
  /** Lets the kernel settle: hotplug and deferred work. */
  settle(): Promise<void>;
}

/** One behaviour of the kernel. */
export interface ConformanceCase {
  readonly name: string;
  /** Section of the kernel's documentation or source that tells of it. */
  readonly source: string;
  /** Kernels that can show it; default all. */
  readonly kernels?: (kernel: string) => boolean;
  /** Does things and returns what was observed, as plain data without numbers that vary. */
  run(subject: Subject): Promise<unknown>;
  /** What is to be observed, perhaps by kernel. */
  readonly expected: Expected;
}

/** Data, or a choice of data by kernel. */
export type Expected = object | string | number | boolean | null | ((kernel: string) => unknown);

/** What is to be observed on that kernel. */
export function expectedOn(kernel: string, { expected }: ConformanceCase): unknown {
  return typeof expected === 'function' ? expected(kernel) : expected;
}

/** One observation from that kernel on, another before. */
export function since(version: string, now: unknown, before: unknown): (kernel: string) => unknown {
  return (kernel) => (atLeast(kernel, version) ? now : before);
}

/** Whether `kernel` is at least `version`, both as `6.12`. */
export function atLeast(kernel: string, version: string): boolean {
  const [a = 0, b = 0] = kernel.split('.').map(Number);
  const [c = 0, d = 0] = version.split('.').map(Number);
  return a > c || (a === c && b >= d);
}
