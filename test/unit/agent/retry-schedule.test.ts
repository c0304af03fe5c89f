// When a failed transaction is tried again.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emptyRetrySchedule,
  forgetFailure,
  recordFailure,
  retryWaits,
  toPastFailures,
  untilNextRetry,
  type RetrySchedule,
} from '../../../src/agent/retry-schedule.ts';
import { aMember, aTransaction, bindSteps } from '../../support/transactions.ts';

const address = '0000:01:00.0';
const one = aTransaction('Bind', [aMember(address)], bindSteps(address, 'vfio_pci'));
const other = aTransaction('Bind', [aMember(address)], bindSteps(address, 'mlx5_vfio_pci'));

function waitOf(schedule: RetrySchedule, now: number): number {
  return untilNextRetry(schedule, now) ?? 0;
}

describe('retries', () => {
  it('wait twice as long each time, up to a limit', () => {
    let schedule = emptyRetrySchedule;
    const waits: number[] = [];
    for (let time = 0; time < 12; time += 1) {
      schedule = recordFailure(schedule, one, 'EIO', 0, 0.5);
      waits.push(waitOf(schedule, 0));
    }
    expect(waits.slice(0, 4)).toEqual([5_000, 10_000, 20_000, 40_000]);
    expect(waits.at(-1)).toBe(retryWaits.longest);
  });

  it('begin anew for another plan, and after a success', () => {
    let schedule = recordFailure(recordFailure(emptyRetrySchedule, one, 'EIO', 0, 0.5), one, 'EIO', 0, 0.5);
    expect(waitOf(recordFailure(schedule, other, 'ENODEV', 0, 0.5), 0)).toBe(5_000);
    schedule = forgetFailure(schedule, one.key);
    expect(untilNextRetry(schedule, 0)).toBeNull();
    expect(waitOf(recordFailure(schedule, one, 'EIO', 0, 0.5), 0)).toBe(5_000);
  });

  it('are known to the planner by key, with the sentence, until and after they are due', () => {
    const schedule = recordFailure(emptyRetrySchedule, one, 'bind: EIO', 1_000, 0.5);
    expect(toPastFailures(schedule, 5_999).get(one.key)).toEqual({ message: 'bind: EIO', due: false });
    expect(toPastFailures(schedule, 6_000).get(one.key)).toEqual({ message: 'bind: EIO', due: true });
    expect(untilNextRetry(schedule, 6_000)).toBeNull();
  });

  it('never come in a hot loop, whatever the chance says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (fractions) => {
          let now = 0;
          let schedule = emptyRetrySchedule;
          for (const fraction of fractions) {
            schedule = recordFailure(schedule, one, 'EIO', now, fraction);
            const wait = waitOf(schedule, now);
            // Sums of times are rounded.
            expect(wait).toBeGreaterThanOrEqual(0.75 * retryWaits.first - 0.001);
            expect(wait).toBeLessThanOrEqual(1.25 * retryWaits.longest + 0.001);
            now += wait;
          }
        },
      ),
    );
  });
});
