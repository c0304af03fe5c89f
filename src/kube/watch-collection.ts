// One watch from a version on, until it ends, whoever ends it. Guarantees: it ends by itself; a server that has gone silent (a
// connection of which only our half is left, a process that stands still) is given up.
import type { Clock, Timer } from '../runtime/ports.ts';
import type { ApiConnection, WatchStream } from './api-connection.ts';
import { readWatchEvent, type WatchEvent } from './watch-event.ts';
import { failedAnswer, failedRequest, type WatchFailure } from './watch-problem.ts';

export interface WatchOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly path: string;
  /** `resourceVersion` and selectors. */
  readonly query: Readonly<Record<string, string>>;
  /** After so many the server is asked to end it. */
  readonly seconds: number;
  /** The server has accepted it. */
  readonly onOpen: () => void;
  /** It is half a minute old: server and network bear watches. */
  readonly onLived: () => void;
  /** `put`, `remove` and `bookmark` only. May throw `ApiError`, which ends the watch. */
  readonly onEvent: (event: WatchEvent) => void;
}

export type WatchEnd =
  /** No answer to the request. */
  | { readonly kind: 'unanswered'; readonly failure: WatchFailure }
  /** An answer that is no stream, 410 excepted. */
  | { readonly kind: 'refused'; readonly status: number; readonly failure: WatchFailure }
  /** The version was compacted away. */
  | { readonly kind: 'gone' }
  /** It ran and is over; `failure` is null when the server ended it in good order. */
  | { readonly kind: 'over'; readonly failure: WatchFailure | null };

export interface RunningWatch {
  /** Never rejects but for programming errors. */
  readonly ended: Promise<WatchEnd>;
  close(): void;
}

const livedAfter = 30_000;
/** Beyond the time at which the server should have ended it. */
const margin = 30_000;
/**
 * Without a byte for so long, once a bookmark came: the API server sends those about every minute (apiserver's
 * pkg/storage/cacher, `bookmarkFrequency`), though it promises no interval.
 */
const longestSilence = 200_000;

/** Begins at once. */
export function watchCollection(options: WatchOptions): RunningWatch {
  let stream: WatchStream | null = null;
  let closed = false;
  const close = (): void => {
    closed = true;
    stream?.close();
  };
  const open = async (): Promise<WatchEnd> => {
    const { path, query, seconds } = options;
    const asked = { ...query, watch: '1', allowWatchBookmarks: 'true', timeoutSeconds: String(seconds) };
    try {
      stream = await options.connection.watch({ path, query: asked });
    } catch (error) {
      return { kind: 'unanswered', failure: failedRequest(error) };
    }
    if (closed) stream.close();
    if (stream.refused === null) return follow(options, stream, () => closed);
    const { status } = stream.refused;
    if (status === 410) return { kind: 'gone' };
    return { kind: 'refused', status, failure: failedAnswer(`watch of ${path}`, stream.refused) };
  };
  return { ended: open(), close };
}

async function follow(options: WatchOptions, stream: WatchStream, isClosed: () => boolean): Promise<WatchEnd> {
  const { clock, path } = options;
  const silence = guardSilence(options, stream);
  const lived = clock.after(livedAfter, () => {
    if (!isClosed()) options.onLived();
  });
  try {
    if (!isClosed()) options.onOpen();
    for await (const value of stream.events) {
      if (isClosed()) break;
      const event = readWatchEvent(value);
      if (event.kind === 'error' && event.status === 410) return { kind: 'gone' };
      if (event.kind === 'error') return failed(`watch of ${path}: ${event.message}`, event.status, event.retryAfter);
      if (event.kind === 'garbage') return failed(`watch of ${path}: ${event.message}`, 200, null);
      silence.heard(event.kind === 'bookmark');
      options.onEvent(event);
    }
    return { kind: 'over', failure: null };
  } catch (error) {
    const { problem, retryAfter } = failedRequest(error);
    const message = silence.broken() ?? problem.message;
    return { kind: 'over', failure: { problem: { code: problem.code, message }, retryAfter } };
  } finally {
    lived.cancel();
    silence.stop();
    stream.close();
  }
}

/** An ERROR event, or a line that is no event. */
function failed(message: string, status: number, retryAfter: number | null): WatchEnd {
  const code = status === 429 ? 'Throttled' : status >= 500 ? 'Unreachable' : 'BadAnswer';
  return { kind: 'over', failure: { problem: { code, message }, retryAfter } };
}

interface SilenceGuard {
  heard(bookmark: boolean): void;
  /** Why the stream was cut, null when it was not. */
  broken(): string | null;
  stop(): void;
}

function guardSilence({ clock, path, seconds }: WatchOptions, stream: WatchStream): SilenceGuard {
  let last = clock.monotonic();
  let bookmarks = false;
  let why: string | null = null;
  let silence: Timer | null = null;
  const cut = (message: string): void => {
    why ??= `watch of ${path}: ${message}; given up`;
    stream.close();
  };
  const life = clock.after(seconds * 1000 + margin, () => cut(`the server did not end it after ${seconds} s as asked`));
  const look = (): void => {
    const left = last + longestSilence - clock.monotonic();
    if (left <= 0) return cut(`nothing came for ${longestSilence / 1000} s`);
    silence = clock.after(left, look);
  };
  return {
    heard(bookmark) {
      last = clock.monotonic();
      if (!bookmark || bookmarks) return;
      bookmarks = true;
      look();
    },
    broken: () => why,
    stop() {
      life.cancel();
      silence?.cancel();
    },
  };
}
