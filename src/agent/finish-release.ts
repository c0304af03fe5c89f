// Ends an interrupted release by giving back the rest. For when it must not be undone: what was given back already, or something beside it
// in its IOMMU group, has come into the host's use, and taking a device there again would put a holder beside it.
import { isIn, releaseStepsLeft, toTouchedDevices } from '../domain/transaction-states.ts';
import { toResolvedSteps, type OpenTransaction } from '../host/journal-fold.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { commitTransaction } from './apply-transaction.ts';
import { findForeign, observeTouched, quarantined, runBack } from './undo-transaction.ts';

/** Does what `open`, a release that nobody holds, has left to do; `cause` says why it is not undone. */
export async function finishRelease(
  open: OpenTransaction,
  cause: string,
  context: ApplyContext,
): Promise<ApplyOutcome> {
  const all = toResolvedSteps(open);
  const touched = toTouchedDevices(open.transaction, all);
  const before = await observeTouched(open, touched, context);
  if (before.outcome === 'Stuck') return before;
  if (before.outcome !== 'Observed') return quarantined(open, `${cause}; not finished: ${before.why}`, context);
  const foreign = findForeign(before.devices);
  if (foreign !== null) return quarantined(open, `${cause}; not finished: ${foreign}`, context);
  const steps = before.devices.flatMap(({ device, observed }) =>
    device.planned !== null && isIn(device.planned, observed) ? [] : releaseStepsLeft(all, observed),
  );
  const ended = await runBack(open, steps, cause, { done: 'finished', doing: 'finishing' }, context);
  if (ended !== null) return ended;
  const after = await observeTouched(open, touched, context);
  if (after.outcome === 'Stuck') return after;
  if (after.outcome !== 'Observed') return quarantined(open, `${cause}; ${after.why}`, context);
  const wrong = after.devices.find(
    ({ device, observed }) => device.planned === null || !isIn(device.planned, observed),
  );
  if (wrong === undefined) return commitTransaction(open, context);
  const { address, driver } = wrong.observed;
  return quarantined(open, `${cause}; finished, but ${address} shows driver ${driver ?? 'none'}`, context);
}
