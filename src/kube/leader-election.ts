// One leader among the replicas of a program, by a Lease. Guarantees: nobody takes a Lease that its holder may still believe in; a
// leader stops acting before anybody else can begin. How old a renewal is, is measured by our own monotonic clock from the moment we
// saw it change, so that clocks of machines may differ. The Lease's times are for people.
import type { Clock, Random, Timer } from '../runtime/ports.ts';
import { type ApiConnection, saidBy } from './api-connection.ts';
import { ApiError } from './api-error.ts';
import { isRecord } from './kube-object.ts';

/** Milliseconds; what Kubernetes' own components use. */
const leaseTimes: LeaseTimes = { duration: 15_000, renewDeadline: 10_000, retry: 2_000 };

export interface LeaseTimes {
  /** How long a Lease that nobody renews is its holder's. */
  readonly duration: number;
  /** How long after a renewal the leader still acts; less than `duration`. */
  readonly renewDeadline: number;
  /** How often to look, and to renew. */
  readonly retry: number;
}

export interface LeaderElectionOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  readonly namespace: string;
  readonly lease: string;
  /** Unique for each process. */
  readonly identity: string;
  readonly times?: LeaseTimes;
  /** Called once, when the Lease is ours. `succession`: somebody led before us. */
  readonly onLead: (term: { readonly succession: boolean }) => void;
  /** Called once, when a leader is none any more; the program ends then. */
  readonly onLost: (why: string) => void;
  /** Why we do not lead: somebody else does, or nobody could be asked. Called when the sentence changes. */
  readonly onWait: (why: string) => void;
}

export interface LeaderElection {
  /** Whether to act now. To be asked before every write: after a pause of the process it is the first to know. */
  mayAct(): boolean;
  /** Milliseconds until `mayAct` ends unless we renew; for deadlines of requests. */
  remaining(): number;
  /** Gives the Lease back, so that another need not wait for it. */
  release(): Promise<void>;
}

interface LeaseRecord {
  readonly resourceVersion: string;
  readonly holder: string;
  readonly transitions: number;
  readonly acquireTime: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Starts asking for the Lease; asks for ever. */
export function startLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { connection, clock, random, identity, times = leaseTimes } = options;
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  const path = `${collection}/${options.lease}`;
  let state: 'waiting' | 'leading' | 'ended' = 'waiting';
  let timer: Timer | null = null;
  let running: Promise<void> = Promise.resolve();
  /** The newest version of the Lease that we saw or wrote, and when we first saw it. */
  let seen: { readonly record: LeaseRecord; readonly at: number } | null = null;
  /** When the request of the last successful renewal was sent. */
  let renewedAt = Number.NEGATIVE_INFINITY;
  let said = '';

  const remaining = (): number =>
    state === 'leading' ? Math.max(0, renewedAt + times.renewDeadline - clock.monotonic()) : 0;

  /** Milliseconds that a request of ours may take: one that is lost must leave time for another, and none may outlive the term. */
  const patience = (): number => {
    const usual = times.renewDeadline / 3;
    return state === 'leading' ? Math.max(1, Math.min(usual, remaining())) : usual;
  };

  const note = (record: LeaseRecord): void => {
    if (seen?.record.resourceVersion !== record.resourceVersion) seen = { record, at: clock.monotonic() };
  };
  const wait = (why: string): void => {
    if (why === said) return;
    said = why;
    if (state === 'waiting') options.onWait(why);
  };
  const lose = (why: string): void => {
    if (state !== 'leading') return;
    state = 'ended';
    timer?.cancel();
    options.onLost(why);
  };

  /** Writes the Lease as ours. Only who saw its newest version can. */
  const take = async (before: LeaseRecord | null): Promise<void> => {
    const sentAt = clock.monotonic();
    const ours = before?.holder === identity;
    const transitions = before === null ? 0 : before.transitions + (ours ? 0 : 1);
    const time = microTime(clock.now());
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: before?.metadata ?? { name: options.lease, namespace: options.namespace },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(times.duration / 1000),
        acquireTime: ours && before.acquireTime !== null ? before.acquireTime : time,
        renewTime: time,
        leaseTransitions: transitions,
      },
    };
    const deadline = patience();
    const answer =
      before === null
        ? await connection.request({ method: 'POST', path: collection, body, deadline })
        : await connection.request({ method: 'PUT', path, body, deadline });
    if (answer.status === 409) return wait('the Lease was written by another meanwhile');
    const written = answer.status < 300 ? toRecord(answer.body) : null;
    if (written === null) return wait(`the Lease cannot be written: ${saidBy(answer)}`);
    note(written);
    if (state === 'ended' || clock.monotonic() - sentAt >= times.renewDeadline) return;
    renewedAt = sentAt;
    if (state === 'leading') return;
    state = 'leading';
    options.onLead({ succession: before !== null });
  };

  /** Looks at the Lease, and takes it where nobody can believe to have it. */
  const look = async (): Promise<void> => {
    const answer = await connection.request({ method: 'GET', path, deadline: patience() });
    if (answer.status === 404) return state === 'leading' ? lose('the Lease was deleted') : take(null);
    const record = answer.status === 200 ? toRecord(answer.body) : null;
    if (record === null) return wait(`the Lease cannot be read: ${saidBy(answer)}`);
    note(record);
    if (state === 'leading' && record.holder !== identity)
      return lose(`the Lease is ${record.holder === '' ? "nobody's" : `${record.holder}'s`} now`);
    const age = clock.monotonic() - (seen?.at ?? clock.monotonic());
    if (record.holder === '' || record.holder === identity || age >= times.duration) return take(record);
    return wait(`${record.holder} leads`);
  };

  const turn = async (): Promise<void> => {
    try {
      // A leader's own last version is the newest unless somebody interfered; a failed write is the time to look.
      const before = seen?.record ?? null;
      const versionBefore = renewedAt;
      if (state === 'leading' && before !== null) await take(before);
      if (state === 'waiting' || (state === 'leading' && renewedAt === versionBefore)) await look();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      wait(error.message);
    }
  };

  const next = (): void => {
    if (state === 'ended') return;
    if (state === 'leading' && remaining() === 0)
      return lose(`the Lease could not be renewed for ${times.renewDeadline / 1000} s: ${said}`);
    // Replicas that began together must not stay in step.
    const usual = times.retry * (0.8 + 0.4 * random.fraction());
    timer = clock.after(state === 'leading' ? Math.min(usual, remaining()) : usual, begin);
  };
  const turnAndGoOn = async (): Promise<void> => {
    await turn();
    next();
  };
  const begin = (): void => {
    if (state === 'leading' && remaining() === 0) return next();
    running = turnAndGoOn();
  };
  begin();

  return {
    mayAct: () => remaining() > 0,
    remaining,
    async release() {
      state = 'ended';
      timer?.cancel();
      await running.catch(() => undefined);
      if (seen === null || seen.record.holder !== identity) return;
      const { metadata, transitions } = seen.record;
      const time = microTime(clock.now());
      const spec = {
        holderIdentity: '',
        leaseDurationSeconds: 1,
        acquireTime: time,
        renewTime: time,
        leaseTransitions: transitions,
      };
      const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
      // Who does not answer now finds out by waiting.
      await connection.request({ method: 'PUT', path, body, deadline: times.retry }).catch(() => undefined);
    },
  };
}

/** Kubernetes' MicroTime: exactly six decimals, or the API server refuses it. */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}

function toRecord(value: unknown): LeaseRecord | null {
  if (!isRecord(value) || !isRecord(value.metadata)) return null;
  const { resourceVersion } = value.metadata;
  if (typeof resourceVersion !== 'string') return null;
  const spec = isRecord(value.spec) ? value.spec : {};
  return {
    resourceVersion,
    holder: typeof spec.holderIdentity === 'string' ? spec.holderIdentity : '',
    transitions: typeof spec.leaseTransitions === 'number' ? spec.leaseTransitions : 0,
    acquireTime: typeof spec.acquireTime === 'string' ? spec.acquireTime : null,
    metadata: value.metadata,
  };
}
