// Policy files: YAML text to policies, held to the CRD's own schema and its own CEL rules. Everything that is wrong is told
// at once (of one file up to a hundred problems), with file, line, the field path that the API server would give, and a sentence. A file is
// good as a whole or not at all.
import type { VfioPolicy } from '../api/generated/types.ts';
import { apiVersion, policyKind } from '../api/constants.ts';
import { parsePolicy } from '../domain/parse-policy.ts';
import type { Policy } from '../domain/policy.ts';
import { checkRules } from './check-rules.ts';
import { checkSchema, formatFieldPath } from './check-schema.ts';
import type { FieldKeys, SchemaProblem } from './check-schema.ts';
import { vfioPolicySpecSchema } from './generated/vfio-policy-schema.ts';
import { checkMetadata } from './check-metadata.ts';
import { readYamlDocuments } from './yaml-documents.ts';
import type { YamlDocument } from './yaml-documents.ts';

/** A policy from a file. */
export interface PolicyDocument {
  /** As written, with the schema's defaults; of the metadata only what people write. */
  readonly document: VfioPolicy;
  readonly policy: Policy;
  readonly file: string;
  /** Line it begins in, from 1. */
  readonly line: number;
}

/** What is wrong, and where. `line` is from 1, or 0 where it has no meaning; `path` is empty where the text as a whole is meant. */
export interface DocumentProblem {
  readonly file: string;
  readonly line: number;
  readonly path: string;
  readonly message: string;
}

/** What a file holds. With any problem, `documents` is empty. */
export interface PolicyFile {
  readonly documents: readonly PolicyDocument[];
  readonly problems: readonly DocumentProblem[];
}

/** Problems of one file that are told; a file that is no policy at all can have one for every character. */
const maxProblems = 100;

/** Reads a file's text. `file` is the name to report. A file without documents holds no policies, and that is no problem. */
export function parsePolicyFile(text: string, file: string): PolicyFile {
  const { documents, problems } = parseWhole(text, file);
  const further = problems.length - maxProblems;
  if (further <= 0) return { documents, problems };
  const last = { file, line: 0, path: '', message: `has ${further} more problems` };
  return { documents, problems: [...problems.slice(0, maxProblems), last] };
}

function parseWhole(text: string, file: string): PolicyFile {
  const yaml = readYamlDocuments(text);
  if ('problems' in yaml) return { documents: [], problems: yaml.problems.map((it) => ({ file, path: '', ...it })) };
  const documents: PolicyDocument[] = [];
  const problems: DocumentProblem[] = [];
  for (const document of yaml.documents) {
    const read = readPolicyDocument(document.value, file, document.line);
    if ('document' in read) documents.push(read);
    else for (const one of read) problems.push(toDocumentProblem(one, document, file));
  }
  const { kept, duplicates } = separateDuplicates(documents);
  problems.push(...duplicates);
  return problems.length === 0 ? { documents: kept, problems } : { documents: [], problems };
}

/** Checks one document that is a plain value already, such as a kept good version. */
export function readPolicyDocument(
  value: unknown,
  file: string,
  line: number,
): PolicyDocument | readonly SchemaProblem[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [problem([], 'a policy is a mapping with apiVersion, kind, metadata and spec')];
  }
  const { apiVersion: version, kind, metadata, spec, status: _, ...rest } = value as Record<string, unknown>;
  const foreign = findForeignKind(version, kind);
  if (foreign !== null) return [foreign];
  const checkedMetadata = checkMetadata(metadata);
  const checkedSpec = checkSchema(spec ?? null, vfioPolicySpecSchema, ['spec']);
  const missing = spec === undefined || spec === null;
  const problems = [
    ...Object.keys(rest).map((name) => problem([name], 'unknown field; known here are metadata, spec')),
    ...checkedMetadata.problems,
    ...(missing ? [problem(['spec'], 'is required')] : checkedSpec.problems),
  ];
  if (problems.some(({ blocking }) => blocking)) return problems;
  const broken = checkRules(checkedSpec.value, vfioPolicySpecSchema, ['spec']);
  if (problems.length > 0 || broken.length > 0) return [...problems, ...broken];
  const document = {
    apiVersion,
    kind: policyKind,
    metadata: checkedMetadata.value,
    spec: checkedSpec.value,
  } as VfioPolicy;
  const parsed = parsePolicy(document, `${file}:${line}`);
  if ('policy' in parsed) return { document, policy: parsed.policy, file, line };
  return parsed.problems.map(({ path, message }) => problem(parseFieldPath(path), message));
}

/** Splits documents into those whose name is new and problems for those whose name is taken by an earlier one. */
export function separateDuplicates(documents: readonly PolicyDocument[]): {
  readonly kept: readonly PolicyDocument[];
  readonly duplicates: readonly DocumentProblem[];
} {
  const names = new Map<string, PolicyDocument>();
  const duplicates: DocumentProblem[] = [];
  for (const document of documents) {
    const { name } = document.policy;
    const first = names.get(name);
    if (first === undefined) names.set(name, document);
    else duplicates.push(describeDuplicate(document, first));
  }
  return { kept: [...names.values()], duplicates };
}

/** The problem of a document whose name another one has. */
export function describeDuplicate({ file, line, policy }: PolicyDocument, first: PolicyDocument): DocumentProblem {
  const where = first.file === file ? `in line ${first.line}` : `in ${first.file}, line ${first.line}`;
  return { file, line, path: 'metadata.name', message: `there is a policy named "${policy.name}" already, ${where}` };
}

function problem(keys: FieldKeys, message: string, blocking = true): SchemaProblem {
  return { keys, message, blocking };
}

function findForeignKind(version: unknown, kind: unknown): SchemaProblem | null {
  if (version === undefined) return problem(['apiVersion'], `is required; it is ${apiVersion}`);
  if (kind === undefined) return problem(['kind'], `is required; it is ${policyKind}`);
  if (kind !== policyKind) {
    return problem(['kind'], `this is a ${JSON.stringify(kind)}; policy files hold only ${policyKind} documents`);
  }
  if (version === apiVersion) return null;
  return problem(['apiVersion'], `${JSON.stringify(version)} is not known to this version; it knows ${apiVersion}`);
}

/** The way back from `spec.devices[0].vendor`, for paths that have no dots in their names. */
function parseFieldPath(path: string): FieldKeys {
  return path.split(/[.[\]]+/).flatMap((key) => (key === '' ? [] : [/^[0-9]+$/.test(key) ? Number(key) : key]));
}

function toDocumentProblem({ keys, message }: SchemaProblem, document: YamlDocument, file: string): DocumentProblem {
  return { file, line: document.lineOf(keys), path: formatFieldPath(keys), message };
}
