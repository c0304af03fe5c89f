// Runs the transactions of a plan: side by side where they have nothing to do with each other, but never more than a few at a time;
// those that make or remove VFs one by one, because the kernel does it under one lock for the whole machine (pci_rescan_remove_lock).
import type { Transaction } from '../domain/step.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { applyTransaction } from './apply-transaction.ts';

/** What came of each transaction, by key, and when. */
export interface ApplyPlanOptions {
  /** Transactions at a time, 4 unless told. */
  readonly parallel?: number;
  readonly onOutcome?: (transaction: Transaction, outcome: ApplyOutcome) => void;
}

/** Applies all transactions. One's failure never stops another; results are by key. Never rejects. */
export async function applyPlan(
  transactions: readonly Transaction[],
  context: ApplyContext,
  options: ApplyPlanOptions = {},
): Promise<ReadonlyMap<string, ApplyOutcome>> {
  const results = new Map<string, ApplyOutcome>();
  const waiting = [...transactions];
  const running = new Map<Transaction, Promise<void>>();
  while (waiting.length > 0 || running.size > 0) {
    const at =
      running.size < (options.parallel ?? 4) ? waiting.findIndex((one) => isFree(one, [...running.keys()])) : -1;
    if (at < 0) {
      await Promise.race(running.values());
      continue;
    }
    for (const transaction of waiting.splice(at, 1)) {
      const run = applyOne(transaction, context).then((outcome) => {
        results.set(transaction.key, outcome);
        running.delete(transaction);
        options.onOutcome?.(transaction, outcome);
      });
      running.set(transaction, run);
    }
  }
  return results;
}

// What is thrown here is a bug of ours. It must not keep the other groups from what they need; the journal knows how far this got.
async function applyOne(transaction: Transaction, context: ApplyContext): Promise<ApplyOutcome> {
  try {
    return await applyTransaction(transaction, context);
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { outcome: 'Quarantined', why: `${transaction.key}: internal error: ${why}` };
  }
}

function isFree(transaction: Transaction, running: readonly Transaction[]): boolean {
  return running.every((other) => !conflict(transaction, other));
}

function conflict(a: Transaction, b: Transaction): boolean {
  if (a.key === b.key || (a.group !== null && a.group === b.group)) return true;
  if (changesVirtualFunctions(a) && changesVirtualFunctions(b)) return true;
  const addresses = new Set(a.members.map((member) => member.identity.address));
  return b.members.some((member) => addresses.has(member.identity.address));
}

function changesVirtualFunctions(transaction: Transaction): boolean {
  return transaction.steps.some((step) => step.kind === 'SetVirtualFunctions');
}
