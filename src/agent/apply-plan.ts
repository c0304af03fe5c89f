// Runs the transactions of a plan, those that can side by side.
import type { Transaction } from '../domain/step.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { applyTransaction } from './apply-transaction.ts';
import { runTransactions } from './run-transactions.ts';

export interface ApplyPlanOptions {
  /** Transactions at a time, 4 unless told. */
  readonly parallel?: number;
  /** Told when each has ended. */
  readonly onOutcome?: (transaction: Transaction, outcome: ApplyOutcome) => void;
}

/** Applies all transactions. One's failure never stops another; results are by key. Never rejects. */
export function applyPlan(
  transactions: readonly Transaction[],
  context: ApplyContext,
  options: ApplyPlanOptions = {},
): Promise<ReadonlyMap<string, ApplyOutcome>> {
  const work = transactions.map((transaction) => ({ transaction, run: () => applyTransaction(transaction, context) }));
  return runTransactions(work, options.parallel ?? 4, options.onOutcome ?? (() => undefined));
}
