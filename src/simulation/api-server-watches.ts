// The running watches of the simulated API server: who gets which change, bookmarks, and the ends that a watch can have.
import type { Clock } from '../runtime/ports.ts';
import type { Json, JsonObject } from './api-server-merge.ts';
import { deletedAt, metadataOf, type StoredChange } from './api-server-store.ts';
import type { ByteStream } from './api-server-stream.ts';

/** What a watch asked for. */
export interface WatchRequest {
  readonly resource: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly selects: (object: JsonObject) => boolean;
  readonly from: number;
  readonly bookmarks: boolean;
  /** After so many seconds the server ends it; null: never. */
  readonly seconds: number | null;
}

export interface ApiWatches {
  /** Running ones. */
  readonly count: number;
  /** Sends what happened since `from`, then what happens. */
  open(request: WatchRequest, stream: ByteStream, past: readonly StoredChange[]): void;
  tell(change: StoredChange): void;
  /** While silent nothing is sent; what happens meanwhile comes afterwards. */
  setSilent(silent: boolean): void;
  /** Ends them in good order. */
  endAll(): void;
  /** Breaks them, in the middle of a line. */
  breakAll(code: string): void;
  /** Tells them that their version was compacted away. */
  expireAll(): void;
  /** Sends the last `count` events of each once more. */
  repeat(count: number): void;
  /** Sends every running watch this line, as it is. */
  sayToAll(line: string): void;
}

interface Running {
  readonly request: WatchRequest;
  readonly stream: ByteStream;
  /** Events sent, newest last. */
  readonly sent: string[];
  waiting: string[];
  version: number;
}

const bookmarkInterval = 60_000;
const remembered = 50;

/** No watch is running. `current` is the store's revision. */
export function createApiWatches(clock: Clock, current: () => number): ApiWatches {
  const running = new Set<Running>();
  let silent = false;

  const send = (watch: Running, line: string): void => {
    if (silent) watch.waiting.push(line);
    else watch.stream.write(line);
  };
  const bookmark = (watch: Running): void => {
    const { apiVersion, kind } = watch.request;
    watch.version = current();
    const object = { apiVersion, kind, metadata: { resourceVersion: String(watch.version) } };
    send(watch, toLine('BOOKMARK', object));
  };
  const keepBookmarks = (watch: Running): void => {
    clock.after(bookmarkInterval, () => {
      if (!running.has(watch)) return;
      bookmark(watch);
      keepBookmarks(watch);
    });
  };
  const offer = (watch: Running, change: StoredChange): void => {
    const line = eventFor(watch.request, change);
    if (line === null || change.revision <= watch.version) return;
    watch.version = change.revision;
    watch.sent.push(line);
    if (watch.sent.length > remembered) watch.sent.shift();
    send(watch, line);
  };
  const finish = (watch: Running, end: (stream: ByteStream) => void): void => {
    running.delete(watch);
    end(watch.stream);
  };

  return {
    get count() {
      return running.size;
    },
    open(request, stream, past) {
      const watch: Running = { request, stream, sent: [], waiting: [], version: request.from };
      running.add(watch);
      for (const change of past) offer(watch, change);
      if (request.bookmarks) keepBookmarks(watch);
      if (request.seconds === null) return;
      clock.after(request.seconds * 1000, () => {
        if (!running.has(watch) || silent) return;
        if (request.bookmarks) bookmark(watch);
        finish(watch, (stream) => stream.end());
      });
    },
    tell(change) {
      for (const watch of running) {
        if (watch.stream.over) running.delete(watch);
        else offer(watch, change);
      }
    },
    setSilent(now) {
      silent = now;
      if (silent) return;
      for (const watch of running) {
        for (const line of watch.waiting) watch.stream.write(line);
        watch.waiting = [];
      }
    },
    endAll() {
      for (const watch of running) finish(watch, (stream) => stream.end());
    },
    breakAll(code) {
      for (const watch of running) {
        finish(watch, (stream) => {
          stream.write('{"type":"MODIFIED","object":{"metadata":{"name":"half an ev');
          stream.break(code);
        });
      }
    },
    expireAll() {
      for (const watch of running) {
        finish(watch, (stream) => {
          stream.write(toLine('ERROR', goneStatus));
          stream.end();
        });
      }
    },
    repeat(count) {
      for (const watch of running) for (const line of watch.sent.slice(-count)) send(watch, line);
    },
    sayToAll(line) {
      for (const watch of running) send(watch, line);
    },
  };
}

/** What the API server says where a version was compacted away. */
export const goneStatus: JsonObject = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'too old resource version',
  reason: 'Expired',
  code: 410,
};

/** The line a watch gets for a change, null when it does not concern it. Selected before but no longer: a deletion for this watch. */
function eventFor({ resource, selects }: WatchRequest, change: StoredChange): string | null {
  if (change.resource !== resource) return null;
  const was = change.before !== null && selects(change.before) ? change.before : null;
  const is = change.after !== null && selects(change.after) ? change.after : null;
  if (is !== null) return toLine(was === null ? 'ADDED' : 'MODIFIED', is);
  if (was === null) return null;
  return toLine('DELETED', change.after ?? deletedAt(was, change.revision));
}

function toLine(type: string, object: JsonObject): string {
  return `${JSON.stringify({ type, object } satisfies Json)}\n`;
}

/**
 * What a list or watch selects: its namespace (null: all), `fieldSelector` (metadata.name, metadata.namespace, spec.nodeName) and
 * `labelSelector` (equality and existence).
 */
export function createSelection(namespace: string | null, query: URLSearchParams): (object: JsonObject) => boolean {
  const fields = split(query.get('fieldSelector') ?? '');
  const labels = split(query.get('labelSelector') ?? '');
  return (object) => {
    const metadata = metadataOf(object);
    const spec = object.spec as JsonObject | undefined;
    const own = (metadata.labels ?? {}) as JsonObject;
    const field = (path: string): Json | undefined =>
      path === 'spec.nodeName' ? spec?.nodeName : metadata[path.slice('metadata.'.length)];
    return (
      (namespace === null || metadata.namespace === namespace) &&
      fields.every(([path, value]) => (field(path) ?? '') === value) &&
      labels.every(([name, value]) => (value === null ? name in own : own[name] === value))
    );
  };
}

function split(selector: string): readonly (readonly [name: string, value: string | null])[] {
  return selector
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const [name = '', value] = term.split(/==?/);
      return [name, value ?? null] as const;
    });
}
