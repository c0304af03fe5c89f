// Runs work on transactions side by side where they have nothing to do with each other, but never more than a few at a time; those
// that make or remove VFs one by one, because the kernel does it under one lock for the whole machine (pci_rescan_remove_lock).
import type { Transaction } from '../domain/step.ts';
import type { ApplyOutcome } from './apply-context.ts';

/** One piece of work. */
export interface TransactionWork {
  readonly transaction: Transaction;
  readonly run: () => Promise<ApplyOutcome>;
}

/** Runs all; results by key, also told one by one. One's failure never stops another. Never rejects. */
export async function runTransactions(
  work: readonly TransactionWork[],
  parallel: number,
  onOutcome: (transaction: Transaction, outcome: ApplyOutcome) => void,
): Promise<ReadonlyMap<string, ApplyOutcome>> {
  const results = new Map<string, ApplyOutcome>();
  const waiting = [...work];
  const running = new Map<Transaction, Promise<void>>();
  while (waiting.length > 0 || running.size > 0) {
    const at = running.size < parallel ? waiting.findIndex((one) => isFree(one.transaction, [...running.keys()])) : -1;
    if (at < 0) {
      await Promise.race(running.values());
      continue;
    }
    for (const one of waiting.splice(at, 1)) {
      const { transaction } = one;
      const ended = runOne(one).then((outcome) => {
        results.set(transaction.key, outcome);
        running.delete(transaction);
        onOutcome(transaction, outcome);
      });
      running.set(transaction, ended);
    }
  }
  return results;
}

// What is thrown here is a bug of ours. It must not keep the other groups from what they need; the journal knows how far this got.
async function runOne({ transaction, run }: TransactionWork): Promise<ApplyOutcome> {
  try {
    return await run();
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { outcome: 'Quarantined', why: `${transaction.key}: internal error: ${why}` };
  }
}

function isFree(transaction: Transaction, running: readonly Transaction[]): boolean {
  return running.every((other) => !conflict(transaction, other));
}

/** Whether two transactions must not run side by side. */
export function conflict(a: Transaction, b: Transaction): boolean {
  if (a.key === b.key || (a.group !== null && a.group === b.group)) return true;
  if (changesVirtualFunctions(a) && changesVirtualFunctions(b)) return true;
  const addresses = new Set(a.members.map((member) => member.identity.address));
  return b.members.some((member) => addresses.has(member.identity.address));
}

function changesVirtualFunctions(transaction: Transaction): boolean {
  return transaction.steps.some((step) => step.kind === 'SetVirtualFunctions');
}
