// A collection of the API server, kept current by list and watch. Guarantees: items change only by proof, that is by an event newer
// than what is known, or by a complete list not older than the newest known; no error, status or garbage ever removes one; whatever
// the server does, between two tries lies a wait that grows until a watch has lived.
import type { Clock, Random } from '../runtime/ports.ts';
import type { ApiConnection } from './api-connection.ts';
import { createBackoff } from './backoff.ts';
import type { KubeObject } from './kube-object.ts';
import { listCollection } from './list-collection.ts';
import { type RunningWatch, type WatchEnd, watchCollection } from './watch-collection.ts';
import type { WatchEvent } from './watch-event.ts';
import type { WatchProblem } from './watch-problem.ts';
import { createWatchedStore } from './watched-store.ts';

export type { WatchProblem, WatchProblemCode } from './watch-problem.ts';

export interface Watched<T> {
  /**
   * By object name (`namespace/name` where namespaced); null before the first complete list of this process. Never emptied by an
   * error. A live view: it changes under a reader that waits.
   */
  readonly items: ReadonlyMap<string, T> | null;
  /** Newest version known: of the last list, event or bookmark; null before the first list. */
  readonly resourceVersion: string | null;
  /** What keeps it from being current; null while list and watch work, and before the first answer. */
  readonly problem: WatchProblem | null;
}

export interface ReflectorOptions<T> {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  /** Collection, e.g. `/apis/vfio-operator.dev/v1alpha1/vfiopolicies`. */
  readonly path: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Items per page of the list; default 100. Halved while the server's answer is too large. */
  readonly pageSize?: number;
  /** What to keep of an object; called once per new version of it. The object itself is not kept. Must not throw. */
  readonly keep: (object: KubeObject) => T;
  /** Newest resourceVersion acted on in an earlier life; an older list is not believed. */
  readonly notBefore?: string;
  /** Names that were added, changed or removed. Called once for the first complete list even when it is empty. */
  readonly onChange: (names: readonly string[]) => void;
  /** Called when `problem` has changed. */
  readonly onProblem?: (problem: WatchProblem | null) => void;
}

export interface Reflector<T> {
  readonly state: Watched<T>;
  /** Ends list and watch; nothing is called back afterwards. */
  close(): void;
}

const usualPageSize = 100;
/** So many watches in a row that brought nothing and did not live: from then on lists alone tell the truth. */
const tolerated = 3;
const shortestWatch = 300;

/** What to do next, and after how many milliseconds. */
interface Turn {
  readonly next: 'list' | 'watch';
  readonly wait: number;
}

/** Begins at once, in the background. */
export function startReflector<T>(options: ReflectorOptions<T>): Reflector<T> {
  const { connection, clock, random, path, onChange } = options;
  const store = createWatchedStore(options.keep, options.notBefore ?? null);
  const backoff = createBackoff({ random });
  const selectors = toSelectors(options);
  let pageSize = options.pageSize ?? usualPageSize;
  /** The next list is a consistent read: the server was asked for a version it does not have. */
  let consistent = false;
  /** Watches in a row that failed; `doubted`: even one that is established proves nothing until it brought something. */
  let failures = 0;
  let doubted = false;
  let problem: WatchProblem | null = null;
  let watching: RunningWatch | null = null;
  let closed = false;
  let cancelWait = (): void => undefined;
  const isClosed = (): boolean => closed;

  const setProblem = (next: WatchProblem | null): void => {
    if (problem?.code === next?.code && problem?.message === next?.message) return;
    problem = next;
    options.onProblem?.(next);
  };
  const trust = (): void => {
    failures = 0;
    doubted = false;
    setProblem(null);
  };
  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = clock.after(milliseconds, resolve);
      cancelWait = () => timer.cancel();
    });
  const again = (
    next: Turn['next'],
    failure: { readonly problem: WatchProblem; readonly retryAfter: number | null },
  ): Turn => {
    setProblem(failure.problem);
    return { next, wait: backoff.next(failure.retryAfter) };
  };

  const list = async (): Promise<Turn> => {
    const notOlderThan = consistent ? null : store.floor;
    const result = await listCollection({ connection, path, selectors, pageSize, notOlderThan, take: store.take });
    if (closed) return { next: 'list', wait: 0 };
    if (!result.complete && result.tooLarge) {
      pageSize = Math.ceil(pageSize / 2);
      return { next: 'list', wait: 0 };
    }
    if (!result.complete) {
      consistent = result.failure.problem.code === 'Older';
      return again('list', result.failure);
    }
    const first = store.items === null;
    const known = store.floor;
    const changed = store.replace(result.objects, result.version);
    consistent = changed === null;
    if (changed === null) return again('list', { problem: olderList(path, result.version, known), retryAfter: null });
    if (first || changed.length > 0) onChange(changed);
    return { next: 'watch', wait: 0 };
  };

  const take = (event: WatchEvent): void => {
    const before = store.version;
    let name: string | null = null;
    if (event.kind === 'put') name = store.put(event.object);
    else if (event.kind === 'remove') name = store.remove(event.object);
    else if (event.kind === 'bookmark') store.pass(event.version);
    if (store.version !== before) trust();
    if (name !== null) onChange([name]);
  };

  const judgeEnd = (end: WatchEnd): Turn => {
    if (end.kind === 'gone') return { next: 'list', wait: backoff.next(null) };
    if (end.kind === 'unanswered') return again('watch', end.failure);
    failures += 1;
    if (end.kind === 'refused') {
      const passing = end.status === 429 || (end.status >= 500 && failures < tolerated);
      return again(passing ? 'watch' : 'list', end.failure);
    }
    const wait = backoff.next(end.failure?.retryAfter ?? null);
    const broken = end.failure?.problem.code === 'BadAnswer' || failures >= tolerated;
    if (broken) {
      doubted = true;
      setProblem(end.failure?.problem ?? endsAtOnce(path));
    }
    return { next: failures >= tolerated ? 'list' : 'watch', wait };
  };

  const watch = async (version: string): Promise<Turn> => {
    watching = watchCollection({
      connection,
      clock,
      path,
      query: { ...selectors, resourceVersion: version },
      // A fleet whose watches began together shall not begin again together.
      seconds: shortestWatch + Math.floor(random.fraction() * shortestWatch),
      onOpen: () => {
        if (!doubted) setProblem(null);
      },
      onLived: () => {
        backoff.reset();
        trust();
      },
      onEvent: take,
    });
    const end = await watching.ended;
    watching = null;
    return closed ? { next: 'watch', wait: 0 } : judgeEnd(end);
  };

  const run = async (): Promise<void> => {
    let turn: Turn = { next: 'list', wait: 0 };
    while (!isClosed()) {
      turn = turn.next === 'list' || store.version === null ? await list() : await watch(store.version);
      if (!isClosed() && turn.wait > 0) await pause(turn.wait);
    }
  };
  void run();

  return {
    state: {
      get items() {
        return store.items;
      },
      get resourceVersion() {
        return store.version;
      },
      get problem() {
        return problem;
      },
    },
    close() {
      closed = true;
      cancelWait();
      watching?.close();
    },
  };
}

function toSelectors<T>({ fieldSelector, labelSelector }: ReflectorOptions<T>): Readonly<Record<string, string>> {
  return {
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
}

function olderList(path: string, version: string, known: string | null): WatchProblem {
  const message = `list of ${path}: the server has version ${version}, but ${known} was known before; was its etcd restored from a backup?`;
  return { code: 'Older', message };
}

function endsAtOnce(path: string): WatchProblem {
  return { code: 'Unreachable', message: `watch of ${path}: ended at once, ${tolerated} times in a row` };
}
