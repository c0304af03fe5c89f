// Outcomes of transactions as sentences for people.
import type { ApplyOutcome } from './apply-context.ts';

/** What came of a release that a person asked for. */
export function describeRelease(
  address: string,
  outcome: ApplyOutcome | undefined,
): { readonly ok: boolean; readonly message: string } {
  switch (outcome?.outcome) {
    case 'Applied':
      return { ok: true, message: `${address} is released` };
    case 'RolledBack':
      return { ok: false, message: `${address} was not released, everything is as before: ${outcome.cause}` };
    case 'Refused':
      return { ok: false, message: `${address} was not released: ${outcome.proof}` };
    case 'Stuck':
      return { ok: false, message: `${address}: ${outcome.said}` };
    case 'Quarantined':
    case 'NotBegun':
    case 'Interrupted':
      return { ok: false, message: `${address}: ${outcome.why}` };
    case undefined:
      return { ok: false, message: `${address}: nothing was done` };
  }
}

/** Why a transaction is not tried again at once though it is planned just as before. */
export function describeRepetition(outcome: ApplyOutcome | undefined): string {
  switch (outcome?.outcome) {
    case 'Refused':
      return `${outcome.code}: ${outcome.proof}`;
    case 'NotBegun':
    case 'Interrupted':
    case 'Quarantined':
      return outcome.why;
    case 'RolledBack':
      return outcome.cause;
    case 'Stuck':
      return outcome.said;
    case 'Applied':
    case undefined:
      return 'it was done, and somebody has undone it at once';
  }
}
