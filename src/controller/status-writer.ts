// Writes policies' statuses. Guarantees: only what differs from what the cluster has; at most one write per policy in 5 s, since each
// goes to every agent; none once we may not act any more; what failed is tried again with growing waits.
import { apiVersion, policyKind } from '../api/constants.ts';
import type { VfioPolicyStatus } from '../api/generated/types.ts';
import type { TimelessCondition } from '../domain/conditions.ts';
import { sameStatus, toPolicyStatus } from '../domain/policy-status.ts';
import type { PolicyFacts } from '../domain/policy-status-share.ts';
import type { PolicySums } from '../domain/policy-status-sums.ts';
import { type ApiConnection, saidBy } from '../kube/api-connection.ts';
import { ApiError } from '../kube/api-error.ts';
import { type Backoff, createBackoff } from '../kube/backoff.ts';
import { newerVersion } from '../kube/compare-versions.ts';
import { toKubeObject } from '../kube/kube-object.ts';
import type { Clock, Random, Timer } from '../runtime/ports.ts';
import type { KeptPolicy } from './read-objects.ts';

const fieldManager = 'vfio-operator-controller';

/** What came of one look at a policy that was to be written. */
export type WriteOutcome = 'written' | 'gone' | 'failed';

export interface StatusWriterOptions {
  readonly connection: ApiConnection;
  readonly clock: Clock;
  readonly random: Random;
  /** The policy as the cluster has it; null: it is gone. */
  readonly policy: (name: string) => KeptPolicy | null;
  readonly sums: (name: string) => PolicySums | null;
  readonly notes: (policy: KeptPolicy) => readonly TimelessCondition[];
  readonly mayAct: () => boolean;
  /** Milliseconds a request may take. */
  readonly patience: () => number;
  /** No write before this many milliseconds: another process may have written just now. */
  readonly quietAtFirst: number;
  readonly onOutcome: (policy: string, outcome: WriteOutcome, why: string | null) => void;
}

export interface StatusWriter {
  /** The status of this policy may have to be written. */
  check(name: string): void;
  /** Policies that wait to be looked at or written. */
  readonly waiting: number;
  /** Begins nothing more; resolves when what was begun has ended. */
  stop(): Promise<void>;
}

/** Changes that come together are written together. */
const settleTime = 300;
const leastInterval = 5000;
const mostAtOnce = 4;

interface Entry {
  timer: Timer | null;
  running: boolean;
  again: boolean;
  notBefore: number;
  /** Our last write, and the version it made. */
  written: { readonly uid: string; readonly resourceVersion: string; readonly status: VfioPolicyStatus } | null;
  readonly backoff: Backoff;
}

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { clock } = options;
  const entries = new Map<string, Entry>();
  const due: string[] = [];
  const running = new Set<Promise<void>>();
  const quietUntil = clock.monotonic() + options.quietAtFirst;
  let stopped = false;

  const entryOf = (name: string): Entry => {
    const known = entries.get(name);
    if (known !== undefined) return known;
    const fresh: Entry = {
      timer: null,
      running: false,
      again: false,
      notBefore: quietUntil,
      written: null,
      backoff: createBackoff({ random: options.random, least: leastInterval, most: 60_000 }),
    };
    entries.set(name, fresh);
    return fresh;
  };
  const schedule = (name: string, entry: Entry): void => {
    if (stopped || entry.timer !== null) return;
    if (entry.running) {
      entry.again = true;
      return;
    }
    const wait = Math.max(settleTime, entry.notBefore - clock.monotonic());
    entry.timer = clock.after(wait, () => {
      entry.timer = null;
      entry.running = true;
      due.push(name);
      pump();
    });
  };
  const pump = (): void => {
    if (stopped) return;
    for (const name of due.splice(0, mostAtOnce - running.size)) {
      const task = turn(name).finally(() => {
        running.delete(task);
        pump();
      });
      running.add(task);
    }
  };
  const turn = async (name: string): Promise<void> => {
    const entry = entryOf(name);
    const again = await write(name, entry);
    entry.running = false;
    if (options.policy(name) === null) entries.delete(name);
    else if (again || entry.again) {
      entry.again = false;
      schedule(name, entry);
    }
  };

  /** Answers whether to look again. */
  const write = async (name: string, entry: Entry): Promise<boolean> => {
    const policy = options.policy(name);
    const sums = options.sums(name);
    if (policy === null || sums === null || !options.mayAct()) return false;
    const { facts } = policy;
    const before = newestStatus(policy, entry);
    const wanted = toPolicyStatus({ policy: facts, sums, notes: options.notes(policy), before, now: clock.now() });
    if (sameStatus(wanted, before)) return false;
    const failed = (why: string, retryAfter: number | null): boolean => {
      entry.notBefore = clock.monotonic() + entry.backoff.next(retryAfter);
      options.onOutcome(name, 'failed', why);
      return true;
    };
    try {
      const sentAt = clock.monotonic();
      const answer = await options.connection.request({
        method: 'PATCH',
        path: `/apis/${apiVersion}/vfiopolicies/${name}/status`,
        query: { fieldManager, force: 'true' },
        contentType: 'application/apply-patch+yaml',
        body: toApply(facts, wanted),
        deadline: options.patience(),
      });
      if (answer.status === 404 || answer.status === 409) {
        options.onOutcome(name, 'gone', saidBy(answer));
        return false;
      }
      const written = answer.status < 300 ? toKubeObject(answer.body) : null;
      if (written === null) return failed(saidBy(answer), answer.retryAfter);
      entry.backoff.reset();
      entry.notBefore = sentAt + leastInterval;
      entry.written = { uid: facts.uid, resourceVersion: written.metadata.resourceVersion, status: wanted };
      options.onOutcome(name, 'written', null);
      return false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return failed(error.message, null);
    }
  };

  return {
    check: (name) => schedule(name, entryOf(name)),
    get waiting() {
      return [...entries.values()].filter((entry) => entry.timer !== null || entry.running).length;
    },
    async stop() {
      stopped = true;
      for (const entry of entries.values()) entry.timer?.cancel();
      await Promise.allSettled(running);
    },
  };
}

/** What the cluster has as far as we know: our own write until the watch has shown it or something newer. */
function newestStatus(policy: KeptPolicy, { written }: Entry): VfioPolicyStatus | null {
  if (written === null || written.uid !== policy.facts.uid) return policy.status;
  const newer = newerVersion(written.resourceVersion, policy.resourceVersion);
  return newer === policy.resourceVersion ? policy.status : written.status;
}

/** The uid makes the server refuse when the policy was deleted and made anew meanwhile. */
function toApply({ name, uid }: PolicyFacts, status: VfioPolicyStatus): unknown {
  return { apiVersion, kind: policyKind, metadata: { name, uid }, status };
}
