// The node state at the API server: written by server-side apply, only when it changed, at most once in two seconds, and the last one
// always arrives. An idle agent sends nothing; an object that somebody deleted is written again.
import { apiVersion, nodeStateKind } from '../../api/constants.ts';
import type { VfioNodeState } from '../../api/generated/types.ts';
import { saidBy, type ApiAnswer, type ApiConnection } from '../../kube/api-connection.ts';
import { ApiError } from '../../kube/api-error.ts';
import { createBackoff } from '../../kube/backoff.ts';
import { retryAfterOf } from '../../kube/watch-problem.ts';
import type { Clock, Random, Timer } from '../../runtime/ports.ts';

/** Who wrote a field, as managedFields shows it. */
const fieldManager = 'vfio-operator-agent';
/** Milliseconds between the beginnings of two writes. */
const writeInterval = 2_000;
export const nodeStatesPath = '/apis/vfio-operator.dev/v1alpha1/vfionodestates';

export interface PublisherOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodeName: string;
  /** UID of the Node object that is there now; null while it is not known to be. Without an owner no object is made. */
  readonly ownerUid: () => string | null;
  /** Told when the sentence changed: why the last write failed, null once one worked. */
  readonly onProblem: (problem: string | null) => void;
}

export interface NodeStatePublisher {
  /** The state as it is now. */
  publish(state: VfioNodeState): void;
  /** The object is not there: somebody deleted it. */
  noteMissing(): void;
  /** `ownerUid` may have another answer. */
  noteOwner(): void;
  /** Why the last write failed; null when it did not. */
  readonly problem: string | null;
  /** Ends; what was not written yet is left to the next agent. */
  close(): void;
}

type Outcome =
  | { readonly kind: 'Written' }
  | { readonly kind: 'Failed'; readonly why: string; readonly retryAfter: number | null }
  /** There is no object, and no Node to own one. */
  | { readonly kind: 'NoOwner' };

export function createNodeStatePublisher(options: PublisherOptions): NodeStatePublisher {
  const { connection, clock, random, nodeName, ownerUid, onProblem } = options;
  const path = `${nodeStatesPath}/${nodeName}`;
  const backoff = createBackoff({ random, least: writeInterval, most: 60_000 });
  let wanted: VfioNodeState['status'] | null = null;
  /** What the object holds, as far as we know; null when it has to be written whatever is wanted. */
  let written: string | null = null;
  /** The owner that the object has. */
  let owner: string | null = null;
  let waitsForOwner = false;
  let missed = 0;
  let notBefore = 0;
  let timer: Timer | null = null;
  let running = false;
  let closed = false;
  let problem: string | null = null;

  const isDue = (): boolean => {
    if (wanted === null || waitsForOwner) return false;
    const uid = ownerUid();
    return JSON.stringify(wanted) !== written || (uid !== null && uid !== owner);
  };

  const schedule = (): void => {
    if (closed || running || timer !== null || !isDue()) return;
    timer = clock.after(Math.max(0, notBefore - clock.monotonic()), () => {
      timer = null;
      if (isDue()) void run();
    });
  };

  const run = async (): Promise<void> => {
    running = true;
    notBefore = clock.monotonic() + writeInterval;
    settle(await write());
    running = false;
    schedule();
  };

  const settle = (outcome: Outcome): void => {
    switch (outcome.kind) {
      case 'Written':
        backoff.reset();
        tell(null);
        return;
      case 'NoOwner':
        waitsForOwner = true;
        tell(`there is no Node ${nodeName} that could own the node state`);
        return;
      case 'Failed':
        notBefore = Math.max(notBefore, clock.monotonic() + backoff.next(outcome.retryAfter));
        tell(outcome.why);
        return;
    }
  };

  const tell = (now: string | null): void => {
    if (closed || now === problem) return;
    problem = now;
    onProblem(now);
  };

  const write = async (): Promise<Outcome> => {
    try {
      const uid = ownerUid();
      const missedBefore = missed;
      if (uid !== null && uid !== owner) {
        const made = await apply(path, {
          name: nodeName,
          ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid }],
        });
        if (made.status >= 300) return failed(path, made);
        owner = uid;
      }
      const status = wanted ?? {};
      const text = JSON.stringify(status);
      const answer = await apply(`${path}/status`, { name: nodeName }, status);
      if (answer.status < 300) {
        // Deleted meanwhile, before this write or after it: then once more.
        if (missed === missedBefore) written = text;
        return { kind: 'Written' };
      }
      if (answer.status === 404) {
        owner = null;
        if (uid === null) return { kind: 'NoOwner' };
      }
      return failed(`${path}/status`, answer);
    } catch (error) {
      if (error instanceof ApiError) return { kind: 'Failed', why: error.message, retryAfter: null };
      throw error;
    }
  };

  /** Nobody else has these fields to write: what somebody changed by hand is taken back instead of being a conflict for ever. */
  const apply = (to: string, metadata: object, status?: object): Promise<ApiAnswer> =>
    connection.request({
      method: 'PATCH',
      path: to,
      query: { fieldManager, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion, kind: nodeStateKind, metadata, ...(status === undefined ? {} : { status }) },
    });

  return {
    publish(state) {
      wanted = state.status;
      schedule();
    },
    noteMissing() {
      missed += 1;
      written = null;
      owner = null;
      schedule();
    },
    noteOwner() {
      waitsForOwner = false;
      schedule();
    },
    get problem() {
      return problem;
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

function failed(path: string, answer: ApiAnswer): Outcome {
  return {
    kind: 'Failed',
    why: `PATCH ${path}: ${saidBy(answer)}`,
    retryAfter: answer.retryAfter ?? retryAfterOf(answer.body),
  };
}
