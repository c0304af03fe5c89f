// Policy files for commands: all of a directory, held to the same rules as the agent's. Commands have no earlier version to fall back
// to, so one bad line is an error. Loaded only by commands that need policies: the schema and the YAML reader are heavy.
import { documentsInForce, mergePolicyFiles } from '../kube/merge-policy-files.ts';
import type { DocumentProblem, PolicyDocument } from '../kube/policy-documents.ts';
import { readPolicyFiles } from '../kube/read-policy-files.ts';
import type { Files } from '../runtime/ports.ts';
import { CommandFailed, exitCodes } from './exit-codes.ts';

/** Every policy of the directory, by name. Throws `CommandFailed` (usage) that tells all problems, a line each. */
export function readPolicies(files: Files, directory: string): readonly PolicyDocument[] {
  const read = readPolicyFiles(files, directory);
  if ('failure' in read) throw new CommandFailed(exitCodes.usage, read.failure);
  const { inForce, problems } = mergePolicyFiles(read.files, null);
  if (problems.length > 0) throw new CommandFailed(exitCodes.usage, problems.map(describeProblem).join('\n'));
  return documentsInForce(inForce);
}

/** `file:line: path: sentence`, as compilers print it. */
function describeProblem({ file, line, path, message }: DocumentProblem): string {
  return `${file}${line === 0 ? '' : `:${line}`}: ${path === '' ? '' : `${path}: `}${message}`;
}
