// When a transaction that failed is tried again: soon at first, then ever later, never in a hot loop. For a changed transaction
// (another driver, other steps) the waits begin anew. Pure; lost at a restart, which is a reason to try again.
import type { PastFailure } from '../domain/plan-input.ts';
import type { Transaction } from '../domain/step.ts';

/** One failure that is remembered. Times are monotonic milliseconds. */
export interface RetryEntry {
  /** What failed; another transaction's failures are not added to its. */
  readonly fingerprint: string;
  readonly failures: number;
  readonly dueAt: number;
  readonly message: string;
}

/** By transaction key. */
export type RetrySchedule = ReadonlyMap<string, RetryEntry>;

export const emptyRetrySchedule: RetrySchedule = new Map();

/** The first wait and the longest, in milliseconds. */
export const retryWaits = { first: 5_000, longest: 600_000 };

/** After a failure. `fraction` in [0, 1) spreads retries of several nodes and groups. */
export function recordFailure(
  schedule: RetrySchedule,
  transaction: Transaction,
  message: string,
  now: number,
  fraction: number,
): RetrySchedule {
  const fingerprint = toFingerprint(transaction);
  const past = schedule.get(transaction.key);
  const failures = past?.fingerprint === fingerprint ? past.failures + 1 : 1;
  const wait = Math.min(retryWaits.first * 2 ** (failures - 1), retryWaits.longest);
  const dueAt = now + wait * (0.75 + 0.5 * fraction);
  return new Map(schedule).set(transaction.key, { fingerprint, failures, dueAt, message });
}

/** After a success, or once nothing is planned for the key any more. */
export function forgetFailure(schedule: RetrySchedule, key: string): RetrySchedule {
  const left = new Map(schedule);
  left.delete(key);
  return left;
}

/** The failures as the planner wants them. */
export function toPastFailures(schedule: RetrySchedule, now: number): ReadonlyMap<string, PastFailure> {
  return new Map([...schedule].map(([key, { message, dueAt }]) => [key, { message, due: dueAt <= now }] as const));
}

/** Milliseconds until the next retry falls due; null when none is waiting. */
export function untilNextRetry(schedule: RetrySchedule, now: number): number | null {
  const waiting = [...schedule.values()].map(({ dueAt }) => dueAt).filter((dueAt) => dueAt > now);
  return waiting.length === 0 ? null : Math.min(...waiting) - now;
}

function toFingerprint(transaction: Transaction): string {
  return JSON.stringify([transaction.kind, transaction.steps]);
}
