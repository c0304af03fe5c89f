// The last good version of every policy file, in the state directory, so that a file that turned bad keeps it over a restart too.
import type { Files } from '../runtime/ports.ts';
import type { PoliciesInForce } from '../kube/merge-policy-files.ts';
import { readPolicyDocument } from '../kube/policy-documents.ts';
import type { PolicyDocument } from '../kube/policy-documents.ts';
import { readKept } from './kept-file.ts';

const formatVersion = 1;

/** What was kept. `inForce` is null when nothing is known; `problem` says of the file why, and is null where nothing was ever kept. */
export interface KeptPolicies {
  readonly inForce: PoliciesInForce | null;
  readonly problem: string | null;
}

/** The text to keep for `directory`. */
export function formatKeptPolicies(directory: string, inForce: PoliciesInForce): string {
  const files = [...inForce].map(([name, documents]) => ({
    name,
    documents: documents?.map(({ document, line }) => ({ line, document })) ?? null,
  }));
  return `${JSON.stringify({ version: formatVersion, directory, files })}\n`;
}

/** Reads what was kept. What another directory held says nothing about this one. */
export function readKeptPolicies(files: Files, path: string, directory: string): KeptPolicies {
  const { document: kept, problem } = readKept(files, path, formatVersion);
  if (kept === null) return { inForce: null, problem };
  if (kept.directory !== directory) return { inForce: null, problem: null };
  if (!Array.isArray(kept.files)) return { inForce: null, problem: 'names no files, and is not used' };
  const inForce = new Map<string, readonly PolicyDocument[] | null>();
  for (const { name, documents } of kept.files as readonly KeptFile[]) {
    inForce.set(name, documents === null ? null : readDocuments(documents, `${directory}/${name}`));
  }
  return { inForce, problem: null };
}

interface KeptFile {
  readonly name: string;
  readonly documents: readonly { readonly line: number; readonly document: unknown }[] | null;
}

/** null: a document that an earlier version took for good is not good for this one, so what is in force is unknown. */
function readDocuments(documents: NonNullable<KeptFile['documents']>, file: string): readonly PolicyDocument[] | null {
  const read: PolicyDocument[] = [];
  for (const { document, line } of documents) {
    const result = readPolicyDocument(document, file, line);
    if (!('policy' in result)) return null;
    read.push(result);
  }
  return read;
}
