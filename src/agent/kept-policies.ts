// The last good version of every policy file, in the state directory, so that a file that turned bad keeps it over a restart too.
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';
import type { PoliciesInForce } from '../kube/merge-policy-files.ts';
import { readPolicyDocument } from '../kube/policy-documents.ts';
import type { PolicyDocument } from '../kube/policy-documents.ts';

const formatVersion = 1;

/** What was kept. `inForce` is null when nothing is known; `problem` says why, and is null where nothing was ever kept. */
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
  let text: string;
  try {
    text = files.readText(path);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return {
      inForce: null,
      problem: error.code === 'ENOENT' ? null : `the last good policies cannot be read: ${error.code}`,
    };
  }
  const kept = parseKept(text);
  if (kept === null)
    return { inForce: null, problem: 'the last good policies are damaged or of another version, and are not used' };
  if (kept.directory !== directory) return { inForce: null, problem: null };
  const inForce = new Map<string, readonly PolicyDocument[] | null>();
  for (const { name, documents } of kept.files) {
    inForce.set(name, documents === null ? null : readDocuments(documents, `${directory}/${name}`));
  }
  return { inForce, problem: null };
}

interface KeptFile {
  readonly name: string;
  readonly documents: readonly { readonly line: number; readonly document: unknown }[] | null;
}

function parseKept(text: string): { readonly directory: string; readonly files: readonly KeptFile[] } | null {
  try {
    const value = JSON.parse(text) as { version?: unknown; directory: string; files: readonly KeptFile[] };
    return value.version === formatVersion && Array.isArray(value.files) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
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
