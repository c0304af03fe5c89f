// The running sums of one policy over all nodes. Adding and removing a node's share costs what that share holds, never the number of
// nodes; the sample of problems comes out the same whatever order things happened in. Pure.
import { decisionKinds } from './codes.ts';
import { problemLimit, type NodeProblem, type ProblemRank, problemRanks } from './policy-status-digest.ts';
import { type NodeShare, type Tally, tallyKeys } from './policy-status-share.ts';
import { createSortedNames, type SortedNames } from './sorted-names.ts';

/** One problem with its node. */
export interface PlacedProblem extends NodeProblem {
  readonly node: string;
}

/** The sums, as they are now. */
export interface PolicySums {
  readonly tally: Tally;
  /** In the order of `decisionKinds`. */
  readonly counts: readonly number[];
  readonly outranked: number;
  /** Problems of all nodes. */
  readonly problemCount: number;
  /** The worst ones, by rank, node, address. */
  worst(): readonly PlacedProblem[];
  /** Nodes whose agent has not acted on this generation, sorted. */
  behind(): readonly string[];
}

export interface RunningSums extends PolicySums {
  readonly size: number;
  /** Puts the share in the place of the node's former one; null removes it. */
  set(node: string, share: NodeShare | null): void;
  /** The node's share now. */
  get(node: string): NodeShare | null;
}

/** Sums over no node. */
export function createSums(): RunningSums {
  const shares = new Map<string, NodeShare>();
  const tally = Object.fromEntries(tallyKeys.map((key) => [key, 0])) as Record<keyof Tally, number>;
  const counts = decisionKinds.map(() => 0);
  const behind = createSortedNames();
  const withRank = new Map<ProblemRank, SortedNames>(problemRanks.map((rank) => [rank, createSortedNames()]));
  let outranked = 0;
  let problemCount = 0;

  const add = (share: NodeShare, sign: 1 | -1): void => {
    for (const key of tallyKeys) tally[key] += sign * share.tally[key];
    for (const [index, count] of share.counts.entries()) counts[index] = (counts[index] ?? 0) + sign * count;
    outranked += sign * share.outranked;
    problemCount += sign * share.problemCount;
  };
  return {
    tally,
    counts,
    get outranked() {
      return outranked;
    },
    get problemCount() {
      return problemCount;
    },
    get size() {
      return shares.size;
    },
    get: (node) => shares.get(node) ?? null,
    set(node, share) {
      const former = shares.get(node);
      if (former !== undefined) {
        add(former, -1);
        for (const { rank } of former.problems) withRank.get(rank)?.delete(node);
        behind.delete(node);
        shares.delete(node);
      }
      if (share === null) return;
      add(share, 1);
      for (const { rank } of share.problems) withRank.get(rank)?.add(node);
      if (share.tally.behind > 0) behind.add(node);
      shares.set(node, share);
    },
    behind: () => behind.values(),
    worst() {
      const found: PlacedProblem[] = [];
      for (const rank of problemRanks) {
        for (const node of withRank.get(rank)?.values() ?? []) {
          for (const problem of shares.get(node)?.problems ?? []) {
            if (problem.rank === rank) found.push({ node, ...problem });
            if (found.length === problemLimit) return found;
          }
        }
      }
      return found;
    },
  };
}
