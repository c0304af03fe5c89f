// What the agent last knew of the cluster, in the state directory: the policies in force, its Node, and how new that was. With it an
// agent serves its devices before the API server has answered, and takes no older answer for the truth.
import type { Files } from '../../runtime/ports.ts';
import { isRecord } from '../../kube/kube-object.ts';
import { readKept } from '../kept-file.ts';
import { readKeptDocument, type GoodPolicy } from './read-policy-object.ts';
import type { NodeFacts } from './node-facts.ts';

const formatVersion = 1;

/** By policy name. null: the policy is there, this program does not understand it, and no earlier version of it is known. */
export type ClusterPolicies = ReadonlyMap<string, GoodPolicy | null>;

/** What was kept. Everything null where nothing is known. */
export interface KeptCluster {
  readonly policies: ClusterPolicies | null;
  /** Newest resourceVersion of the policies that was acted on. */
  readonly policiesVersion: string | null;
  readonly node: NodeFacts | null;
  readonly nodeVersion: string | null;
  /** Why nothing is known although something was kept; null otherwise. */
  readonly problem: string | null;
}

const nothing: KeptCluster = { policies: null, policiesVersion: null, node: null, nodeVersion: null, problem: null };

/** The text to keep. */
export function formatKeptCluster(kept: Omit<KeptCluster, 'problem'>): string {
  const policies =
    kept.policies === null
      ? null
      : [...kept.policies].map(([name, policy]) => ({ name, document: policy?.document ?? null }));
  const { policiesVersion, node, nodeVersion } = kept;
  return `${JSON.stringify({ version: formatVersion, policiesVersion, policies, nodeVersion, node })}\n`;
}

/** Reads what was kept. `nodeName` is this node's, null where it is not known: what is known of another one says nothing about it. */
export function readKeptCluster(files: Files, path: string, nodeName: string | null): KeptCluster {
  const { document: value, problem } = readKept(files, path, formatVersion);
  if (value === null) return { ...nothing, problem };
  const node = readNode(value.node);
  const isOwn = node !== null && (nodeName === null || node.name === nodeName);
  return {
    policies: Array.isArray(value.policies) ? readPolicies(value.policies) : null,
    policiesVersion: readVersion(value.policiesVersion),
    node: isOwn ? node : null,
    nodeVersion: isOwn ? readVersion(value.nodeVersion) : null,
    problem: null,
  };
}

function readPolicies(entries: readonly unknown[]): ClusterPolicies {
  const policies = new Map<string, GoodPolicy | null>();
  for (const entry of entries) {
    if (isRecord(entry) && typeof entry.name === 'string') policies.set(entry.name, readKeptDocument(entry.document));
  }
  return policies;
}

function readNode(value: unknown): NodeFacts | null {
  if (!isRecord(value) || typeof value.name !== 'string' || typeof value.uid !== 'string') return null;
  const { name, uid, labels, addresses } = value;
  if (!isRecord(labels) || !Array.isArray(addresses)) return null;
  const texts = Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    name,
    uid,
    labels: Object.fromEntries(texts),
    addresses: addresses.filter((one) => typeof one === 'string'),
  };
}

function readVersion(value: unknown): string | null {
  return typeof value === 'string' && /^\d+$/.test(value) ? value : null;
}
