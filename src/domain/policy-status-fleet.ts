// All policies over all nodes, kept current change by change. A change of one node costs the policies that touch it; a change of one
// policy costs the nodes; an event that changes nothing costs a comparison. Pure: who calls it knows when to write.
import { createOfferedIds } from './offered-ids.ts';
import type { NodeFacts, PolicyFacts } from './policy-status-share.ts';
import { sameShare, shareOf } from './policy-status-share.ts';
import { createSums, type PolicySums, type RunningSums } from './policy-status-sums.ts';
import { nodeMatches } from './select-devices.ts';

export interface PolicyFleet {
  /** A policy as it is now; null: it is gone. */
  setPolicy(name: string, facts: PolicyFacts | null): void;
  /** A node as it is now; null: nothing at all is known of it any more. */
  setNode(name: string, facts: NodeFacts | null): void;
  /** Policies that are there, by name. */
  readonly policies: ReadonlyMap<string, PolicyFacts>;
  /** The sums of a policy that is there; null otherwise. */
  sumsOf(policy: string): PolicySums | null;
  /** `vendor:device` of the devices that nodes have in a resource, sorted. */
  idsOf(resource: string): readonly string[];
  /** Policies whose status may have changed since the last call. */
  takeChanged(): readonly string[];
}

interface KnownNode {
  facts: NodeFacts;
  /** Policies whose node selector meets its labels. */
  selectedBy: ReadonlySet<string>;
}

/** No policies, no nodes. */
export function createPolicyFleet(): PolicyFleet {
  const policies = new Map<string, PolicyFacts>();
  const sums = new Map<string, RunningSums>();
  const nodes = new Map<string, KnownNode>();
  const offered = createOfferedIds();
  let changed = new Set<string>();

  const selects = (policy: PolicyFacts, { labels }: NodeFacts): boolean =>
    labels !== null && policy.invalid === null && nodeMatches(policy.nodeSelector, labels);

  const update = (policy: PolicyFacts, node: string, known: KnownNode | null): void => {
    const running = sums.get(policy.name);
    if (running === undefined) return;
    const share = known === null ? null : shareOf(policy, known.facts, known.selectedBy.has(policy.name));
    if (sameShare(running.get(node), share)) return;
    running.set(node, share);
    changed.add(policy.name);
  };

  /** Policies that a node could matter to: those that select it, and those its state names. */
  const touchedBy = (known: KnownNode | null): readonly string[] =>
    known === null ? [] : [...known.selectedBy, ...(known.facts.digest?.policies.keys() ?? [])];

  return {
    policies,
    sumsOf: (policy) => sums.get(policy) ?? null,
    idsOf: (resource) => offered.of(resource),
    takeChanged() {
      const taken = [...changed];
      changed = new Set();
      return taken;
    },
    setPolicy(name, facts) {
      const former = policies.get(name);
      if (facts === null) {
        policies.delete(name);
        sums.delete(name);
        changed.delete(name);
        for (const known of nodes.values()) known.selectedBy = without(known.selectedBy, name);
        return;
      }
      // A generation stands for one spec.
      if (former !== undefined && former.uid === facts.uid && former.generation === facts.generation) return;
      policies.set(name, facts);
      if (!sums.has(name)) sums.set(name, createSums());
      changed.add(name);
      for (const [node, known] of nodes) {
        known.selectedBy = selects(facts, known.facts)
          ? new Set([...known.selectedBy, name])
          : without(known.selectedBy, name);
        update(facts, node, known);
      }
    },
    setNode(name, facts) {
      const former = nodes.get(name) ?? null;
      const known = facts === null ? null : { facts, selectedBy: former?.selectedBy ?? new Set<string>() };
      if (known !== null && !sameLabels(former?.facts.labels ?? null, known.facts.labels))
        known.selectedBy = new Set(
          [...policies.values()].filter((policy) => selects(policy, known.facts)).map((policy) => policy.name),
        );
      if (known === null) nodes.delete(name);
      else nodes.set(name, known);
      // A node that has gone offers nothing.
      const offeredBy = (one: KnownNode | null) =>
        one === null || one.facts.labels === null ? null : (one.facts.digest?.offered ?? null);
      const resources = offered.replace(offeredBy(former), offeredBy(known));
      if (resources.length > 0)
        for (const policy of policies.values())
          if (policy.resource !== null && resources.includes(policy.resource.name)) changed.add(policy.name);
      for (const policyName of new Set([...touchedBy(former), ...touchedBy(known)])) {
        const policy = policies.get(policyName);
        if (policy !== undefined) update(policy, name, known);
      }
    },
  };
}

function without(names: ReadonlySet<string>, name: string): ReadonlySet<string> {
  return names.has(name) ? new Set([...names].filter((other) => other !== name)) : names;
}

/** Whether both select alike: the same object, or the same pairs. */
function sameLabels(a: NodeFacts['labels'], b: NodeFacts['labels']): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
