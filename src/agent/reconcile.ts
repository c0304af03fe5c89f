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
import { endsWithin } from '../runtime/ends-within.ts';
import type { Clock, Files, Random } from '../runtime/ports.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { applyPlan } from './apply-plan.ts';
import { describeRelease, describeRepetition } from './describe-outcome.ts';
import type { KubeletSide } from './kubelet-side.ts';
import { nextLook } from './next-look.ts';
import { withdraw } from './withdraw.ts';
import { createRunningTransactions, type Ended } from './running-transactions.ts';
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
  /** A pass waits for what runs. */
  let attended = false;
  /** Keys of transactions whose kernel call is watched. */
  const watched = new Set<string>();
  const running = createRunningTransactions(apply, (transaction, outcome) => {
    noteOutcome(transaction, outcome);
    if (!attended) parts.lookAgain(`${transaction.key} has ended`);
  });

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
      failures: new Map(),
    };
    return toLook({ observation, inUse, ...wanted, input });
  };

  /** Plans. What runs stands as it was decided: nothing has come of it yet. */
  const toLook = (seen: Omit<Look, 'plan'>): Look => {
    const planned = plan({ ...seen.input, failures: toPastFailures(retries, clock.monotonic()) });
    return { ...seen, plan: { ...planned, decisions: running.mask(planned.decisions) } };
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
      .filter(
        ({ transaction: { key } }) =>
          !watched.has(key) && !running.has(key) && (retries.get(undoKey(key))?.dueAt ?? 0) <= now,
      );
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
    const own = ({ members }: Transaction): boolean => members.some((member) => member.identity.address === address);
    if (running.all.some(own))
      return { ok: false, message: `${address} is being changed; ask again when that has ended` };
    const parked = apply.journal.open().filter(({ transaction }) => own(transaction) && !running.has(transaction.key));
    if (parked.length > 0) await recover(apply, new Set(parked.map(({ transaction }) => transaction.key)));
    const seen = await look(readWanted());
    const planned = planRelease(address, seen.plan, seen.input);
    if ('refusal' in planned) return { ok: false, message: planned.refusal };
    if (running.bars(planned.transaction))
      return {
        ok: false,
        message: `${address}: something of its group is being changed; ask again when that has ended`,
      };
    await kubelet.offer(withdraw(toPools(seen), [planned.transaction, ...running.all]));
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
    idle: () => alone(() => running.idle()),
  };

  /** What is offered: what is about to change, or is changing, is withdrawn whatever a look shows of it. */
  function offer(seen: Look): Promise<void> {
    return kubelet.offer(withdraw(toPools(seen), running.all));
  }

  /**
   * Applies. A write may take a minute to count as stuck. Meanwhile kubelet hears of everything else (an unplug, a node that is gone), and
   * when nothing gets on any more the pass ends without it, so that other groups go on being planned. A look that fails must not end the
   * pass.
   */
  async function applyAndWatch(first: Look, wanted: Wanted): Promise<void> {
    const applying = running.start(first.plan);
    noticed = false;
    let progress = { ended: running.ended, at: clock.monotonic() };
    while (!(await endsWithin(applying, clock, healthInterval))) {
      if (running.ended !== progress.ended) progress = { ended: running.ended, at: clock.monotonic() };
      if (clock.monotonic() - progress.at >= patience && !apply.signal.aborted) return;
      // A look costs time that Allocate may need: none without a reason.
      if (!noticed) continue;
      noticed = false;
      try {
        await offer(await look(wanted));
      } catch {
        // Where it matters, the look after the last transaction says so.
      }
    }
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

  /** What was tried and is planned just the same after it waits like a failure, whatever it came to. */
  function backOff(ended: ReadonlyMap<string, Ended>, after: Plan): ReadonlySet<string> {
    const words = ({ kind, steps, members }: Transaction): string => JSON.stringify([kind, steps, members]);
    const again = after.transactions.filter((transaction) => {
      const tried = ended.get(transaction.key);
      return tried !== undefined && words(tried.transaction) === words(transaction);
    });
    for (const transaction of again) {
      const why = describeRepetition(ended.get(transaction.key)?.outcome);
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
    let first = await look(wanted);
    // What ended after the pass that began it.
    if (backOff(running.takeEnded(), first.plan).size > 0) first = toLook(first);
    await forget(findForgotten(first.input));
    let last = first;
    let ended: ReadonlyMap<string, Ended> = new Map();
    let repeated: ReadonlySet<string> = new Set();
    if (first.plan.transactions.some((transaction) => !running.bars(transaction))) {
      // What is about to change is offered to nobody any more before anything is written to it.
      await offer(first);
      attended = true;
      await applyAndWatch(first, wanted).finally(() => {
        attended = false;
      });
      last = await look(wanted);
      ended = running.takeEnded();
      repeated = backOff(ended, last.plan);
    }
    await offer(last);
    const applied = new Map([...ended].map(([key, { outcome }]) => [key, outcome]));
    const again = nextLook(last.plan, applied, repeated, untilNextRetry(retries, clock.monotonic()), parts.interval);
    return { ...last, pools: kubelet.told(withdraw(toPools(last), running.all)), applied, again };
  }
}

/** Milliseconds without any transaction ending after which a pass goes on without those that run. */
const patience = 5_000;
/** How often, in milliseconds, the pools are looked at while transactions run. */
const healthInterval = 2_000;

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
