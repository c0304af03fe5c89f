// The list that kubelet watches. Every message is the whole list, sorted; a stream gets it at once when it opens, even if it is empty,
// then after each change, at most one message per interval, and the last state always arrives.
import type { Clock, Timer } from '../runtime/ports.ts';
import type { AnswerStream } from './contracts.ts';
import type { ListAndWatchResponse, ListedDevice } from './messages.ts';

/** Milliseconds between two messages: each makes kubelet rewrite its checkpoint file. */
const publishInterval = 100;

interface OpenStream {
  readonly stream: AnswerStream<ListAndWatchResponse>;
  /** The last list it was sent. */
  sent: string;
}

/** Fans one device list out to the streams that kubelet has open. */
export class DeviceListStream {
  readonly #clock: Clock;
  readonly #onCount: (open: number) => void;
  readonly #streams = new Set<OpenStream>();
  #devices: readonly ListedDevice[];
  #text: string;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;

  /** `onCount` hears how many streams are open, after each change. */
  constructor(clock: Clock, devices: readonly ListedDevice[], onCount: (open: number) => void) {
    this.#clock = clock;
    this.#onCount = onCount;
    this.#devices = sorted(devices);
    this.#text = JSON.stringify(this.#devices);
  }

  /** What the next message says, or the last one said. */
  get devices(): readonly ListedDevice[] {
    return this.#devices;
  }

  get open(): number {
    return this.#streams.size;
  }

  /** Takes a stream that kubelet opened. */
  add(stream: AnswerStream<ListAndWatchResponse>): void {
    const entry: OpenStream = { stream, sent: '' };
    this.#streams.add(entry);
    this.#send(entry);
    this.#sentAt = this.#clock.monotonic();
    stream.onEnd(() => {
      this.#streams.delete(entry);
      this.#onCount(this.#streams.size);
    });
    this.#onCount(this.#streams.size);
  }

  /** Replaces the list. */
  update(devices: readonly ListedDevice[]): void {
    this.#devices = sorted(devices);
    this.#text = JSON.stringify(this.#devices);
    if (this.#timer !== null) return;
    const wait = this.#sentAt + publishInterval - this.#clock.monotonic();
    if (wait <= 0) this.flush();
    else this.#timer = this.#clock.after(wait, () => this.flush());
  }

  /** Sends what is waiting now. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const behind = [...this.#streams].filter((entry) => entry.sent !== this.#text);
    if (behind.length === 0) return;
    for (const entry of behind) this.#send(entry);
    this.#sentAt = this.#clock.monotonic();
  }

  /** Ends every stream; the list stays for the next. */
  endStreams(): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const { stream } of this.#streams) stream.end();
  }

  #send(entry: OpenStream): void {
    entry.sent = this.#text;
    entry.stream.send({ devices: this.#devices });
  }
}

function sorted(devices: readonly ListedDevice[]): readonly ListedDevice[] {
  return devices.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
