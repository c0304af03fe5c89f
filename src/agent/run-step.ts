// One step of a transaction, journaled: on disk before the kernel is touched, with the process that makes the call; what came of it
// afterwards.
import { describeStep, type Step } from '../domain/step.ts';
import { executeStep, type StepOutcome } from '../host/execute-step.ts';
import { JournalError, type StepDirection } from '../host/journal-record.ts';
import type { Journal } from '../host/journal.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import type { ApplyContext } from './apply-context.ts';

/** What else can come of a step: it was not begun. */
export type RunOutcome =
  | StepOutcome
  | { readonly outcome: 'Interrupted'; readonly why: string }
  /** The journal cannot be written, or the lock is lost: nothing may be written to the host, not even an undo. */
  | { readonly outcome: 'Barred'; readonly why: string };

/** Which transaction a step belongs to, and where in it. */
export interface StepPlace {
  readonly id: number;
  readonly key: string;
  readonly index: number;
  readonly direction: StepDirection;
}

/** Runs `step` unless we must not write. */
export async function runStep(step: Step, place: StepPlace, context: ApplyContext): Promise<RunOutcome> {
  const { journal, host } = context;
  const { id, index, direction } = place;
  if (context.signal.aborted) return { outcome: 'Interrupted', why: `stopped before: ${describeStep(step)}` };
  if (!context.isWriter()) return { outcome: 'Barred', why: 'this process no longer holds the host lock' };

  const begun = host.clock.monotonic();
  let outcome: StepOutcome;
  try {
    outcome = await executeStep(step, host, (known, worker) =>
      journal.append({ type: 'StepBegun', id, index, direction, step: known, worker }),
    );
  } catch (error) {
    if (error instanceof JournalError) return { outcome: 'Barred', why: error.message };
    throw error;
  }
  const milliseconds = host.clock.monotonic() - begun;
  context.onStep({ key: place.key, step, direction, outcome: outcome.outcome, said: outcome.said, milliseconds });
  await record(outcome, id, context);
  return outcome;
}

// A crash may lose that a step ended: then the kernel is asked. That one is stuck is on disk for the next agent; where the disk
// refuses, its beginning is, with its process, and that is enough.
async function record(outcome: StepOutcome, id: number, { journal }: ApplyContext): Promise<void> {
  switch (outcome.outcome) {
    case 'Done':
      journal.note({ type: 'StepDone', id, said: outcome.said });
      return;
    case 'Failed':
      journal.note({ type: 'StepFailed', id, said: outcome.said });
      return;
    case 'Stuck':
      await recordStuck(id, outcome, journal);
      return;
  }
}

/** Journals that a call has not returned, as durably as the disk allows. */
export async function recordStuck(
  id: number,
  { worker, said }: { readonly worker: ProcessIdentity; readonly said: string },
  journal: Journal,
): Promise<void> {
  const record = { type: 'StepStuck', id, worker, said } as const;
  try {
    await journal.append(record);
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    journal.note(record);
  }
}
