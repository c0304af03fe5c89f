// All alias entries of a host, indexed by the literal parts of their patterns, so that a lookup among tens of thousands of lines
// tries only a handful. The index is a filter; what matches is decided by the glob alone, whole text against whole pattern.
import type { AliasProblem } from './alias-file.ts';
import { isGenericModule } from './bus-catalog.ts';
import type { AliasEntry, AliasOrigin, Candidate } from './driver-choice.ts';
import { compileGlob, countWildcards } from './glob.ts';
import type { Glob } from './glob.ts';
import { toLookupForm } from './module-name.ts';

/** Entries ready for lookups. */
export interface AliasTable {
  /** Entries that can match. */
  readonly size: number;
  /** Entries whose pattern is none; they match nothing. */
  readonly problems: readonly AliasProblem[];
  /**
   * Every entry that matches `lookup` (a modalias with `vfio_` in front), best first in the order of `compareCandidates`.
   * `-` and `_` are one letter outside `[...]`, as in kmod. A text kmod would refuse to look up (unpaired brackets) matches nothing.
   */
  match(lookup: string): Candidate[];
}

/** Builds the table. The result does not depend on the order of the entries. */
export function buildAliasTable(entries: readonly AliasEntry[]): AliasTable {
  const rows: Row[] = [];
  const problems: AliasProblem[] = [];
  for (const entry of entries) {
    const form = toLookupForm(entry.pattern);
    const compiled = compileGlob(form ?? entry.pattern);
    if (compiled.glob !== null) {
      rows.push({ candidate: toCandidate(entry), glob: compiled.glob, rank: 0 });
    } else {
      const { source, line, pattern: text } = entry;
      problems.push({ source, line, text, why: `bad alias pattern: ${compiled.problem}` });
    }
  }
  rows.sort((a, b) => compareMeasured(a.candidate, a.glob.literals, b.candidate, b.glob.literals));
  rows.forEach((row, rank) => (row.rank = rank));
  const root = buildNode(rows, 0);
  return {
    size: rows.length,
    problems,
    match: (lookup) => {
      const text = toLookupForm(lookup);
      if (text === null) return [];
      const found: Row[] = [];
      collect(root, text, 0, 0, found);
      return found.sort((a, b) => a.rank - b.rank).map((row) => row.candidate);
    },
  };
}

/** The entry with its number of `*`. */
export function toCandidate(entry: AliasEntry): Candidate {
  return { ...entry, wildcards: countWildcards(entry.pattern) };
}

/**
 * The total order of candidates, best (negative) first:
 * 1. fewer `*` in the pattern;
 * 2. more literal characters (outside `*`, `?` and sets);
 * 3. a variant before a bus's generic module;
 * 4. origin: policy, modprobe.d, file, builtin;
 * 5. source, then line in it;
 * 6. pattern, then module: only identical entries are equal.
 */
export function compareCandidates(a: Candidate, b: Candidate): number {
  return compareMeasured(a, countLiterals(a.pattern), b, countLiterals(b.pattern));
}

const originOrder: Readonly<Record<AliasOrigin, number>> = { policy: 0, 'modprobe.d': 1, file: 2, builtin: 3 };

function compareMeasured(a: Candidate, aLiterals: number, b: Candidate, bLiterals: number): number {
  return (
    a.wildcards - b.wildcards ||
    bLiterals - aLiterals ||
    Number(isGenericModule(a.module)) - Number(isGenericModule(b.module)) ||
    originOrder[a.origin] - originOrder[b.origin] ||
    compareText(a.source, b.source) ||
    a.line - b.line ||
    compareText(a.pattern, b.pattern) ||
    compareText(a.module, b.module)
  );
}

function countLiterals(pattern: string): number {
  return compileGlob(pattern).glob?.literals ?? 0;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface Row {
  readonly candidate: Candidate;
  readonly glob: Glob;
  /** Place in the total order. */
  rank: number;
}

/**
 * A level of the index. Level 0 branches on how a pattern begins, level n on its n-th literal run after a `*`. Taking the earliest
 * place of each run loses no match: what follows a run is a `*`, which can make up for the rest.
 */
interface IndexNode {
  /** Tried by their glob: too few to split, or without a run at this level. */
  readonly rows: readonly Row[];
  readonly children: ReadonlyMap<string, IndexNode>;
  /** Distinct lengths of the children's keys. */
  readonly lengths: readonly number[];
}

/** Up to this many rows, trying them all is cheaper than another level. */
const leafSize = 4;

function buildNode(rows: readonly Row[], level: number): IndexNode {
  if (rows.length <= leafSize) return { rows, children: new Map(), lengths: [] };
  const own: Row[] = [];
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const run = row.glob.runs[level];
    if (run === undefined) own.push(row);
    else if (groups.get(run)?.push(row) === undefined) groups.set(run, [row]);
  }
  const children = new Map([...groups].map(([run, group]) => [run, buildNode(group, level + 1)]));
  return { rows: own, children, lengths: [...new Set([...groups.keys()].map((run) => run.length))] };
}

function collect(node: IndexNode, text: string, from: number, level: number, found: Row[]): void {
  for (const row of node.rows) if (row.glob.matches(text)) found.push(row);
  for (const length of node.lengths) {
    const last = level === 0 ? Math.min(0, text.length - length) : text.length - length;
    const entered = new Set<IndexNode>();
    for (let at = from; at <= last; at++) {
      const child = node.children.get(text.slice(at, at + length));
      if (child === undefined || entered.has(child)) continue;
      entered.add(child);
      collect(child, text, at + length, level + 1, found);
    }
  }
}
