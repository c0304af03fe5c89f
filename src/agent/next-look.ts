// When to look again at the latest.
import type { Plan } from '../domain/decision.ts';
import type { ApplyOutcome } from './apply-context.ts';

/** How often use is looked at while something waits for its end. */
const holdInterval = 2_000;

/**
 * Milliseconds until then: none when other steps are left and the last ones worked; few while somebody holds something; else the
 * interval. `repeated` are keys whose transaction is planned as if nothing had been done; `retryIn` is when the next failure falls
 * due, or null. What is stuck or quarantined tells by itself when to look, or waits for its retry.
 */
export function nextLook(
  { decisions, transactions }: Plan,
  applied: ReadonlyMap<string, ApplyOutcome>,
  repeated: ReadonlySet<string>,
  retryIn: number | null,
  interval: number,
): number {
  const progress = [...applied].some(([key, { outcome }]) => outcome === 'Applied' && !repeated.has(key));
  if (transactions.length > 0 && progress) return 0;
  const held = decisions.some(({ kind, code }) => kind === 'Held' && code !== 'Stuck' && code !== 'Quarantined');
  const soonest = held || transactions.length > 0 ? Math.min(interval, holdInterval) : interval;
  return retryIn === null ? soonest : Math.min(soonest, retryIn);
}
