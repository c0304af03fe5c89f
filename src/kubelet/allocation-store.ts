// The file `allocations`: what each Allocate answered, on disk before the answer goes out, since kubelet repeats it at every restart of
// the container, long after we may have restarted. And from it: which devices count as used although no pod shows them yet.
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, LogFile } from '../runtime/ports.ts';
import { formatLine, parseLines } from './allocation-record.ts';
import type { AllocationKey, AllocationLine, AllocationRecord } from './allocation-record.ts';
import type { PodHolder } from './pod-resources.ts';

/** How long an Allocate counts as use when PodResources never shows it, in milliseconds. */
export const recentPeriod = 5 * 60_000;

/** Lines that may lie in the file beyond twice what is alive before it is written anew. */
const slack = 200;

interface Entry {
  readonly record: AllocationRecord;
  /** Monotonic time of the Allocate, or what comes nearest after a restart. */
  readonly since: number;
  shown: boolean;
}

/** All that is known of past Allocates. Every method that changes it resolves when that is on disk. */
export class AllocationStore {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #entries = new Map<string, Entry>();
  readonly #holders = new Map<number, string>();
  #log: LogFile | null = null;
  #lines = 0;
  #writing: Promise<void> = Promise.resolve();
  #problems: readonly string[] = [];

  private constructor(ports: { readonly files: Files; readonly clock: Clock }, path: string) {
    this.#files = ports.files;
    this.#clock = ports.clock;
    this.#path = path;
  }

  /** Reads the file, if there is one, and writes it anew without what is over. The directory must exist. Throws `FileError`. */
  static async open(ports: { readonly files: Files; readonly clock: Clock }, path: string): Promise<AllocationStore> {
    const store = new AllocationStore(ports, path);
    const { lines, problems } = parseLines(store.#read(), path);
    store.#problems = problems;
    for (const line of lines) store.#apply(line);
    await store.#rewrite();
    return store;
  }

  /** What in the file could not be read when it was opened. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** The last answer for a device; null when none is known. */
  find(resource: string, id: string): AllocationRecord | null {
    return this.#entries.get(keyOf({ resource, id }))?.record ?? null;
  }

  /** Keeps one Allocate's answer. In force at once; if it cannot be written, it is taken back and the promise rejects. */
  async record(records: readonly AllocationRecord[]): Promise<void> {
    const before = records.map((record) => [keyOf(record), this.#entries.get(keyOf(record))] as const);
    this.#apply({ op: 'allocated', records });
    try {
      await this.#write({ op: 'allocated', records });
    } catch (error) {
      for (const [key, entry] of before) {
        if (entry === undefined) this.#entries.delete(key);
        else this.#entries.set(key, entry);
      }
      throw error;
    }
  }

  /** Takes in what PodResources said in a reading that began at the monotonic time `begun`. */
  async observe(holders: readonly PodHolder[], begun: number): Promise<void> {
    const held = new Set(holders.map(keyOf));
    const entries = [...this.#entries];
    // A reading from before an Allocate may still show the pod that had the device, or not yet the one that has it.
    const shown = entries.filter(([key, entry]) => held.has(key) && !entry.shown && entry.since <= begun);
    const dropped = entries.filter(([key, entry]) => !held.has(key) && entry.shown && entry.since < begun);
    await this.#change(
      { op: 'shown', keys: shown.map(([, entry]) => toKey(entry.record)) },
      { op: 'dropped', keys: dropped.map(([, entry]) => toKey(entry.record)) },
    );
  }

  /** The answers that count as use: shown and not dropped yet, or younger than five minutes. `age` in milliseconds. */
  inUse(): readonly { readonly record: AllocationRecord; readonly age: number }[] {
    const now = this.#clock.monotonic();
    return [...this.#entries.values()]
      .map(({ record, since, shown }) => ({ record, shown, age: now - since }))
      .filter(({ shown, age }) => shown || age < recentPeriod)
      .map(({ record, age }) => ({ record, age }));
  }

  /** The pod, `namespace/name`, that an IOMMU group belongs to; null: none. Only groups of unit Function have one. */
  holder(group: number): string | null {
    return this.#holders.get(group) ?? null;
  }

  /** All groups that belong to a pod. */
  heldGroups(): readonly number[] {
    return [...this.#holders.keys()];
  }

  async hold(group: number, pod: string): Promise<void> {
    await this.#change({ op: 'held', group, pod });
  }

  async free(group: number): Promise<void> {
    await this.#change({ op: 'freed', group });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#log?.close();
    this.#log = null;
  }

  #read(): string {
    try {
      return this.#files.readText(this.#path);
    } catch (error) {
      if (error instanceof FileError && error.code === 'ENOENT') return '';
      throw error;
    }
  }

  async #change(...lines: readonly AllocationLine[]): Promise<void> {
    const real = lines.filter((line) => !('keys' in line) || line.keys.length > 0);
    if (real.length === 0) return;
    for (const line of real) this.#apply(line);
    await this.#write(...real);
  }

  #apply(line: AllocationLine): void {
    switch (line.op) {
      case 'allocated':
        for (const record of line.records) {
          // After a restart only the wall clock tells the age, and it may have jumped: neither the future nor more than it matters.
          const age = Math.min(Math.max(0, this.#clock.now() - record.at), recentPeriod);
          this.#entries.set(keyOf(record), { record, since: this.#clock.monotonic() - age, shown: false });
        }
        break;
      case 'shown':
        for (const key of line.keys) {
          const entry = this.#entries.get(keyOf(key));
          if (entry !== undefined) entry.shown = true;
        }
        break;
      case 'dropped':
        for (const key of line.keys) this.#entries.delete(keyOf(key));
        break;
      case 'held':
        this.#holders.set(line.group, line.pod);
        break;
      case 'freed':
        this.#holders.delete(line.group);
        break;
    }
  }

  /** One writer after the other; after a failed write the file's end is unknown, and it is written anew first. */
  #write(...lines: readonly AllocationLine[]): Promise<void> {
    const written = this.#writing.then(async () => {
      if (this.#log === null || this.#lines > 2 * this.#alive().length + slack) {
        await this.#rewrite();
        return;
      }
      try {
        await this.#log.append(lines.map(formatLine).join(''));
        await this.#log.sync();
        this.#lines += lines.length;
      } catch (error) {
        await this.#abandon();
        throw error;
      }
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Writes what is alive to a new file and puts it in the old one's place. */
  async #rewrite(): Promise<void> {
    await this.#abandon();
    const lines = this.#alive();
    const fresh = `${this.#path}.new`;
    const log = await this.#files.openLog(fresh, { truncate: true });
    try {
      await log.append(lines.map(formatLine).join(''));
      await log.sync();
      await this.#files.rename(fresh, this.#path);
      await this.#files.syncDirectory(this.#path.slice(0, this.#path.lastIndexOf('/')) || '/');
    } catch (error) {
      await log.close();
      throw error;
    }
    this.#log = log;
    this.#lines = lines.length;
  }

  #alive(): readonly AllocationLine[] {
    const entries = [...this.#entries.values()];
    const records = entries.map((entry) => entry.record);
    const keys = entries.filter((entry) => entry.shown).map((entry) => toKey(entry.record));
    const held = [...this.#holders].map(([group, pod]) => ({ op: 'held' as const, group, pod }));
    return [
      ...records.map((record) => ({ op: 'allocated' as const, records: [record] })),
      ...(keys.length === 0 ? [] : [{ op: 'shown' as const, keys }]),
      ...held,
    ];
  }

  async #abandon(): Promise<void> {
    const log = this.#log;
    this.#log = null;
    await log?.close().catch(() => undefined);
  }
}

function keyOf({ resource, id }: AllocationKey): string {
  return `${resource}\n${id}`;
}

function toKey({ resource, id }: AllocationKey): AllocationKey {
  return { resource, id };
}
