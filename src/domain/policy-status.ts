// From a policy's sums to its status. Pure.
import { conditionReasons as reasons, type ConditionReason } from '../api/constants.ts';
import type { Condition, VfioPolicyProblem, VfioPolicyStatus } from '../api/generated/types.ts';
import { clip } from './clip.ts';
import { type DecisionKind, decisionKinds } from './codes.ts';
import { progressConditions, type TimelessCondition, type Why, withTimes } from './conditions.ts';
import type { ProblemRank } from './policy-status-digest.ts';
import type { PolicyFacts } from './policy-status-share.ts';
import type { PlacedProblem, PolicySums } from './policy-status-sums.ts';

export interface PolicyStatusInput {
  readonly policy: PolicyFacts;
  readonly sums: PolicySums;
  /** Conditions that are no business of the sums, such as what KubeVirt still needs. */
  readonly notes: readonly TimelessCondition[];
  /** The status written last, for the times of unchanged conditions; null: none. */
  readonly before: VfioPolicyStatus | null;
  /** Milliseconds since the epoch, for the times of changed conditions. */
  readonly now: number;
}

/** The whole status. The same input gives the same document. */
export function toPolicyStatus(input: PolicyStatusInput): VfioPolicyStatus {
  const { policy, sums } = input;
  const { matched, ready, degraded, vanished } = sums.tally;
  const worst = sums.worst();
  const omittedProblems = sums.problemCount - worst.length;
  return {
    observedGeneration: policy.generation,
    conditions: toConditions(input, worst),
    nodes: { matched, ready, degraded, vanished },
    devices: countDevices(sums),
    ...(worst.length === 0 ? {} : { problems: worst.map(toProblem) }),
    ...(omittedProblems <= 0 ? {} : { omittedProblems }),
  };
}

function countDevices({ counts }: PolicySums): Required<NonNullable<VfioPolicyStatus['devices']>> {
  const count = (kind: DecisionKind): number => counts[decisionKinds.indexOf(kind)] ?? 0;
  return {
    bind: count('Bind'),
    bound: count('Bound'),
    release: count('Release'),
    refused: count('Refused'),
    held: count('Held'),
    failed: count('Failed'),
    quarantined: count('Quarantined'),
    stuck: count('Stuck'),
    ignored: count('Ignored'),
  };
}

function toProblem({ node, device, code, message }: PlacedProblem): VfioPolicyProblem {
  return {
    node,
    ...(device === null ? {} : { device }),
    ...(code === '' ? {} : { code: clip(code, 64) }),
    message: clip(message, 1024),
  };
}

function toConditions(input: PolicyStatusInput, worst: readonly PlacedProblem[]): readonly Condition[] {
  const { policy, sums, notes, before, now } = input;
  const observedGeneration = policy.generation;
  return withTimes([...progressOf(policy, sums, worst), ...notes], before?.conditions, now).map((condition) => ({
    ...condition,
    observedGeneration,
  }));
}

function progressOf(
  policy: PolicyFacts,
  sums: PolicySums,
  worst: readonly PlacedProblem[],
): readonly TimelessCondition[] {
  return progressConditions({
    stalled: whyStalled(policy, sums, worst),
    reconciling: whyReconciling(policy, sums),
    held: whyHeld(sums, worst),
    done: whyReady(policy, sums),
  });
}

/** What needs a person, in this order. */
const stalls: readonly (readonly [ProblemRank, keyof PolicySums['tally'], ConditionReason])[] = [
  ['Invalid', 'invalid', reasons.invalid],
  ['Conflict', 'conflict', reasons.conflict],
  ['Stuck', 'stuck', reasons.devicesStuck],
  ['Quarantined', 'quarantined', reasons.devicesQuarantined],
  ['Failed', 'failed', reasons.devicesFailed],
];

function whyStalled(policy: PolicyFacts, sums: PolicySums, worst: readonly PlacedProblem[]): Why | null {
  if (policy.invalid !== null) return { reason: reasons.invalid, message: policy.invalid };
  for (const [rank, key, reason] of stalls)
    if (sums.tally[key] > 0) return { reason, message: example(rank, worst, sums.tally[key]) };
  return null;
}

function whyReconciling(policy: PolicyFacts, { tally, counts, behind }: PolicySums): Why | null {
  const count = (kind: DecisionKind): number => counts[decisionKinds.indexOf(kind)] ?? 0;
  const late =
    tally.behind === 0
      ? []
      : [
          `${plural(tally.behind, 'agent has', 'agents have')} not acted on generation ${policy.generation} yet: ${some(behind())}`,
        ];
  if (tally.pending > 0) {
    const steps = `${plural(tally.pending, 'device is', 'devices are')} on the way (${count('Bind')} to bind, ${count('Release')} to release)`;
    return { reason: reasons.stepsPending, message: [steps, ...late].join('; ') };
  }
  return late.length === 0 ? null : { reason: reasons.agentsBehind, message: late.join('') };
}

function whyHeld({ tally }: PolicySums, worst: readonly PlacedProblem[]): Why | null {
  return tally.held === 0 ? null : { reason: reasons.devicesHeld, message: example('Held', worst, tally.held) };
}

function whyReady(policy: PolicyFacts, { tally, counts, outranked }: PolicySums): Why {
  const count = (kind: DecisionKind): number => counts[decisionKinds.indexOf(kind)] ?? 0;
  const further = [
    ...(outranked === 0 ? [] : [`${plural(outranked, 'device', 'devices')} left to policies that come first`]),
    ...(tally.unattended === 0 ? [] : [`${plural(tally.unattended, 'node has', 'nodes have')} no ready agent`]),
  ];
  if (tally.matched === 0)
    return { reason: reasons.noMatchingDevices, message: 'no node has a device that it selects' };
  const nodes = plural(tally.matched, 'node', 'nodes');
  if (policy.mode === 'DryRun') {
    const planned = `on ${nodes}: ${count('Bind')} to bind, ${count('Bound')} bound, ${count('Release')} to release, ${count('Held')} held, ${count('Refused')} refused`;
    return { reason: reasons.dryRunPlanned, message: ['nothing is done in DryRun', planned, ...further].join('; ') };
  }
  const done = `${tally.ready} of ${nodes} done: ${count('Bound')} bound, ${count('Refused')} refused`;
  return { reason: reasons.allDone, message: [done, ...further].join('; ') };
}

/** The first problem of a rank in words, and how many more there are. */
function example(rank: ProblemRank, worst: readonly PlacedProblem[], count: number): string {
  const problem = worst.find((one) => one.rank === rank);
  const more = count > 1 ? ` (and ${count - 1} more)` : '';
  if (problem === undefined) return `${rank} on ${plural(count, 'node or device', 'nodes or devices')}`;
  const { node, device, code, message } = problem;
  const where = device === null ? node : `${node} ${device}`;
  return `${where}: ${[code, message].filter((part) => part !== '').join(': ')}${more}`;
}

/** The first few names. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Whether writing `wanted` would change nothing. Times of conditions are part of it. */
export function sameStatus(wanted: VfioPolicyStatus, written: VfioPolicyStatus | null): boolean {
  return written !== null && canonical(wanted) === canonical(written);
}

/** The same text for the same value, whatever the order of keys; conditions come back in any order. */
function canonical(status: VfioPolicyStatus): string {
  const conditions = (status.conditions ?? []).toSorted((a, b) => (a.type < b.type ? -1 : 1));
  return JSON.stringify({ ...status, conditions }, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
