// From the policy objects that the API server has, and what was in force before, to what is in force. Pure. An object that this program
// does not understand keeps its last good version; what vanished is named, not dropped: whether it is gone is for the caller to prove.
import type { InvalidPolicy } from '../../domain/node-state.ts';
import type { ClusterPolicies } from './kept-cluster.ts';
import type { GoodPolicy, PolicyObject } from './read-policy-object.ts';

export interface MergedObjects {
  /** What the objects say. */
  readonly inForce: ClusterPolicies;
  readonly invalid: readonly InvalidPolicy[];
  /** What was in force and has no object any more. */
  readonly lost: ClusterPolicies;
}

/** Merges. `before` is null when nothing is known of earlier policies: then a bad object may be one that was acted on. */
export function mergePolicyObjects(
  seen: ReadonlyMap<string, PolicyObject>,
  before: ClusterPolicies | null,
): MergedObjects {
  const inForce = new Map<string, GoodPolicy | null>();
  const invalid: InvalidPolicy[] = [];
  for (const object of [...seen.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if ('policy' in object) {
      inForce.set(object.name, object);
      continue;
    }
    const { name, uid, generation, message } = object;
    invalid.push({ name, uid, generation, message });
    const kept = before === null ? null : before.get(name);
    // Made anew under its old name it is another policy, and nothing of it was ever in force.
    if (kept === null || kept?.uid === uid) inForce.set(name, kept);
  }
  const lost = new Map([...(before ?? [])].filter(([name]) => !seen.has(name)));
  return { inForce, invalid, lost };
}
