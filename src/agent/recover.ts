// Ends what was begun and not ended: after a crash, after a stuck call has returned, and for what was quarantined. The kernel decides:
// what it shows as done is committed, everything else is undone. Transactions of another boot are over (journal-fold.ts), and a
// device that is another one now is not touched.
import { isIn, toTouchedDevices } from '../domain/transaction-states.ts';
import { toResolvedSteps, type OpenTransaction } from '../host/journal-fold.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import { isAlive } from '../runtime/process-status.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { commitTransaction, verifyTransaction } from './apply-transaction.ts';
import { recordStuck } from './run-step.ts';
import { observeTouched, undoTransaction } from './undo-transaction.ts';

/** Milliseconds between looks at a process that another agent has left in the kernel, and how long one that is just ending may take. */
export interface RecoverTimes {
  readonly look: number;
  readonly grace: number;
}

const defaultTimes: RecoverTimes = { look: 1_000, grace: 2_000 };

/**
 * Ends every open transaction that can be, `only` those with these keys when given; results by key. A transaction whose kernel call
 * is still under way stays `Stuck`; one that is in use, or shows somebody else's work, stays `Quarantined`.
 */
export async function recover(
  context: ApplyContext,
  only: ReadonlySet<string> | null = null,
  times: RecoverTimes = defaultTimes,
): Promise<ReadonlyMap<string, ApplyOutcome>> {
  const results = new Map<string, ApplyOutcome>();
  for (const open of context.journal.open()) {
    const { key } = open.transaction;
    if (only !== null && !only.has(key)) continue;
    results.set(key, await recoverTransaction(open, context, times));
  }
  return results;
}

async function recoverTransaction(
  open: OpenTransaction,
  context: ApplyContext,
  times: RecoverTimes,
): Promise<ApplyOutcome> {
  if (!context.isWriter()) return { outcome: 'NotBegun', why: 'this process does not hold the host lock' };
  const worker = open.inFlight?.worker ?? null;
  if (worker !== null) {
    if (await outlives(worker, context, times)) return stillStuck(open, worker, context, times);
    context.journal.note({ type: 'StepReturned', id: open.id });
  }
  const cause = open.cause ?? open.quarantined ?? 'it was interrupted';
  const steps = toResolvedSteps(open);
  if (open.begun.length < steps.length) return undoTransaction(open, cause, context);

  const touched = toTouchedDevices(open.transaction, steps);
  const now = await observeTouched(open, touched, context);
  if (now.outcome === 'Stuck') return now;
  const complete =
    now.outcome === 'Observed' &&
    now.devices.length === touched.length &&
    now.devices.every(({ device, observed }) => device.planned !== null && isIn(device.planned, observed)) &&
    (await verifyTransaction(open, context)) === null;
  return complete ? commitTransaction(open, context) : undoTransaction(open, cause, context);
}

/** Whether the process is still there after the grace: one whose agent died needs a moment to notice and end. */
async function outlives(worker: ProcessIdentity, { host }: ApplyContext, times: RecoverTimes): Promise<boolean> {
  const until = host.clock.monotonic() + times.grace;
  while (isAlive(host.files, host.paths.proc, worker)) {
    if (host.clock.monotonic() >= until) return true;
    await pause(host, Math.min(100, times.look));
  }
  return false;
}

async function stillStuck(
  open: OpenTransaction,
  worker: ProcessIdentity,
  context: ApplyContext,
  times: RecoverTimes,
): Promise<ApplyOutcome> {
  const said =
    open.stuck ?? `${open.transaction.key}: a kernel call of an earlier agent has not returned (process ${worker.pid})`;
  if (open.stuck === null) await recordStuck(open.id, { worker, said }, context.journal);
  return { outcome: 'Stuck', said, worker, returned: waitUntilGone(worker, context, times) };
}

async function waitUntilGone(
  worker: ProcessIdentity,
  { host, signal }: ApplyContext,
  times: RecoverTimes,
): Promise<void> {
  while (!signal.aborted && isAlive(host.files, host.paths.proc, worker)) await pause(host, times.look);
}

function pause({ clock }: ApplyContext['host'], milliseconds: number): Promise<void> {
  return new Promise((resolve) => void clock.after(milliseconds, resolve));
}
