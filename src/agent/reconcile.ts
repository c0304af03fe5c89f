// One pass of the loop, top to bottom: look, plan, stop offering what goes, apply, look again, offer what is bound, report. It trusts
// the kernel, not its own writes, and keeps nothing from pass to pass but what failed and when to try again.
import { buildPools } from '../domain/build-pools.ts';
import type { Plan } from '../domain/decision.ts';
import { findForgotten } from '../domain/find-forgotten.ts';
import type { InUse } from '../domain/ledger.ts';
import { plan, policiesOfNode } from '../domain/plan.ts';
import { planRelease } from '../domain/plan-release.ts';
import type { NodeIdentity, PlanInput } from '../domain/plan-input.ts';
import type { PolicySet } from '../domain/policy.ts';
import type { ResourcePool } from '../domain/resource-pool.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { JournalError } from '../host/journal-record.ts';
import type { HostObservation, HostObserver } from '../host/observe-host.ts';
import { readNoIommuNodes, readVfioNodes } from '../host/vfio-nodes.ts';
import type { Clock, Files, Random } from '../runtime/ports.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { applyPlan } from './apply-plan.ts';
import { describeRelease, describeRepetition } from './describe-outcome.ts';
import type { KubeletSide } from './kubelet-side.ts';
import { nextLook } from './next-look.ts';
import { recover } from './recover.ts';
import {
  emptyRetrySchedule,
  forgetFailure,
  recordFailure,
  toPastFailures,
  untilNextRetry,
  type RetrySchedule,
} from './retry-schedule.ts';
import type { Transaction } from '../domain/step.ts';

/** What a pass works with. */
export interface ReconcileParts {
  readonly files: Files;
  readonly paths: HostPaths;
  readonly clock: Clock;
  readonly random: Random;
  /** Read anew by every pass: labels may change. */
  readonly node: NodeIdentity;
  readonly observer: HostObserver;
  readonly kubelet: KubeletSide;
  readonly policies: () => PolicySet;
  readonly apply: ApplyContext;
  /** Milliseconds between two looks when nothing says to look. */
  readonly interval: number;
  /** Asks for another pass. */
  readonly lookAgain: (reason: string) => void;
  readonly onOutcome: (transaction: Transaction, outcome: ApplyOutcome) => void;
}

/** What a pass came to. */
export interface PassReport {
  readonly observation: HostObservation;
  readonly plan: Plan;
  readonly pools: readonly ResourcePool[];
  readonly inUse: InUse;
  readonly policies: PolicySet;
  /** This node as the pass saw it. */
  readonly node: NodeIdentity;
  /** Transactions that were begun. */
  readonly applied: ReadonlyMap<string, ApplyOutcome>;
  /** Milliseconds until the next pass is due at the latest. */
  readonly again: number;
}

export interface Reconciler {
  pass(): Promise<PassReport>;
  /** Gives one device back because a person asks for it; waits for the pass in progress. */
  release(address: string): Promise<{ readonly ok: boolean; readonly message: string }>;
  /** The host has said that something changed: worth a look even while transactions run. */
  notice(): void;
  /** Resolves once no pass and no release is in progress. */
  idle(): Promise<void>;
}

export function createReconciler(parts: ReconcileParts): Reconciler {
  const { clock, apply, kubelet } = parts;
  let retries: RetrySchedule = emptyRetrySchedule;
  let plannedPolicies = '';
  let noticed = false;
  /** Keys of transactions whose kernel call is watched. */
  const watched = new Set<string>();

  /** Labels and policies may change while a pass runs; it goes by what it began with. */
  const readWanted = (): Wanted => {
    const { name, labels } = parts.node;
    return { node: { name, labels }, policies: parts.policies() };
  };

  const look = async (wanted: Wanted): Promise<Look> => {
    const ledger = apply.journal.ledger();
    const observation = await parts.observer.observe({ policies: policiesOfNode(wanted), ledger, wantHealth: true });
    const use = await kubelet.readUse();
    const inUse = { holders: [...use.holders, ...observation.holders], unreadable: use.unreadable };
    const input: PlanInput = {
      ...wanted,
      inventory: observation.inventory,
      findings: observation.findings,
      aliases: observation.aliases,
      catalog: observation.catalog,
      inUse,
      ledger,
      failures: toPastFailures(retries, clock.monotonic()),
    };
    return { observation, inUse, ...wanted, input, plan: plan(input) };
  };

  const toPools = ({ observation, input, plan: { decisions } }: Look): readonly ResourcePool[] =>
    buildPools({
      inventory: observation.inventory,
      ledger: apply.journal.ledger(),
      decisions,
      silent: observation.silent,
      policies: policiesOfNode(input),
      nodes: readVfioNodes(parts.files, parts.paths),
      noIommuNodes: readNoIommuNodes(parts.files, parts.paths, observation.inventory),
    });

  const noteOutcome = (transaction: Transaction, outcome: ApplyOutcome): void => {
    parts.onOutcome(transaction, outcome);
    switch (outcome.outcome) {
      case 'Applied':
        retries = forgetFailure(retries, transaction.key);
        return;
      case 'RolledBack':
      case 'Quarantined': {
        const message = outcome.outcome === 'RolledBack' ? outcome.cause : outcome.why;
        retries = recordFailure(retries, transaction, message, clock.monotonic(), parts.random.fraction());
        return;
      }
      case 'Stuck':
        watchReturn(outcome.returned, transaction.key);
        return;
      case 'Refused':
      case 'NotBegun':
      case 'Interrupted':
        return;
    }
  };

  const watchReturn = (returned: Promise<void>, key: string): void => {
    if (watched.has(key)) return;
    watched.add(key);
    void returned.then(() => {
      watched.delete(key);
      parts.lookAgain(`kernel call of ${key} returned`);
    });
  };

  /** Ends what an earlier pass or an earlier agent left open, as far as it can be; what is still in the kernel is left alone. */
  const settle = async (): Promise<void> => {
    if (apply.journal.open().length === 0) return;
    const now = clock.monotonic();
    const due = apply.journal
      .open()
      .filter(({ transaction: { key } }) => !watched.has(key) && (retries.get(undoKey(key))?.dueAt ?? 0) <= now);
    const stuckBefore = new Map(due.map(({ transaction, stuck }) => [transaction.key, stuck]));
    const outcomes = await recover(apply, new Set(due.map(({ transaction }) => transaction.key)));
    for (const { transaction } of due) {
      const outcome = outcomes.get(transaction.key);
      if (outcome === undefined) continue;
      // One that is still where it was is no news.
      if (!isKnownStuck(outcome, stuckBefore.get(transaction.key))) parts.onOutcome(transaction, outcome);
      const undo = { ...transaction, key: undoKey(transaction.key) };
      if (outcome.outcome === 'Quarantined')
        retries = recordFailure(retries, undo, outcome.why, now, parts.random.fraction());
      else retries = forgetFailure(retries, undo.key);
      if (outcome.outcome === 'Stuck') watchReturn(outcome.returned, transaction.key);
      if (outcome.outcome === 'RolledBack' && !apply.signal.aborted)
        retries = recordFailure(retries, transaction, outcome.cause, now, parts.random.fraction());
    }
  };

  // Passes and releases never overlap.
  let busy: Promise<unknown> = Promise.resolve();
  const alone = <Result>(run: () => Promise<Result>): Promise<Result> => {
    const result = busy.then(run);
    busy = result.catch(() => undefined);
    return result;
  };

  const release = async (address: string): Promise<{ readonly ok: boolean; readonly message: string }> => {
    const parked = apply.journal
      .open()
      .filter(({ transaction }) => transaction.members.some((member) => member.identity.address === address));
    if (parked.length > 0) await recover(apply, new Set(parked.map(({ transaction }) => transaction.key)));
    const seen = await look(readWanted());
    const planned = planRelease(address, seen.plan, seen.input);
    if ('refusal' in planned) return { ok: false, message: planned.refusal };
    await kubelet.offer(withdraw(toPools(seen), [planned.transaction]));
    const outcome = (await applyPlan([planned.transaction], apply, { onOutcome: noteOutcome })).get(
      planned.transaction.key,
    );
    parts.lookAgain(`release of ${address}`);
    return describeRelease(address, outcome);
  };

  return {
    release: (address) => alone(() => release(address)),
    pass: () => alone(pass),
    notice: () => {
      noticed = true;
    },
    idle: () => alone(() => Promise.resolve()),
  };

  /**
   * Applies. A write may take a minute to count as stuck; meanwhile kubelet hears of everything else (an unplug, a node that is gone),
   * and what has yet to change stays withdrawn whatever a look shows of it. A look that fails must not end the pass: the next one would
   * take what is running for interrupted.
   */
  async function applyAndWatch(
    transactions: readonly Transaction[],
    wanted: Wanted,
  ): Promise<ReadonlyMap<string, ApplyOutcome>> {
    const running = new Map(transactions.map((transaction) => [transaction.key, transaction]));
    const onOutcome = (transaction: Transaction, outcome: ApplyOutcome): void => {
      running.delete(transaction.key);
      noteOutcome(transaction, outcome);
    };
    const applying = applyPlan(transactions, apply, { onOutcome });
    noticed = false;
    while (!(await endsWithin(applying, clock, healthInterval))) {
      // A look costs time that Allocate may need: none without a reason.
      if (!noticed) continue;
      noticed = false;
      try {
        await kubelet.offer(withdraw(toPools(await look(wanted)), [...running.values()]));
      } catch {
        // Where it matters, the look after the last transaction says so.
      }
    }
    return applying;
  }

  /** Drops records of devices that are gone for good; where the disk refuses, the next pass tries again. */
  async function forget(addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0 || !apply.isWriter() || apply.signal.aborted) return;
    try {
      await apply.journal.append({ type: 'Noted', set: [], drop: addresses, why: 'gone, and no policy waits for it' });
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
    }
  }

  /** What was tried in this pass and is planned just the same after it waits like a failure, whatever it came to. */
  function backOff(first: Plan, last: Plan, applied: ReadonlyMap<string, ApplyOutcome>): ReadonlySet<string> {
    const words = ({ kind, steps, members }: Transaction): string => JSON.stringify([kind, steps, members]);
    const before = new Map(first.transactions.map((transaction) => [transaction.key, words(transaction)]));
    const again = last.transactions.filter(
      (transaction) => applied.has(transaction.key) && before.get(transaction.key) === words(transaction),
    );
    for (const transaction of again) {
      const why = describeRepetition(applied.get(transaction.key));
      retries = recordFailure(retries, transaction, why, clock.monotonic(), parts.random.fraction());
    }
    return new Set(again.map(({ key }) => key));
  }

  async function pass(): Promise<PassReport> {
    await settle();
    const wanted = readWanted();
    // Whoever mends a policy after a failure does not wait for the back-off of the old one.
    const words = JSON.stringify(wanted.policies.policies);
    if (words !== plannedPolicies) retries = emptyRetrySchedule;
    plannedPolicies = words;
    const first = await look(wanted);
    await forget(findForgotten(first.input));
    let last = first;
    let applied: ReadonlyMap<string, ApplyOutcome> = new Map();
    let repeated: ReadonlySet<string> = new Set();
    if (first.plan.transactions.length > 0) {
      // What is about to change is offered to nobody any more before anything is written to it.
      await kubelet.offer(toPools(first));
      applied = await applyAndWatch(first.plan.transactions, wanted);
      last = await look(wanted);
      repeated = backOff(first.plan, last.plan, applied);
    }
    const pools = toPools(last);
    await kubelet.offer(pools);
    const again = nextLook(last.plan, applied, repeated, untilNextRetry(retries, clock.monotonic()), parts.interval);
    return { ...last, pools, applied, again };
  }
}

/** How often, in milliseconds, the pools are looked at while transactions run. */
const healthInterval = 2_000;

/** Whether `promise` settles within `milliseconds`. */
function endsWithin(promise: Promise<unknown>, clock: Clock, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(milliseconds, () => resolve(false));
    void promise.finally(() => {
      timer.cancel();
      resolve(true);
    });
  });
}

/** The pools, with what transactions are about to change offered to nobody. */
function withdraw(pools: readonly ResourcePool[], transactions: readonly Transaction[]): readonly ResourcePool[] {
  const going = new Set(transactions.flatMap(({ members }) => members.map((member) => member.identity.address)));
  return pools.map((pool) => ({
    ...pool,
    devices: pool.devices.map((device) =>
      device.functions.some((fn) => going.has(fn.address))
        ? { ...device, healthy: false, unhealthyBecause: device.unhealthyBecause ?? 'it is about to change' }
        : device,
    ),
  }));
}

/** What a pass goes by. */
type Wanted = Pick<PlanInput, 'node' | 'policies'>;

interface Look extends Wanted {
  readonly observation: HostObservation;
  readonly inUse: InUse;
  readonly input: PlanInput;
  readonly plan: Plan;
}

function isKnownStuck(outcome: ApplyOutcome, before: string | null | undefined): boolean {
  return outcome.outcome === 'Stuck' && outcome.said === before;
}

function undoKey(key: string): string {
  return `undo ${key}`;
}
