// Transactions that were begun and have not ended. A pass waits for them while they get on, but not for a kernel call that seems to hang:
// that goes on by itself, and only what has to do with it waits for it.
import type { Decision, Plan } from '../domain/decision.ts';
import type { Transaction } from '../domain/step.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { applyPlan } from './apply-plan.ts';
import { conflict } from './run-transactions.ts';

/** Transactions at a time, queued ones included: a kernel that hangs on so many gets no more work. */
const most = 64;

export interface RunningTransactions {
  /** All that were begun, or wait for their turn, and have not ended. */
  readonly all: readonly Transaction[];
  /** Starts those that have nothing to do with one that runs. `decisions` are why: they stand until it has ended. */
  start(plan: Pick<Plan, 'transactions' | 'decisions'>): Promise<void>;
  has(key: string): boolean;
  /** Whether one that runs touches what this one touches. */
  bars(transaction: Transaction): boolean;
  /** The decisions with those of running transactions as they were when these began: nothing has come of them yet. */
  mask(decisions: readonly Decision[]): readonly Decision[];
  /** What has ended since the last call, by key. */
  takeEnded(): ReadonlyMap<string, Ended>;
  /** How many have ended so far. */
  readonly ended: number;
  /** Resolves when none runs. */
  idle(): Promise<void>;
}

export interface Ended {
  readonly transaction: Transaction;
  readonly outcome: ApplyOutcome;
}

export function createRunningTransactions(
  apply: ApplyContext,
  onOutcome: (transaction: Transaction, outcome: ApplyOutcome) => void,
): RunningTransactions {
  const running = new Map<string, { readonly transaction: Transaction; readonly decisions: readonly Decision[] }>();
  const batches = new Set<Promise<unknown>>();
  let ended = new Map<string, Ended>();
  let count = 0;

  const note = (transaction: Transaction, outcome: ApplyOutcome): void => {
    running.delete(transaction.key);
    ended.set(transaction.key, { transaction, outcome });
    count += 1;
    onOutcome(transaction, outcome);
  };
  const bars = (transaction: Transaction): boolean =>
    [...running.values()].some((other) => conflict(other.transaction, transaction));

  return {
    get all() {
      return [...running.values()].map(({ transaction }) => transaction);
    },
    get ended() {
      return count;
    },
    has: (key) => running.has(key),
    bars,
    async start({ transactions, decisions }) {
      const free = transactions.filter((transaction) => !bars(transaction)).slice(0, Math.max(0, most - running.size));
      for (const transaction of free) {
        const addresses = new Set(transaction.members.map((member) => member.identity.address));
        const why = decisions.filter((decision) => addresses.has(decision.address));
        running.set(transaction.key, { transaction, decisions: why });
      }
      const batch = applyPlan(free, apply, { onOutcome: note });
      batches.add(batch);
      await batch;
      batches.delete(batch);
    },
    mask(decisions) {
      const standing = new Map(
        [...running.values()].flatMap((one) => one.decisions).map((decision) => [decision.address, decision]),
      );
      return decisions.map((decision) => standing.get(decision.address) ?? decision);
    },
    takeEnded() {
      const taken = ended;
      ended = new Map();
      return taken;
    },
    async idle() {
      while (batches.size > 0) await Promise.all(batches);
    },
  };
}
