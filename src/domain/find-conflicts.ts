// Policies that cannot stand beside each other: the same resource name with other fields, or two names that become one variable
// in the container's environment. The better ranked one stands, so a newcomer's mistake takes nothing from what is running.
import { variableNames } from './allocation.ts';
import type { Policy, ResourcePolicy } from './policy.ts';
import { comparePolicies } from './rank-policies.ts';

/** A policy that loses to another, with the sentence that names both. */
export interface PolicyConflict {
  readonly policy: Policy;
  readonly message: string;
}

/** The conflicts among the policies of one node, in rank order. */
export function findConflicts(policies: readonly Policy[]): readonly PolicyConflict[] {
  const conflicts: PolicyConflict[] = [];
  const standing: { readonly policy: Policy; readonly resource: ResourcePolicy }[] = [];
  for (const policy of [...policies].sort(comparePolicies)) {
    const { resource } = policy;
    if (resource === null) continue;
    const message = standing.flatMap((other) => describeConflict(resource, other.policy, other.resource) ?? [])[0];
    if (message === undefined) standing.push({ policy, resource });
    else conflicts.push({ policy, message });
  }
  return conflicts;
}

function describeConflict(mine: ResourcePolicy, other: Policy, theirs: ResourcePolicy): string | null {
  if (mine.name === theirs.name) {
    const [field] = differingFields(mine, theirs);
    return field === undefined
      ? null
      : `resource ${mine.name} has another ${field} in policy ${other.name}; policies that share a resource must agree on all its fields`;
  }
  const variable = sharedVariables(mine, theirs)[0];
  return variable === undefined
    ? null
    : `resources ${mine.name} and ${theirs.name} (policy ${other.name}) both become the variable ${variable}`;
}

function sharedVariables(mine: ResourcePolicy, theirs: ResourcePolicy): readonly string[] {
  const taken = new Set(variableNames(theirs.name, theirs.environment));
  return variableNames(mine.name, mine.environment).filter((variable) => taken.has(variable));
}

function differingFields(a: ResourcePolicy, b: ResourcePolicy): readonly string[] {
  const environments = (resource: ResourcePolicy): string => [...resource.environment].sort().join(',');
  return [
    ...(a.unit === b.unit ? [] : ['unit']),
    ...(a.deviceNodes === b.deviceNodes ? [] : ['deviceNodes']),
    ...(a.allocation === b.allocation ? [] : ['allocation']),
    ...(environments(a) === environments(b) ? [] : ['environment']),
    ...(a.cdi === b.cdi ? [] : ['cdi']),
  ];
}
