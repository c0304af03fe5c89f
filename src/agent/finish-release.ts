// Ends an interrupted release by giving back the rest. For when it must not be undone: what was given back already, or something beside it
// in its IOMMU group, has come into the host's use, and taking a device there again would put a holder beside it.
import { describeForeign, isIn, releaseStepsLeft, toTouchedDevices } from '../domain/transaction-states.ts';
import { toResolvedSteps, type OpenTransaction } from '../host/journal-fold.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { commitTransaction } from './apply-transaction.ts';
import { runStep } from './run-step.ts';
import { observeTouched, quarantined } from './undo-transaction.ts';

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
  for (const { device, observed } of before.devices) {
    const foreign = describeForeign(device, observed);
    if (foreign !== null) return quarantined(open, `${cause}; not finished: ${foreign}`, context);
  }
  const steps = before.devices.flatMap(({ device, observed }) =>
    device.planned !== null && isIn(device.planned, observed) ? [] : releaseStepsLeft(all, observed),
  );
  for (const [index, step] of steps.entries()) {
    // `Back`: by what the kernel shows, not one of the plan's own steps by its number.
    const place = { id: open.id, key: open.transaction.key, index, direction: 'Back' as const };
    const run = await runStep(step, place, context);
    if (run.outcome === 'Stuck' || run.outcome === 'Interrupted') return run;
    if (run.outcome === 'Barred') return { outcome: 'Quarantined', why: `${cause}; not finished: ${run.why}` };
    if (run.outcome === 'Failed') return quarantined(open, `${cause}; finishing it failed: ${run.said}`, context);
  }
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
