// YAML (and JSON) text to plain values with line numbers, read as kubectl reads it: several documents in a file, YAML 1.1's words for
// true and false and Go's numbers, merge keys; repeated keys are errors, and aliases cannot blow up.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, Node, ScalarTag } from 'yaml';
import type { FieldKeys } from './check-schema.ts';
import { readYamlNumber } from './read-yaml-number.ts';

/** One document of a file. Empty ones are left out. */
export interface YamlDocument {
  readonly value: unknown;
  /** Line it begins in, from 1. */
  readonly line: number;
  /** Line of a field; of the nearest field above it, where it is not there itself. */
  lineOf(keys: FieldKeys): number;
}

/** The text is no YAML. */
interface YamlProblem {
  readonly line: number;
  readonly message: string;
}

/** All documents of a file, or what is wrong with it. */
export type YamlFile =
  { readonly documents: readonly YamlDocument[] } | { readonly problems: readonly [YamlProblem, ...YamlProblem[]] };

/** Reads a whole file. */
export function readYamlDocuments(text: string): YamlFile {
  const lines = new LineCounter();
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  try {
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      merge: true,
      // What it would warn of on stderr, such as a mapping for a key, ends in a problem of its own.
      logLevel: 'error',
      customTags: (tags) => [booleanWords, numbers, ...tags],
    });
    const documents = Array.isArray(parsed) ? parsed : [];
    const [first, ...more] = documents.flatMap((document) =>
      [...document.errors, ...document.warnings].map((error) => ({
        line: lineAt(error.pos[0]),
        message: `is no valid YAML: ${error.message}`,
      })),
    );
    if (first !== undefined) return { problems: [first, ...more] };
    return { documents: documents.flatMap((document) => toYamlDocument(document, lineAt)) };
  } catch (error) {
    // The library throws for too many aliases, and the engine for text nested beyond its stack.
    return { problems: [{ line: 1, message: `cannot be read as YAML: ${describeError(error)}` }] };
  }
}

/** The words that Go's YAML reader, and so kubectl, takes for booleans beside true and false. */
const booleanWords: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:[yY]|[nN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(?:y|on)/i.test(text),
};

const numbers: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+.0-9]/,
  resolve: readYamlNumber,
};

function toYamlDocument(document: Document.Parsed, lineAt: (offset: number) => number): YamlDocument[] {
  const { contents } = document;
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (contents === null || value === null) return [];
  const line = lineAt(contents.range[0]);
  return [{ value, line, lineOf: (keys) => lineAt(findOffset(document, keys) ?? contents.range[0]) }];
}

function findOffset(document: Document.Parsed, keys: FieldKeys): number | null {
  let node: unknown = document.contents;
  let offset: number | null = null;
  for (const key of keys) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) return offset;
      offset = offsetOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = offsetOf(node) ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}

function offsetOf(node: unknown): number | null {
  const range = (node as Node | null | undefined)?.range;
  return range?.[0] ?? null;
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
