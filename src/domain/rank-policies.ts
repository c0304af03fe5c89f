// The order of policies where two want one device: higher priority, then the older (an unknown creation time counts as oldest),
// then the name. The order is total, so nothing depends on the order in which policies arrived.
import type { Policy } from './policy.ts';

export function comparePolicies(a: Policy, b: Policy): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  const older = (a.createdAt ?? Number.NEGATIVE_INFINITY) - (b.createdAt ?? Number.NEGATIVE_INFINITY);
  if (a.createdAt !== b.createdAt && older !== 0) return older;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** One sentence: why `loser` does not get what `winner` got. */
export function explainRank(winner: Policy, loser: Policy): string {
  if (winner.priority !== loser.priority)
    return `policy ${winner.name} has priority ${winner.priority}, ${loser.name} has ${loser.priority}`;
  if (winner.createdAt !== loser.createdAt) return `policy ${winner.name} is older than ${loser.name}`;
  return `policies ${winner.name} and ${loser.name} rank alike, the name decides`;
}
