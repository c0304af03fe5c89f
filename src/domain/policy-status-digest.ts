// What the controller remembers of a node state: for each policy its counts and a few of its problems, a few hundred bytes in place of
// a document of up to a mebibyte. Pure; reads what any agent version may have written, and ignores what it does not know.
import type { VfioNodeDevice, VfioNodeStateStatus } from '../api/generated/types.ts';
import { policiesKnownCondition } from '../api/constants.ts';
import { clip } from './clip.ts';
import { type DecisionKind, decisionKinds } from './codes.ts';

/**
 * What can be wrong, the worst first; the index is the rank. `Invalid` to `Failed` need a person. `AgentNotReady`: nobody acts on
 * the node. `PoliciesUnknown`: its agent does not see all policies. `Outranked`: another policy comes first.
 */
export const problemRanks = [
  'Invalid',
  'Conflict',
  'Stuck',
  'Quarantined',
  'Failed',
  'AgentNotReady',
  'PoliciesUnknown',
  'Held',
  'Refused',
  'Outranked',
] as const;
export type ProblemRank = (typeof problemRanks)[number];

/** One thing wrong on a node. */
export interface NodeProblem {
  readonly rank: ProblemRank;
  /** Address; null where it concerns the whole node. */
  readonly device: string | null;
  readonly code: string;
  readonly message: string;
}

/** A policy's devices on one node. */
export interface DeviceDigest {
  /** In the order of `decisionKinds`. */
  readonly counts: readonly number[];
  /** Devices it wanted and gave way on. */
  readonly outranked: number;
  /** Devices refused because policies contradict each other. */
  readonly conflicts: number;
  /** The worst ones, sorted by rank, then address. */
  readonly problems: readonly NodeProblem[];
  /** All of them, also those that `problems` has no room for. */
  readonly problemCount: number;
}

/** One policy as one node's agent sees it. */
export interface PolicyOnNode {
  /** What the agent says of the policy as a whole; null when it does not name it, that is when the policy is not for this node. */
  readonly seen: {
    readonly uid: string | null;
    readonly generation: number;
    readonly code: string | null;
    readonly message: string | null;
  } | null;
  readonly enforced: DeviceDigest;
  /** What would be done if it were not in DryRun. */
  readonly rehearsed: DeviceDigest;
}

/** One node state. */
export interface NodeDigest {
  readonly policies: ReadonlyMap<string, PolicyOnNode>;
  /** Why the agent does not know all policies; null when it does. */
  readonly policiesUnknown: string | null;
  /** By resource name: `vendor:device` of the devices in it, sorted. */
  readonly offered: ReadonlyMap<string, readonly string[]>;
}

export const noDevices: DeviceDigest = Object.freeze({
  counts: decisionKinds.map(() => 0),
  outranked: 0,
  conflicts: 0,
  problems: [],
  problemCount: 0,
});

/** As many as a policy's status has room for. */
export const problemLimit = 20;
const messageLength = 512;

/** Digests one node state's status; `undefined`: the agent has not written any yet. */
export function digestNodeState(status: VfioNodeStateStatus | undefined): NodeDigest {
  const enforced = digestDevices(status?.devices ?? []);
  const rehearsed = digestDevices(status?.dryRun ?? []);
  const seen = new Map((status?.policies ?? []).map((policy) => [policy.name, policy]));
  const policies = new Map<string, PolicyOnNode>();
  for (const name of new Set([...seen.keys(), ...enforced.keys(), ...rehearsed.keys()])) {
    const entry = seen.get(name);
    policies.set(name, {
      seen:
        entry === undefined
          ? null
          : {
              uid: entry.uid ?? null,
              generation: entry.observedGeneration,
              code: entry.code ?? null,
              message: entry.message === undefined ? null : clip(entry.message, messageLength),
            },
      enforced: enforced.get(name) ?? noDevices,
      rehearsed: rehearsed.get(name) ?? noDevices,
    });
  }
  const known = status?.conditions?.find(({ type }) => type === policiesKnownCondition);
  return {
    policies,
    policiesUnknown: known?.status === 'False' ? clip(known.message, messageLength) : null,
    offered: offeredBy(status?.devices ?? []),
  };
}

/** Companions and physical functions are in no resource. */
function offeredBy(devices: readonly VfioNodeDevice[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const { resource, id } of devices) {
    if (resource === undefined || id === undefined) continue;
    const ids = found.get(resource);
    if (ids === undefined) found.set(resource, new Set([id]));
    else ids.add(id);
  }
  return new Map([...found].map(([resource, ids]) => [resource, [...ids].toSorted()]));
}

interface Gathered {
  readonly counts: number[];
  outranked: number;
  conflicts: number;
  readonly problems: NodeProblem[];
}

function digestDevices(devices: readonly VfioNodeDevice[]): ReadonlyMap<string, DeviceDigest> {
  const gathered = new Map<string, Gathered>();
  const of = (policy: string): Gathered => {
    const known = gathered.get(policy);
    if (known !== undefined) return known;
    const fresh: Gathered = { counts: decisionKinds.map(() => 0), outranked: 0, conflicts: 0, problems: [] };
    gathered.set(policy, fresh);
    return fresh;
  };
  for (const device of devices) {
    for (const loser of device.alsoWantedBy ?? []) {
      const mine = of(loser);
      mine.outranked += 1;
      const winner = device.policy === undefined ? 'another policy' : `policy ${device.policy}`;
      mine.problems.push(problemOf('Outranked', device.address, 'Outranked', `${winner} comes first`));
    }
    if (device.policy === undefined) continue;
    const mine = of(device.policy);
    const index = decisionKinds.indexOf(device.decision);
    if (index < 0) continue;
    mine.counts[index] = (mine.counts[index] ?? 0) + 1;
    const rank = rankOf(device);
    if (rank === 'Conflict') mine.conflicts += 1;
    if (rank !== null)
      mine.problems.push(problemOf(rank, device.address, device.code ?? device.decision, device.message ?? ''));
  }
  return new Map([...gathered].map(([policy, found]) => [policy, summarize(found)]));
}

const ranks: Readonly<Record<DecisionKind, ProblemRank | null>> = {
  Stuck: 'Stuck',
  Quarantined: 'Quarantined',
  Failed: 'Failed',
  Held: 'Held',
  Refused: 'Refused',
  Bind: null,
  Bound: null,
  Release: null,
  Ignored: null,
};

function rankOf({ decision, code }: VfioNodeDevice): ProblemRank | null {
  return decision === 'Refused' && code === 'Conflict' ? 'Conflict' : ranks[decision];
}

function problemOf(rank: ProblemRank, device: string, code: string, message: string): NodeProblem {
  return { rank, device, code, message: clip(message, messageLength) };
}

function summarize({ counts, outranked, conflicts, problems }: Gathered): DeviceDigest {
  const sorted = problems.toSorted(compareProblems).slice(0, problemLimit);
  return { counts, outranked, conflicts, problems: sorted, problemCount: problems.length };
}

/** Worst first, then by address; those of the whole node before those of its devices. */
export function compareProblems(a: NodeProblem, b: NodeProblem): number {
  const byRank = problemRanks.indexOf(a.rank) - problemRanks.indexOf(b.rank);
  if (byRank !== 0) return byRank;
  const [one, other] = [a.device ?? '', b.device ?? ''];
  return one === other ? 0 : one < other ? -1 : 1;
}
