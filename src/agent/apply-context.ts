// What applying a transaction needs from its surroundings, and how it can end.
import type { HoldCode, RefusalCode } from '../domain/codes.ts';
import type { Step, Transaction } from '../domain/step.ts';
import type { StepHost } from '../host/execute-step.ts';
import type { StepDirection } from '../host/journal-record.ts';
import type { Journal } from '../host/journal.ts';
import type { VerifyHost } from '../host/verify-bound.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';

/** The answer of a check: go on, or the code with its proof. */
export type Check =
  { readonly ok: true } | { readonly ok: false; readonly code: RefusalCode | HoldCode; readonly message: string };

/** One step that ended, for metrics and for people. */
export interface StepEvent {
  readonly key: string;
  readonly step: Step;
  readonly direction: StepDirection;
  readonly outcome: 'Done' | 'Failed' | 'Stuck';
  readonly said: string | null;
  readonly milliseconds: number;
}

/** Everything below an apply. */
export interface ApplyContext {
  readonly host: StepHost & VerifyHost;
  readonly journal: Journal;
  /** Whether we still hold the host lock. Asked before every step. */
  readonly isWriter: () => boolean;
  /**
   * Looks at the host again: no member (nor any other member of its group, nor a VF of a PF) has a holder, and nothing about the
   * members is critical beyond their `allow`. Called right before the first write to a device, and before an undo takes a device
   * from a host driver.
   */
  readonly preflight: (transaction: Transaction) => Promise<Check>;
  /** Of that, the holders alone: called before anything is undone. */
  readonly holders: (transaction: Transaction) => Promise<Check>;
  readonly onStep: (event: StepEvent) => void;
  /** Aborted on SIGTERM: the running step is finished and nothing more is begun. */
  readonly signal: AbortSignal;
}

/** How a transaction ended. Every sentence names what was tried, on what, and what the kernel said. */
export type ApplyOutcome =
  | { readonly outcome: 'Applied' }
  /** A step failed, and everything is as it was before. */
  | { readonly outcome: 'RolledBack'; readonly cause: string }
  /** A step failed, and what it was could not be put back (or must not be, now): a person may have to look. */
  | { readonly outcome: 'Quarantined'; readonly why: string }
  /** A kernel call has not returned. Nothing more is written to the group; after `returned`, recover and plan anew. */
  | {
      readonly outcome: 'Stuck';
      readonly said: string;
      readonly worker: ProcessIdentity;
      readonly returned: Promise<void>;
    }
  /** The preflight found a reason not to; no device was written to. */
  | { readonly outcome: 'Refused'; readonly code: RefusalCode | HoldCode; readonly proof: string }
  /** The plan does not fit the host any more, or we may not write now; no device was written to. */
  | { readonly outcome: 'NotBegun'; readonly why: string }
  /** SIGTERM came in the middle: the journal knows, and the next start finishes or undoes it. */
  | { readonly outcome: 'Interrupted'; readonly why: string };
