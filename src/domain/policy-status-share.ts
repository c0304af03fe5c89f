// What one node adds to one policy's status. Everything a policy's status says is a sum of these, so that a change on one node costs
// one subtraction and one addition. Pure.
import { decisionKinds } from './codes.ts';
import { compareProblems, noDevices, problemLimit } from './policy-status-digest.ts';
import type { DeviceDigest, NodeDigest, NodeProblem, PolicyOnNode } from './policy-status-digest.ts';
import type { LabelSelector } from './policy.ts';

/** The part of a policy that its status depends on. */
export interface PolicyFacts {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly mode: 'Enforce' | 'DryRun';
  readonly nodeSelector: LabelSelector;
  /** Name of the extended resource, and whether virtual machines of KubeVirt are to have it; null without one. */
  readonly resource: { readonly name: string; readonly kubeVirt: boolean } | null;
  /** Why this program cannot read the policy; null when it can. */
  readonly invalid: string | null;
}

/** Whether anybody acts on a node: its agent is ready, is there but not ready, or is not there. */
export type AgentPresence = 'Ready' | 'NotReady' | 'Missing';

/** What is known of one node. */
export interface NodeFacts {
  /** Digest of its node state; null: there is none. */
  readonly digest: NodeDigest | null;
  /** Labels of the Node object; null: there is no Node object. */
  readonly labels: Readonly<Record<string, string>> | null;
  readonly agent: AgentPresence;
}

/** The numbers. All but `vanished` leave vanished nodes out; from `behind` on they speak of nodes whose agent is ready. */
export const tallyKeys = [
  'matched',
  'ready',
  'degraded',
  'vanished',
  /** Matched nodes whose agent is not ready. */
  'unattended',
  /** Nodes whose agent has not acted on this generation. */
  'behind',
  'invalid',
  'conflict',
  'pending',
  'held',
  'stuck',
  'quarantined',
  'failed',
] as const;
export type Tally = Readonly<Record<(typeof tallyKeys)[number], number>>;

/** A node's share. */
export interface NodeShare {
  readonly tally: Tally;
  /** Devices in the order of `decisionKinds`. */
  readonly counts: readonly number[];
  readonly outranked: number;
  readonly problems: readonly NodeProblem[];
  readonly problemCount: number;
}

const emptyTally: Tally = Object.freeze(
  Object.fromEntries(tallyKeys.map((key) => [key, 0])) as Record<keyof Tally, number>,
);

/** The share; null when the node has nothing to do with the policy. `selected`: the policy's node selector meets the node's labels. */
export function shareOf(policy: PolicyFacts, node: NodeFacts, selected: boolean): NodeShare | null {
  const known = node.digest?.policies.get(policy.name) ?? null;
  if (node.labels === null) return vanishedShare(policy, known);
  if (node.agent !== 'Ready') return unattendedShare(policy, node, known, selected);
  if (known === null && !selected) return null;
  return liveShare(policy, node, known, selected);
}

/** The devices that the policy's mode speaks of. */
function devicesOf(policy: PolicyFacts, known: PolicyOnNode | null): DeviceDigest {
  if (known === null) return noDevices;
  return policy.mode === 'DryRun' ? known.rehearsed : known.enforced;
}

/** Devices that the policy wants, as opposed to those it gives back or leaves alone. */
function wantedIn({ counts, outranked }: DeviceDigest): number {
  const wanted = decisionKinds.map((kind, index) =>
    kind === 'Release' || kind === 'Ignored' ? 0 : (counts[index] ?? 0),
  );
  return wanted.reduce((sum, count) => sum + count, outranked);
}

function vanishedShare(policy: PolicyFacts, known: PolicyOnNode | null): NodeShare | null {
  if (wantedIn(devicesOf(policy, known)) === 0) return null;
  return {
    tally: { ...emptyTally, vanished: 1 },
    counts: noDevices.counts,
    outranked: 0,
    problems: [],
    problemCount: 0,
  };
}

/** Nobody acts there: the last known counts, and one problem that says so. */
function unattendedShare(
  policy: PolicyFacts,
  node: NodeFacts,
  known: PolicyOnNode | null,
  selected: boolean,
): NodeShare | null {
  // Without a state and without an agent it is simply no node of ours.
  if (known === null && (node.agent === 'Missing' || !selected)) return null;
  const devices = devicesOf(policy, known);
  const matched = wantedIn(devices) > 0 ? 1 : 0;
  const message =
    node.agent === 'Missing'
      ? 'no agent runs on this node; what is shown of it is what the last one wrote'
      : 'the agent of this node is not ready; what is shown of it is what it wrote last';
  return {
    tally: { ...emptyTally, matched, degraded: matched, unattended: matched },
    counts: devices.counts,
    outranked: devices.outranked,
    problems: [{ rank: 'AgentNotReady', device: null, code: 'AgentNotReady', message }],
    problemCount: 1,
  };
}

function liveShare(policy: PolicyFacts, node: NodeFacts, known: PolicyOnNode | null, selected: boolean): NodeShare {
  const devices = devicesOf(policy, known);
  const dryRun = policy.mode === 'DryRun';
  const count = (kind: (typeof decisionKinds)[number]): number => devices.counts[decisionKinds.indexOf(kind)] ?? 0;
  const seen = known?.seen ?? null;
  const current = seen !== null && seen.uid === policy.uid;
  const observed = seen === null ? !selected : current && seen.generation >= policy.generation;
  const matched = wantedIn(devices) > 0 ? 1 : 0;
  const tally = {
    ...emptyTally,
    matched,
    behind: observed ? 0 : 1,
    invalid: current && seen.code === 'Invalid' ? 1 : 0,
    conflict: (current && seen.code === 'Conflict') || devices.conflicts > 0 ? 1 : 0,
    // A rehearsal has no steps, and nothing waits in it.
    pending: dryRun ? 0 : count('Bind') + count('Release'),
    held: dryRun ? 0 : count('Held'),
    stuck: count('Stuck'),
    quarantined: count('Quarantined'),
    failed: count('Failed'),
  };
  const wrong = tally.invalid + tally.conflict + tally.stuck + tally.quarantined + tally.failed > 0;
  const done = observed && !wrong && tally.pending === 0 && tally.held === 0;
  const ofNode = problemsOfNode(policy, node, known, tally.behind === 1);
  return {
    tally: { ...tally, ready: done ? matched : 0, degraded: wrong ? matched : 0 },
    counts: devices.counts,
    outranked: devices.outranked,
    problems: [...ofNode, ...devices.problems].toSorted(compareProblems).slice(0, problemLimit),
    problemCount: ofNode.length + devices.problemCount,
  };
}

/** What concerns the node as a whole. */
function problemsOfNode(
  policy: PolicyFacts,
  node: NodeFacts,
  known: PolicyOnNode | null,
  behind: boolean,
): readonly NodeProblem[] {
  const problems: NodeProblem[] = [];
  const seen = known?.seen ?? null;
  if (seen !== null && seen.uid === policy.uid && (seen.code === 'Invalid' || seen.code === 'Conflict'))
    problems.push({ rank: seen.code, device: null, code: seen.code, message: seen.message ?? '' });
  const unknown = node.digest?.policiesUnknown ?? null;
  if (behind && unknown !== null)
    problems.push({ rank: 'PoliciesUnknown', device: null, code: 'PoliciesUnknown', message: unknown });
  return problems;
}

/** Whether both say the same. */
export function sameShare(a: NodeShare | null, b: NodeShare | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    tallyKeys.every((key) => a.tally[key] === b.tally[key]) &&
    a.counts.every((count, index) => count === b.counts[index]) &&
    a.outranked === b.outranked &&
    a.problemCount === b.problemCount &&
    a.problems.length === b.problems.length &&
    a.problems.every((problem, index) => sameProblem(problem, b.problems[index]))
  );
}

function sameProblem(a: NodeProblem, b: NodeProblem | undefined): boolean {
  return b !== undefined && compareProblems(a, b) === 0 && a.code === b.code && a.message === b.message;
}
