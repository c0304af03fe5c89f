// The conditions of a node state. Ready is there always; Reconciling and Stalled only while they are True, which is how kstatus reads
// them; the rest say what the agent does not know.
import {
  conditionReasons as reasons,
  hostReadableCondition,
  policiesKnownCondition,
  readyCondition,
  reconcilingCondition,
  registeredCondition,
  stalledCondition,
} from '../api/constants.ts';
import type { ConditionReason } from '../api/constants.ts';
import type { Condition } from '../api/generated/types.ts';
import { clip } from './clip.ts';
import type { DecisionKind } from './codes.ts';
import type { Decision } from './decision.ts';
import type { NodeStateInput } from './node-state.ts';

/** A condition without its time. */
export interface ExtraCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** All conditions, sorted by type. The time of one whose status did not change stays. */
export function toNodeConditions(input: NodeStateInput): readonly Condition[] {
  const earlier = new Map((input.before?.status?.conditions ?? []).map((condition) => [condition.type, condition]));
  const now = `${new Date(input.now).toISOString().slice(0, 19)}Z`;
  return [
    ...progressConditions(input),
    policiesKnown(input),
    hostReadable(input),
    ...registered(input),
    ...input.extraConditions,
  ]
    .toSorted((a, b) => (a.type < b.type ? -1 : 1))
    .slice(0, 16)
    .map(({ type, status, reason, message }): Condition => {
      const known = earlier.get(type);
      const lastTransitionTime = known?.status === status ? known.lastTransitionTime : now;
      return { type, status, reason, message: clip(message, 4096), lastTransitionTime };
    });
}

/** Ready, and while they hold Reconciling and Stalled. */
function progressConditions({ plan, invalidPolicies }: NodeStateInput): ExtraCondition[] {
  const of = (...kinds: readonly DecisionKind[]): readonly Decision[] =>
    plan.decisions.filter(({ kind }) => kinds.includes(kind));
  const stalled = firstOf([
    [reasons.invalid, invalidPolicies.map(({ name, message }) => `policy ${name}: ${message}`)],
    [reasons.conflict, plan.policyProblems.map(({ policy, message }) => `policy ${policy}: ${message}`)],
    [reasons.devicesStuck, of('Stuck').map(describe)],
    [reasons.devicesQuarantined, of('Quarantined').map(describe)],
    [reasons.devicesFailed, of('Failed').map(describe)],
  ]);
  const pending = firstOf([
    [reasons.stepsPending, of('Bind', 'Release').map(describe)],
    [reasons.stepsPending, plan.transactions.map(({ key, kind }) => `${kind} for ${key}`)],
  ]);
  const held = firstOf([[reasons.devicesHeld, of('Held').map(describe)]]);
  const notReady = stalled ?? pending ?? held;
  const ready: ExtraCondition = {
    type: readyCondition,
    status: notReady === null ? 'True' : 'False',
    ...(notReady ?? describeReady(plan.decisions)),
  };
  return [
    ready,
    ...(pending === null ? [] : [{ type: reconcilingCondition, status: 'True' as const, ...pending }]),
    ...(stalled === null ? [] : [{ type: stalledCondition, status: 'True' as const, ...stalled }]),
  ];
}

interface Why {
  readonly reason: ConditionReason;
  readonly message: string;
}

/** The first reason that has anything to say: its first sentence, and how many more there are. */
function firstOf(candidates: readonly (readonly [ConditionReason, readonly string[]])[]): Why | null {
  for (const [reason, [first, ...more]] of candidates) {
    if (first !== undefined)
      return { reason, message: more.length === 0 ? first : `${first} (and ${more.length} more)` };
  }
  return null;
}

function describe({ address, code, message }: Decision): string {
  return `${address}: ${code === null ? '' : `${code}: `}${message}`;
}

function describeReady(decisions: readonly Decision[]): Why {
  if (decisions.length === 0)
    return { reason: reasons.noMatchingDevices, message: 'no policy wants a device of this node' };
  const count = (kind: DecisionKind): number => decisions.filter((decision) => decision.kind === kind).length;
  return { reason: reasons.allDone, message: `${count('Bound')} devices bound, ${count('Refused')} refused` };
}

function policiesKnown({ policies }: NodeStateInput): ExtraCondition {
  const message =
    policies.why ?? (policies.complete ? 'the list of policies is complete' : 'the list of policies is not complete');
  return {
    type: policiesKnownCondition,
    status: policies.complete ? 'True' : 'False',
    reason: policies.complete ? reasons.listComplete : reasons.listIncomplete,
    message,
  };
}

function hostReadable({ inventory }: NodeStateInput): ExtraCondition {
  const unread = firstOf([[reasons.sourcesUnread, inventory.unread.map(({ source, why }) => `${source}: ${why}`)]]);
  const readable: Why = { reason: reasons.everythingRead, message: 'every source was read' };
  return { type: hostReadableCondition, status: unread === null ? 'True' : 'False', ...(unread ?? readable) };
}

function registered({ pools, registrations, hasKubelet }: NodeStateInput): ExtraCondition[] {
  if (!hasKubelet) return [];
  const waiting = pools.flatMap(({ resource }) => {
    const facts = registrations.get(resource);
    return facts?.registered === true ? [] : [`${resource}: ${facts?.message ?? 'not registered yet'}`];
  });
  const missing = firstOf([[reasons.kubeletHasNotAll, waiting]]);
  const done: Why =
    pools.length === 0
      ? { reason: reasons.nothingToRegister, message: 'no policy of this node has a resource' }
      : { reason: reasons.kubeletHasAll, message: `kubelet has all ${pools.length} resources` };
  return [{ type: registeredCondition, status: missing === null ? 'True' : 'False', ...(missing ?? done) }];
}
