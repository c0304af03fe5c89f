// Writes events (events.k8s.io/v1) about this node's state. Never a storm: a token bucket bounds them, what repeats is counted in the
// event that is there, and what cannot be sent for long is dropped, oldest first. Events are for people; nothing depends on one.
import { apiVersion, nodeStateKind } from '../../api/constants.ts';
import { saidBy, type ApiConnection } from '../../kube/api-connection.ts';
import { ApiError } from '../../kube/api-error.ts';
import { createBackoff } from '../../kube/backoff.ts';
import { retryAfterOf } from '../../kube/watch-problem.ts';
import type { Clock, Random, Timer } from '../../runtime/ports.ts';
import { eventReasons, type NodeEvent } from './node-event.ts';

export interface RecorderOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodeName: string;
  /** UIDs of the node state and of the Node, where they are known: `kubectl describe` finds events by them. */
  readonly stateUid: () => string | null;
  readonly nodeUid: () => string | null;
  /** How one ended, for metrics and the log: `Sent`, `Counted` (in an earlier one), `Dropped` (too many, or not to be delivered). */
  readonly onEvent: (outcome: 'Sent' | 'Counted' | 'Dropped', event: NodeEvent, why: string | null) => void;
}

export interface EventRecorder {
  record(event: NodeEvent): void;
  close(): void;
}

/** Events at once, and milliseconds until there may be one more: at most 85 in the first hour and 60 in any later one. */
export const eventBudget = { burst: 25, refill: 60_000 };
/** Milliseconds in which the same event is counted instead of written anew: as long as the API server keeps events (`--event-ttl`). */
const sameWithin = 3_000_000;
/** Milliseconds between two counts of the same event. */
const countInterval = 360_000;
const mostWaiting = 64;
const mostKnown = 256;
const tries = 6;
/** Milliseconds that an event waits for the node state that it is about to be there. */
const patience = 30_000;
const gather = 1_000;
/** Events about what lies in no namespace lie in this one (apiserver validation of events.k8s.io/v1). */
const path = '/apis/events.k8s.io/v1/namespaces/default/events';

interface Known {
  readonly name: string;
  readonly at: number;
  count: number;
  countedAt: number;
}

interface Job {
  readonly event: NodeEvent;
  /** Wall clock of what happened. */
  readonly at: number;
  /** Monotonic time of the same. */
  readonly since: number;
  tried: number;
}

export function createEventRecorder(options: RecorderOptions): EventRecorder {
  const { connection, clock, random, nodeName, onEvent } = options;
  const backoff = createBackoff({ random, most: 60_000 });
  const known = new Map<string, Known>();
  const waiting: Job[] = [];
  let tokens = eventBudget.burst;
  let refilledAt = clock.monotonic();
  let timer: Timer | null = null;
  let running = false;
  let closed = false;

  const take = (): boolean => {
    const earned = Math.floor((clock.monotonic() - refilledAt) / eventBudget.refill);
    tokens = Math.min(eventBudget.burst, tokens + earned);
    refilledAt = tokens === eventBudget.burst ? clock.monotonic() : refilledAt + earned * eventBudget.refill;
    if (tokens === 0) return false;
    tokens -= 1;
    return true;
  };

  const later = (delay: number): void => {
    if (closed || running || timer !== null || waiting.length === 0) return;
    timer = clock.after(delay, () => {
      timer = null;
      void run();
    });
  };

  const run = async (): Promise<void> => {
    const job = waiting.shift();
    if (job === undefined) return;
    running = true;
    const wait = await send(job);
    running = false;
    if (wait !== null) waiting.unshift(job);
    later(wait ?? 0);
  };

  /** Sends one; milliseconds until it is to be tried again, or null when it is done with. */
  const send = async (job: Job): Promise<number | null> => {
    if (options.stateUid() === null && clock.monotonic() - job.since < patience) return gather;
    job.tried += 1;
    const name = `${nodeName.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${random.name(16)}`;
    try {
      const answer = await connection.request({ method: 'POST', path, body: toDocument(job, name) });
      if (answer.status < 300) {
        backoff.reset();
        remember(job.event, name);
        onEvent('Sent', job.event, null);
        return null;
      }
      const again = answer.status === 429 || answer.status >= 500;
      return giveUpOr(job, again, saidBy(answer), answer.retryAfter ?? retryAfterOf(answer.body));
    } catch (error) {
      if (error instanceof ApiError) return giveUpOr(job, true, error.message, null);
      throw error;
    }
  };

  const giveUpOr = (job: Job, again: boolean, why: string, retryAfter: number | null): number | null => {
    const wait = backoff.next(retryAfter);
    if (again && job.tried < tries) return wait;
    onEvent('Dropped', job.event, why);
    return null;
  };

  const remember = (event: NodeEvent, name: string): void => {
    const now = clock.monotonic();
    known.set(keyOf(event), { name, at: now, count: 1, countedAt: now });
    const oldest = known.keys().next();
    if (known.size > mostKnown && oldest.done !== true) known.delete(oldest.value);
  };

  /** The same thing again: counted in the event that is there, seldom. One that is gone is forgotten. */
  const count = async (key: string, entry: Known, event: NodeEvent): Promise<void> => {
    entry.count += 1;
    onEvent('Counted', event, null);
    if (clock.monotonic() - entry.countedAt < countInterval || !take()) return;
    entry.countedAt = clock.monotonic();
    try {
      const answer = await connection.request({
        method: 'PATCH',
        path: `${path}/${entry.name}`,
        contentType: 'application/merge-patch+json',
        body: { series: { count: entry.count, lastObservedTime: toMicroTime(clock.now()) } },
      });
      if (answer.status === 404) known.delete(key);
    } catch (error) {
      // The next repetition says it.
      if (!(error instanceof ApiError)) throw error;
    }
  };

  const toDocument = ({ event, at }: Job, name: string): object => {
    const { type, action } = eventReasons[event.reason];
    const owner = withUid({ apiVersion: 'v1', kind: 'Node', name: nodeName }, options.nodeUid());
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: 'default' },
      eventTime: toMicroTime(at),
      type,
      reason: event.reason,
      action,
      note: event.note,
      regarding: withUid({ apiVersion, kind: nodeStateKind, name: nodeName }, options.stateUid()),
      related: owner,
      reportingController: 'vfio-operator.dev/agent',
      reportingInstance: nodeName.slice(0, 128),
    };
  };

  return {
    record(event) {
      if (closed) return;
      const key = keyOf(event);
      const same = known.get(key);
      if (same !== undefined && clock.monotonic() - same.at < sameWithin) {
        void count(key, same, event);
        return;
      }
      if (waiting.some((job) => keyOf(job.event) === key)) return onEvent('Counted', event, null);
      if (!take()) return onEvent('Dropped', event, 'too many events');
      waiting.push({ event, at: clock.now(), since: clock.monotonic(), tried: 0 });
      if (waiting.length > mostWaiting) {
        const [oldest] = waiting.splice(0, 1);
        if (oldest !== undefined) onEvent('Dropped', oldest.event, 'too many are waiting');
      }
      later(gather);
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

function withUid(reference: object, uid: string | null): object {
  return uid === null ? reference : { ...reference, uid };
}

function keyOf({ reason, note }: NodeEvent): string {
  return `${reason} ${note}`;
}

/** RFC 3339 with microseconds, which is what MicroTime is. */
function toMicroTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
