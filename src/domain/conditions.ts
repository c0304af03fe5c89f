// What node states and policy statuses have in common: how progress is told in kstatus's sense, and when the time of a condition moves.
// Ready is there always; Reconciling and Stalled only while they are True, and never both, since kstatus takes whichever of them stands
// first in the list. Pure.
import type { ConditionReason } from '../api/constants.ts';
import { readyCondition, reconcilingCondition, stalledCondition } from '../api/constants.ts';
import type { Condition } from '../api/generated/types.ts';
import { clip } from './clip.ts';

/** A condition without its time. */
export interface TimelessCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Why a condition is as it is. */
export interface Why {
  readonly reason: ConditionReason;
  readonly message: string;
}

/** What keeps from being ready, the gravest first; null: nothing of that kind. */
export interface Progress {
  /** A person is needed. */
  readonly stalled: Why | null;
  /** Steps run or wait. */
  readonly reconciling: Why | null;
  /** A change waits for the user of a device. */
  readonly held: Why | null;
  /** Said when nothing keeps from being ready. */
  readonly done: Why;
}

/** Ready, and while it holds one of Stalled and Reconciling: while a person is needed, that others go on is not told. */
export function progressConditions({ stalled, reconciling, held, done }: Progress): readonly TimelessCondition[] {
  const notReady = stalled ?? reconciling ?? held;
  const ready: TimelessCondition = {
    type: readyCondition,
    status: notReady === null ? 'True' : 'False',
    ...(notReady ?? done),
  };
  if (stalled !== null) return [ready, { type: stalledCondition, status: 'True', ...stalled }];
  return reconciling === null ? [ready] : [ready, { type: reconcilingCondition, status: 'True', ...reconciling }];
}

/** Sorted by type, with times: that of a condition whose status is as in `before` stays. `now`: milliseconds since the epoch. */
export function withTimes(
  conditions: readonly TimelessCondition[],
  before: readonly Condition[] | undefined,
  now: number,
): readonly Condition[] {
  const earlier = new Map((before ?? []).map((condition) => [condition.type, condition]));
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  return conditions
    .toSorted((a, b) => (a.type < b.type ? -1 : 1))
    .map(({ type, status, reason, message }): Condition => {
      const known = earlier.get(type);
      const lastTransitionTime = known?.status === status ? known.lastTransitionTime : time;
      return { type, status, reason, message: clip(message, 4096), lastTransitionTime };
    });
}
