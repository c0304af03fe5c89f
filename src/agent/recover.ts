// Ends what was begun and not ended: after a crash, after a stuck call has returned, and for what was quarantined. The kernel decides:
// what it shows as done is committed, everything else is undone, or, a release that must not be, finished. Transactions of another boot
// are over (journal-fold.ts), and a device that is another one now is not touched.
import { isIn, toTouchedDevices } from '../domain/transaction-states.ts';
import { toResolvedSteps, type OpenTransaction } from '../host/journal-fold.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import { isAlive } from '../runtime/process-status.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { commitTransaction, verifyTransaction } from './apply-transaction.ts';
import { finishRelease } from './finish-release.ts';
import { recordStuck } from './run-step.ts';
import { runTransactions } from './run-transactions.ts';
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
export function recover(
  context: ApplyContext,
  only: ReadonlySet<string> | null = null,
  times: RecoverTimes = defaultTimes,
): Promise<ReadonlyMap<string, ApplyOutcome>> {
  const open = context.journal.open().filter(({ transaction }) => only === null || only.has(transaction.key));
  const work = open.map((one) => ({
    transaction: one.transaction,
    run: () => recoverTransaction(one, context, times),
  }));
  return runTransactions(work, 4, () => undefined);
}

async function recoverTransaction(
  open: OpenTransaction,
  context: ApplyContext,
  times: RecoverTimes,
): Promise<ApplyOutcome> {
  if (!context.isWriter()) return { outcome: 'NotBegun', why: 'this process does not hold the host lock' };
  const worker = open.inFlight?.worker ?? null;
  if (worker !== null) {
    const grace = open.stuck === null ? times.grace : 0;
    if (await outlives(worker, context, grace)) return stillStuck(open, worker, context, times);
    context.journal.note({ type: 'StepReturned', id: open.id });
  }
  const cause = open.cause ?? 'it was interrupted';
  const steps = toResolvedSteps(open);
  // Only what nothing has failed in can be finished in place of being undone.
  const onRefused =
    open.transaction.kind === 'Release' && open.cause === null
      ? (why: string) => finishRelease(open, why, context)
      : null;
  if (open.begun.length < steps.length) return undoTransaction(open, cause, context, onRefused);

  const touched = toTouchedDevices(open.transaction, steps);
  const now = await observeTouched(open, touched, context);
  if (now.outcome === 'Stuck') return now;
  const complete =
    now.outcome === 'Observed' &&
    now.devices.length === touched.length &&
    now.devices.every(({ device, observed }) => device.planned !== null && isIn(device.planned, observed)) &&
    (await verifyTransaction(open, context)) === null;
  return complete ? commitTransaction(open, context) : undoTransaction(open, cause, context, onRefused);
}

/** Whether the process is still there after the grace: one whose agent died needs a moment to notice and end. */
async function outlives(worker: ProcessIdentity, { host }: ApplyContext, grace: number): Promise<boolean> {
  const until = host.clock.monotonic() + grace;
  while (isAlive(host.files, host.paths.proc, worker)) {
    if (host.clock.monotonic() >= until) return true;
    await pause(host, 100);
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

// One watch per process, however often it is asked for.
const watches = new WeakMap<ApplyContext, Map<string, Promise<void>>>();

function waitUntilGone(worker: ProcessIdentity, context: ApplyContext, times: RecoverTimes): Promise<void> {
  const known = watches.get(context) ?? new Map<string, Promise<void>>();
  watches.set(context, known);
  const name = `${worker.pid} ${worker.startTime}`;
  const gone =
    known.get(name) ??
    watch(worker, context, times).then(() => {
      known.delete(name);
    });
  known.set(name, gone);
  return gone;
}

async function watch(worker: ProcessIdentity, { host, signal }: ApplyContext, times: RecoverTimes): Promise<void> {
  while (!signal.aborted && isAlive(host.files, host.paths.proc, worker)) await pause(host, times.look);
}

function pause({ clock }: ApplyContext['host'], milliseconds: number): Promise<void> {
  return new Promise((resolve) => void clock.after(milliseconds, resolve));
}
