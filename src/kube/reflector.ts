// A collection of the API server, kept current by list and watch. Guarantees: items change only by proof, that is by an event newer
// than what is known, or by a complete list not older than the newest known; no error, status or garbage ever removes one; whatever
// the server does, there is no busy loop.
import type { Clock, Random } from '../runtime/ports.ts';
import type { ApiConnection } from './api-connection.ts';
import type { KubeObject } from './kube-object.ts';

/**
 * Why the items may not be current. `NotFound`: the collection is not there (CRD not installed); `Unauthorized`, `Forbidden`: who we
 * are, or may do; `Unreachable`: no answer, or a server error; `Throttled`: told to come later; `Older`: the server's answer is older
 * than what was known; `Partial`: a list could not be read to its end; `BadAnswer`: an answer that is none.
 */
export type WatchProblemCode =
  'NotFound' | 'Unauthorized' | 'Forbidden' | 'Unreachable' | 'Throttled' | 'Older' | 'Partial' | 'BadAnswer';

export interface WatchProblem {
  readonly code: WatchProblemCode;
  /** What was tried and what came back. */
  readonly message: string;
}

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
