// From what the policy files hold now, and what of each was in force before, to what is in force. Pure. A file with anything wrong in it
// keeps its last good version; a name belongs to the file that had it; what a bad file may still hold is not taken for gone.
import { describeDuplicate } from './policy-documents.ts';
import type { DocumentProblem, PolicyDocument } from './policy-documents.ts';
import type { ReadPolicyFile } from './read-policy-files.ts';

/**
 * What of each file is in force, by file name. null: nothing is known of the file's earlier contents, and it cannot be read as
 * policies now, so it may hold policies that were acted on.
 */
export type PoliciesInForce = ReadonlyMap<string, readonly PolicyDocument[] | null>;

export interface MergedPolicies {
  readonly inForce: PoliciesInForce;
  readonly problems: readonly DocumentProblem[];
  /** Names that were in force and are no longer, sorted. */
  readonly lost: readonly string[];
}

/** Merges. `before` is null when nothing at all is known of earlier contents. */
export function mergePolicyFiles(
  read: ReadonlyMap<string, ReadPolicyFile>,
  before: PoliciesInForce | null,
): MergedPolicies {
  const problems: DocumentProblem[] = [];
  const bad: ReadPolicyFile[] = [];
  const owners = findOwners(read, before);
  const inForce = new Map<string, readonly PolicyDocument[] | null>();
  for (const file of [...read.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const found = [...file.problems, ...findTaken(file, owners)];
    problems.push(...found);
    if (found.length === 0) {
      inForce.set(file.name, file.documents);
      continue;
    }
    bad.push(file);
    const kept = before === null ? null : before.get(file.name);
    if (kept === null) inForce.set(file.name, null);
    else if (kept !== undefined)
      inForce.set(
        file.name,
        kept.filter((document) => isOwn(document, file, owners)),
      );
  }
  const lost = findLost(before, inForce);
  for (const document of lost.filter((it) => bad.some((file) => mayHold(file, it)))) keep(inForce, document, before);
  return {
    inForce,
    problems,
    lost: findLost(before, inForce)
      .map(({ policy }) => policy.name)
      .toSorted(),
  };
}

/** Every document in force, by policy name. */
export function documentsInForce(inForce: PoliciesInForce): readonly PolicyDocument[] {
  return [...inForce.values()]
    .flatMap((documents) => documents ?? [])
    .toSorted((a, b) => (a.policy.name < b.policy.name ? -1 : 1));
}

/** For each name the document that has the right to it: that of the file in which it is in force, else of the first file by name. */
function findOwners(
  read: ReadonlyMap<string, ReadPolicyFile>,
  before: PoliciesInForce | null,
): ReadonlyMap<string, { readonly file: string; readonly document: PolicyDocument }> {
  const owners = new Map<string, { file: string; document: PolicyDocument; had: boolean }>();
  for (const name of [...read.keys()].toSorted()) {
    const file = read.get(name);
    const earlier = before?.get(name) ?? [];
    const claims = file === undefined || file.problems.length > 0 ? earlier : file.documents;
    for (const document of claims) {
      const had = earlier.some(({ policy }) => policy.name === document.policy.name);
      const rival = owners.get(document.policy.name);
      if (rival === undefined || (had && !rival.had)) owners.set(document.policy.name, { file: name, document, had });
    }
  }
  return owners;
}

type Owners = ReturnType<typeof findOwners>;

function isOwn({ policy }: PolicyDocument, file: ReadPolicyFile, owners: Owners): boolean {
  return owners.get(policy.name)?.file === file.name;
}

function findTaken(file: ReadPolicyFile, owners: Owners): DocumentProblem[] {
  return file.documents.flatMap((document) => {
    const owner = owners.get(document.policy.name);
    return owner === undefined || owner.file === file.name ? [] : [describeDuplicate(document, owner.document)];
  });
}

function findLost(before: PoliciesInForce | null, now: PoliciesInForce): PolicyDocument[] {
  const names = new Set(documentsInForce(now).map(({ policy }) => policy.name));
  return documentsInForce(before ?? new Map()).filter(({ policy }) => !names.has(policy.name));
}

/** A policy that was moved into a file with a slip in it is not gone. */
function mayHold(file: ReadPolicyFile, { policy }: PolicyDocument): boolean {
  return file.text === null || file.text.includes(policy.name);
}

function keep(
  inForce: Map<string, readonly PolicyDocument[] | null>,
  document: PolicyDocument,
  before: PoliciesInForce | null,
): void {
  for (const [name, documents] of before ?? []) {
    if (documents?.includes(document) === true) inForce.set(name, [...(inForce.get(name) ?? []), document]);
  }
}
