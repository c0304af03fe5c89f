// The policies a command goes by: those of a directory it is given, else those that the agent on this host kept when it last ran, be it
// from a directory or from a cluster.
import type { Unread } from '../domain/device.ts';
import type { NodeIdentity } from '../domain/plan-input.ts';
import type { Policy, PolicySet } from '../domain/policy.ts';
import { readKeptCluster } from '../agent/cluster/kept-cluster.ts';
import { readKeptPolicies } from '../agent/kept-policies.ts';
import { documentsInForce } from '../kube/merge-policy-files.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import type { NodeOptions } from './node-options.ts';
import { readPolicies } from './read-policies.ts';

export interface FoundPolicies {
  readonly set: PolicySet;
  /** Where they came from, as a sentence for people. */
  readonly origin: string;
  readonly unread: readonly Unread[];
  /** The node as an agent in a cluster last saw it; null where its labels are what the flags say. */
  readonly node: NodeIdentity | null;
}

/** Finds them. Throws `CommandFailed` (usage) for a directory with anything wrong in it. */
export function findPolicies(
  files: Files,
  options: Pick<NodeOptions, 'policies' | 'state' | 'nodeName'>,
): FoundPolicies {
  if (options.policies !== null) {
    const policies = readPolicies(files, options.policies).map(({ policy }) => policy);
    return {
      set: { complete: true, policies, why: null },
      origin: `${policies.length} from ${options.policies}`,
      unread: [],
      node: null,
    };
  }
  const [directory, cluster] = [`${options.state}/policies`, `${options.state}/cluster`];
  return changedAt(files, cluster) > changedAt(files, directory)
    ? readKeptOfCluster(files, cluster, options.nodeName)
    : readKept(files, directory);
}

/** A node whose agent was in a cluster and no longer is has both files. */
function changedAt(files: Files, path: string): number {
  try {
    return files.stat(path).modifiedAt;
  } catch (error) {
    if (error instanceof FileError) return -1;
    throw error;
  }
}

function readKeptOfCluster(files: Files, path: string, nodeName: string | null): FoundPolicies {
  const { policies: inForce, node, problem } = readKeptCluster(files, path, nodeName);
  if (inForce === null || node === null)
    return none(`those the agent kept cannot be used; ${hint}`, [
      { source: path, why: problem ?? 'it knows nothing of this node' },
    ]);
  const policies = [...inForce.values()].flatMap((one) => (one === null ? [] : [one.policy]));
  const unknown = [...inForce].flatMap(([name, policy]) => (policy === null ? [name] : []));
  return { ...judge(policies, unknown, path, 'the cluster'), node: { name: node.name, labels: node.labels } };
}

function readKept(files: Files, path: string): FoundPolicies {
  let directory: string;
  try {
    directory = directoryIn(files.readText(path));
  } catch (error) {
    if (error instanceof SyntaxError)
      return none(`those the agent kept are damaged; ${hint}`, [{ source: path, why: error.message }]);
    if (!(error instanceof FileError)) throw error;
    if (error.code === 'ENOENT') return none(`none known; ${hint}`, []);
    return none(`those the agent kept cannot be read; ${hint}`, [{ source: path, why: error.code }]);
  }
  const { inForce, problem } = readKeptPolicies(files, path, directory);
  if (inForce === null)
    return none(`those the agent kept cannot be used; ${hint}`, [{ source: path, why: problem ?? 'empty' }]);
  const policies = documentsInForce(inForce).map(({ policy }) => policy);
  const unknown = [...inForce].flatMap(([name, documents]) => (documents === null ? [name] : []));
  return judge(policies, unknown, path, directory);
}

const hint = 'name a directory of policy files with --policies';

function none(why: string, unread: readonly Unread[]): FoundPolicies {
  return { set: { complete: false, policies: [], why }, origin: why, unread, node: null };
}

function judge(policies: readonly Policy[], unknown: readonly string[], path: string, from: string): FoundPolicies {
  const why = unknown.length === 0 ? null : `no good version of ${unknown.join(', ')} is known`;
  return {
    set: { complete: why === null, policies, why },
    origin: `${policies.length} that the agent kept from ${from}`,
    unread: why === null ? [] : [{ source: path, why }],
    node: null,
  };
}

function directoryIn(text: string): string {
  const value = JSON.parse(text) as { readonly directory?: unknown } | null;
  if (typeof value?.directory !== 'string') throw new SyntaxError('it names no directory');
  return value.directory;
}
