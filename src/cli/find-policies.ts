// The policies a command goes by: those of a directory it is given, else those that the agent on this host kept when it last ran.
import type { Unread } from '../domain/device.ts';
import type { PolicySet } from '../domain/policy.ts';
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
}

/** Finds them. Throws `CommandFailed` (usage) for a directory with anything wrong in it. */
export function findPolicies(files: Files, options: Pick<NodeOptions, 'policies' | 'state'>): FoundPolicies {
  if (options.policies !== null) {
    const policies = readPolicies(files, options.policies).map(({ policy }) => policy);
    return {
      set: { complete: true, policies, why: null },
      origin: `${policies.length} from ${options.policies}`,
      unread: [],
    };
  }
  return readKept(files, `${options.state}/policies`);
}

function readKept(files: Files, path: string): FoundPolicies {
  const none = (why: string, unread: readonly Unread[]): FoundPolicies => ({
    set: { complete: false, policies: [], why },
    origin: why,
    unread,
  });
  const hint = 'name a directory of policy files with --policies';
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
  const why = unknown.length === 0 ? null : `no good version of ${unknown.join(', ')} is known`;
  return {
    set: { complete: why === null, policies, why },
    origin: `${policies.length} that the agent kept from ${directory}`,
    unread: why === null ? [] : [{ source: path, why }],
  };
}

function directoryIn(text: string): string {
  const value = JSON.parse(text) as { readonly directory?: unknown } | null;
  if (typeof value?.directory !== 'string') throw new SyntaxError('it names no directory');
  return value.directory;
}
