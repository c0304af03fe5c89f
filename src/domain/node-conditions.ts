// The conditions of a node state: how far the node is, and what the agent does not know.
import {
  conditionReasons as reasons,
  hostReadableCondition,
  isolatedCondition,
  policiesKnownCondition,
  registeredCondition,
} from '../api/constants.ts';
import type { ConditionReason } from '../api/constants.ts';
import type { Condition } from '../api/generated/types.ts';
import type { DecisionKind } from './codes.ts';
import { progressConditions, type TimelessCondition, type Why, withTimes } from './conditions.ts';
import type { Decision } from './decision.ts';
import type { NodeStateInput } from './node-state.ts';
import { isWithoutIommu, withoutIommu } from './without-iommu.ts';

/** As many as the schema takes. */
const limit = 16;

/** All conditions, sorted by type. The time of one whose status did not change stays. */
export function toNodeConditions(input: NodeStateInput): readonly Condition[] {
  const conditions = [
    ...progressOf(input),
    policiesKnown(input),
    hostReadable(input),
    ...registered(input),
    ...isolated(input),
    ...input.extraConditions,
  ];
  return withTimes(conditions, input.before?.status?.conditions, input.now).slice(0, limit);
}

function progressOf({ plan, invalidPolicies }: NodeStateInput): readonly TimelessCondition[] {
  const of = (...kinds: readonly DecisionKind[]): readonly Decision[] =>
    plan.decisions.filter(({ kind }) => kinds.includes(kind));
  return progressConditions({
    stalled: firstOf([
      [reasons.invalid, invalidPolicies.map(({ name, message }) => `policy ${name}: ${message}`)],
      [reasons.conflict, plan.policyProblems.map(({ policy, message }) => `policy ${policy}: ${message}`)],
      [reasons.devicesStuck, of('Stuck').map(describe)],
      [reasons.devicesQuarantined, of('Quarantined').map(describe)],
      [reasons.devicesFailed, of('Failed').map(describe)],
    ]),
    reconciling: firstOf([
      [reasons.stepsPending, of('Bind', 'Release').map(describe)],
      [reasons.stepsPending, plan.transactions.map(({ key, kind }) => `${kind} for ${key}`)],
    ]),
    held: firstOf([[reasons.devicesHeld, of('Held').map(describe)]]),
    done: describeReady(plan.decisions),
  });
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

function policiesKnown({ policies }: NodeStateInput): TimelessCondition {
  const message =
    policies.why ?? (policies.complete ? 'the list of policies is complete' : 'the list of policies is not complete');
  return {
    type: policiesKnownCondition,
    status: policies.complete ? 'True' : 'False',
    reason: policies.complete ? reasons.listComplete : reasons.listIncomplete,
    message,
  };
}

function hostReadable({ inventory }: NodeStateInput): TimelessCondition {
  const unread = firstOf([[reasons.sourcesUnread, inventory.unread.map(({ source, why }) => `${source}: ${why}`)]]);
  const readable: Why = { reason: reasons.everythingRead, message: 'every source was read' };
  return { type: hostReadableCondition, status: unread === null ? 'True' : 'False', ...(unread ?? readable) };
}

/** There only while False: a device is on VFIO without an IOMMU. */
function isolated({ plan, inventory }: NodeStateInput): TimelessCondition[] {
  const exposed = plan.decisions.flatMap((decision): string[] => {
    const device = inventory.devices.get(decision.address);
    if (device === undefined || !isWithoutIommu(decision, device)) return [];
    const { address, driverNow, policy } = decision;
    return [`${address} is on ${driverNow ?? ''} for policy ${policy ?? ''}, ${withoutIommu}`];
  });
  const why = firstOf([[reasons.noIommuMode, exposed]]);
  return why === null ? [] : [{ type: isolatedCondition, status: 'False', ...why }];
}

function registered({ pools, registrations, hasKubelet }: NodeStateInput): TimelessCondition[] {
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
