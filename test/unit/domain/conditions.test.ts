import { expect, it, test } from 'vitest';
import { progressConditions, withTimes } from '../../../src/domain/conditions.ts';
import { kstatus } from '../../support/kstatus.ts';

const why = (message: string) => ({ reason: 'StepsPending', message }) as const;
const [stalled, reconciling, held, done] = [why('stalled'), why('reconciling'), why('held'), why('done')];

test.each([
  [{ stalled, reconciling, held }, 'False stalled', 'Stalled', 'Failed'],
  [{ stalled, reconciling: null, held }, 'False stalled', 'Stalled', 'Failed'],
  [{ stalled: null, reconciling, held }, 'False reconciling', 'Reconciling', 'InProgress'],
  [{ stalled: null, reconciling: null, held }, 'False held', undefined, 'InProgress'],
  [{ stalled: null, reconciling: null, held: null }, 'True done', undefined, 'Current'],
] as const)('progress %#: Ready, and one other at most', (progress, ready, other, verdict) => {
  const [first, second, ...more] = progressConditions({ ...progress, done });
  expect([first?.type, `${first?.status} ${first?.message}`]).toEqual(['Ready', ready]);
  expect([second?.type, more]).toEqual([other, []]);
  const conditions = progressConditions({ ...progress, done });
  for (const list of [conditions, conditions.toReversed()])
    expect(kstatus({ metadata: {}, status: { conditions: list } })).toBe(verdict);
});

it('moves the time of a condition with its status alone', () => {
  const condition = { type: 'B', status: 'True', reason: 'One', message: 'one' } as const;
  const first = withTimes([condition, { ...condition, type: 'A' }], undefined, Date.UTC(2026, 0, 1));
  expect(first.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
    ['A', '2026-01-01T00:00:00Z'],
    ['B', '2026-01-01T00:00:00Z'],
  ]);
  const later = [
    { ...condition, reason: 'Two', message: 'two' },
    { ...condition, type: 'A', status: 'False' as const },
  ];
  expect(withTimes(later, first, Date.UTC(2027, 0, 1))).toMatchObject([
    { type: 'A', lastTransitionTime: '2027-01-01T00:00:00Z' },
    { type: 'B', reason: 'Two', lastTransitionTime: '2026-01-01T00:00:00Z' },
  ]);
});
