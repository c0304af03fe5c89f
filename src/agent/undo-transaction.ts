// Puts back what a transaction changed, from whatever state the kernel shows. Nothing is written while anybody holds a member, nor
// over a value that is not ours; what then remains is quarantined, with the reason, and tried again later.
import type { Step } from '../domain/step.ts';
import {
  describeForeign,
  isIn,
  stepsTowards,
  toTouchedDevices,
  type ObservedDevice,
  type TouchedDevice,
} from '../domain/transaction-states.ts';
import type { OpenTransaction } from '../host/journal-fold.ts';
import { JournalError, type JournalRecord } from '../host/journal-record.ts';
import { observeDevice } from '../host/observe-device.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { recordStuck, runStep } from './run-step.ts';

/**
 * Undoes the steps of `open` that were begun; `cause` is what people are told. `onRefused` decides, where given, what becomes of a
 * release that must not be undone since the host has come to use its group; else it is quarantined.
 */
export async function undoTransaction(
  open: OpenTransaction,
  cause: string,
  context: ApplyContext,
  onRefused: ((why: string) => Promise<ApplyOutcome>) | null = null,
): Promise<ApplyOutcome> {
  const touched = toTouchedDevices(open.transaction, open.begun).toReversed();
  if (touched.length === 0) return rolledBack(open, cause, context);
  const held = await context.holders(open.transaction);
  if (!held.ok) return quarantined(open, `${cause}; it is not undone while it is in use: ${held.message}`, context);

  const now = await observeTouched(open, touched, context);
  if (now.outcome !== 'Observed')
    return now.outcome === 'Stuck' ? now : quarantined(open, `${cause}; ${now.why}`, context);
  const foreign = findForeign(now.devices);
  if (foreign !== null) return quarantined(open, `${cause}; not undone: ${foreign}`, context);
  const steps = now.devices.flatMap(({ device, observed }) => stepsTowards(device.initial, observed));
  if (takesFromHost(open, steps)) {
    const check = await context.preflight(open.transaction);
    const why = check.ok ? null : `${cause}; not undone: ${check.message}`;
    if (why !== null) return onRefused === null ? quarantined(open, why, context) : onRefused(why);
  }
  const ended = await runBack(open, steps, cause, { done: 'undone', doing: 'undoing' }, context);
  return ended ?? confirm(open, touched, cause, context);
}

/** The first of what the kernel shows that no step of ours can have left; null when all is explained. */
export function findForeign(
  devices: readonly { readonly device: TouchedDevice; readonly observed: ObservedDevice }[],
): string | null {
  for (const { device, observed } of devices) {
    const foreign = describeForeign(device, observed);
    if (foreign !== null) return foreign;
  }
  return null;
}

/**
 * Runs steps that follow from what the kernel shows, and are not the plan's own by their number (`Back`). null: all are done; else how the
 * transaction ended, with `cause` and the words for what was tried.
 */
export async function runBack(
  open: OpenTransaction,
  steps: readonly Step[],
  cause: string,
  words: { readonly done: string; readonly doing: string },
  context: ApplyContext,
): Promise<ApplyOutcome | null> {
  for (const [index, step] of steps.entries()) {
    const place = { id: open.id, key: open.transaction.key, index, direction: 'Back' as const };
    const run = await runStep(step, place, context);
    if (run.outcome === 'Stuck' || run.outcome === 'Interrupted') return run;
    if (run.outcome === 'Barred') return { outcome: 'Quarantined', why: `${cause}; not ${words.done}: ${run.why}` };
    if (run.outcome === 'Failed') return quarantined(open, `${cause}; ${words.doing} it failed: ${run.said}`, context);
  }
  return null;
}

/** What the kernel shows of the devices that still are who they were; those that are gone need no undo. */
export async function observeTouched(
  open: OpenTransaction,
  touched: readonly TouchedDevice[],
  context: ApplyContext,
): Promise<
  | {
      readonly outcome: 'Observed';
      readonly devices: readonly { readonly device: TouchedDevice; readonly observed: ObservedDevice }[];
    }
  | { readonly outcome: 'Unreadable'; readonly why: string }
  | Extract<ApplyOutcome, { outcome: 'Stuck' }>
> {
  const devices: { device: TouchedDevice; observed: ObservedDevice }[] = [];
  const modalias = new Map(open.transaction.members.map(({ identity }) => [identity.address, identity.modalias]));
  for (const device of touched) {
    const { bus, address, initial } = device;
    const observation = await observeDevice(context.host, {
      bus,
      address,
      override: initial.override !== undefined,
      virtualFunctions: initial.virtualFunctions !== undefined,
      autoprobe: initial.autoprobe !== undefined,
    });
    if (observation.outcome === 'Gone') continue;
    if (observation.outcome === 'Unreadable') return observation;
    if (observation.outcome === 'Stuck') {
      const said = `${address}: a read has not returned (process ${observation.worker.pid})`;
      await recordStuck(open.id, { worker: observation.worker, said }, context.journal);
      return { outcome: 'Stuck', said, worker: observation.worker, returned: observation.returned };
    }
    if (observation.device.modalias === modalias.get(address)) devices.push({ device, observed: observation.device });
  }
  return { outcome: 'Observed', devices };
}

/** Appends the record that ends (or parks) a transaction; without it the transaction stays open, and is looked at again. */
export async function endTransaction(
  record: JournalRecord,
  outcome: ApplyOutcome,
  context: ApplyContext,
): Promise<ApplyOutcome> {
  try {
    await context.journal.append(record);
    return outcome;
  } catch (error) {
    if (error instanceof JournalError) return { outcome: 'Quarantined', why: error.message };
    throw error;
  }
}

async function confirm(
  open: OpenTransaction,
  touched: readonly TouchedDevice[],
  cause: string,
  context: ApplyContext,
): Promise<ApplyOutcome> {
  const now = await observeTouched(open, touched, context);
  if (now.outcome !== 'Observed')
    return now.outcome === 'Stuck' ? now : quarantined(open, `${cause}; ${now.why}`, context);
  const wrong = now.devices.find(({ device, observed }) => !isIn(device.initial, observed));
  if (wrong === undefined) return rolledBack(open, cause, context);
  const { observed } = wrong;
  const shows = `driver ${observed.driver ?? 'none'}, driver_override ${observed.override ?? 'none'}`;
  return quarantined(open, `${cause}; undone, but ${observed.address} shows ${shows}`, context);
}

// Only undoing a release takes a device from a host driver, which may have been put to use in the meantime.
function takesFromHost(open: OpenTransaction, steps: readonly Step[]): boolean {
  if (open.transaction.kind !== 'Release') return false;
  return steps.some((step) => step.kind === 'Unbind');
}

function rolledBack(open: OpenTransaction, cause: string, context: ApplyContext): Promise<ApplyOutcome> {
  return endTransaction({ type: 'RolledBack', id: open.id, cause }, { outcome: 'RolledBack', cause }, context);
}

/** Parks a transaction. Tried again and again, it stays as it is: only a change is worth a record. */
export async function quarantined(open: OpenTransaction, why: string, context: ApplyContext): Promise<ApplyOutcome> {
  const outcome: ApplyOutcome = { outcome: 'Quarantined', why };
  const known = context.journal.open().find((one) => one.id === open.id)?.quarantined;
  return known === why ? outcome : endTransaction({ type: 'Quarantined', id: open.id, why }, outcome, context);
}
