// Parsers of the files in which module aliases stand. None throws, whatever the bytes: a bad line is reported and skipped. Strings that are kept are copies, so that a parsed file of 1.4 MB can be freed (V8's slices keep it alive).
import type { AliasEntry, AliasOrigin } from './driver-choice.ts';
import { compileGlob } from './glob.ts';
import { isModuleName, toLookupForm } from './module-name.ts';

/** A line that says nothing usable: where, its text (at most 200 characters of it), and why. */
export interface AliasProblem {
  readonly source: string;
  /** From 1; in NUL-separated files the record's number. */
  readonly line: number;
  readonly text: string;
  readonly why: string;
}

/** What a file holds, and the lines that could not be used: at most `problemLimit`, the last one saying how many more. */
export interface ParsedAliases {
  readonly entries: readonly AliasEntry[];
  readonly problems: readonly AliasProblem[];
}

/** Most problems reported of one file. */
export const problemLimit = 100;

/** Parses the text of modules.alias: `alias PATTERN MODULE` lines. Entries whose pattern does not begin with `vfio_` are left out. */
export function parseModulesAlias(text: string, source: string): ParsedAliases {
  const collector = createCollector(source, 'file');
  let line = 0;
  for (const content of splitText(text, '\n')) {
    line += 1;
    if (content === '' || content.startsWith('#')) continue;
    if (!content.includes('vfio') && /^alias [^ ]+ [^ ]+$/.test(content)) continue;
    const fields = content.split(/[ \t]+/);
    const [command, pattern, module, ...rest] = fields;
    if (command !== 'alias' || pattern === undefined || module === undefined || module === '' || rest.length > 0) {
      collector.report(line, content, 'not of the form "alias PATTERN MODULE"');
    } else {
      collector.add(pattern, module, line, content);
    }
  }
  return collector.finish();
}

/**
 * Parses modules.builtin.modinfo: records `MODULE.KEY=VALUE`, each ended by a NUL. Kernels from 6.18 on write the device aliases of
 * built-in drivers there. `line` of an entry is the number of its record.
 */
export function parseBuiltinModinfo(text: string, source: string): ParsedAliases {
  const collector = createCollector(source, 'builtin');
  let record = 0;
  for (const content of splitText(text, '\0')) {
    record += 1;
    if (content === '') continue;
    const dot = content.indexOf('.');
    const equals = content.indexOf('=', dot);
    if (dot <= 0 || equals === -1) {
      collector.report(record, content, 'not of the form "MODULE.KEY=VALUE"');
    } else if (content.slice(dot + 1, equals) === 'alias') {
      collector.add(content.slice(equals + 1), content.slice(0, dot), record, content);
    }
  }
  return collector.finish();
}

/** What parsing a file of aliases fills: entries that concern us, and a bounded list of problems. */
export interface AliasCollector {
  /** Keeps the entry if its pattern begins with `vfio_`; reports it if the pattern is none. */
  add(pattern: string, module: string, line: number, text: string): void;
  report(line: number, text: string, why: string): void;
  finish(): ParsedAliases;
}

/** A collector for one file. */
export function createCollector(source: string, origin: AliasOrigin): AliasCollector {
  const entries: AliasEntry[] = [];
  const problems: AliasProblem[] = [];
  const modules = new Map<string, string>();
  let unreported = 0;
  const report = (line: number, text: string, why: string): void => {
    if (problems.length < problemLimit) problems.push({ source, line, text: copyText(text.slice(0, 200)), why });
    else unreported += 1;
  };
  return {
    report,
    add: (pattern, module, line, text) => {
      if (!isVfioPattern(pattern)) return;
      const problem = patternProblem(pattern);
      const name = toLookupForm(module);
      if (problem !== null) {
        report(line, text, `bad alias pattern: ${problem}`);
      } else if (name === null || !isModuleName(name)) {
        report(line, text, `bad module name ${JSON.stringify(module.slice(0, 64))}`);
      } else {
        const kept = modules.get(name) ?? copyText(name);
        modules.set(kept, kept);
        entries.push({ pattern: copyText(pattern), module: kept, origin, source, line });
      }
    },
    finish: () => {
      if (unreported === 0) return { entries, problems };
      const why = `${unreported + 1} more bad lines, of which this is the first`;
      const told = problems.map((problem, index) => (index + 1 < problemLimit ? problem : { ...problem, why }));
      return { entries, problems: told };
    },
  };
}

/** Whether an alias concerns VFIO: its pattern, as kmod compares it, begins with `vfio_`. */
export function isVfioPattern(pattern: string): boolean {
  return pattern.startsWith('vfio_') || pattern.startsWith('vfio-');
}

/** Why a pattern is none, or null. */
function patternProblem(pattern: string): string | null {
  const compiled = compileGlob(toLookupForm(pattern) ?? pattern);
  return compiled.glob === null ? compiled.problem : null;
}

/** The parts of a text between separators, without ever holding them all. */
export function* splitText(text: string, separator: string): Generator<string, void, undefined> {
  let start = 0;
  for (let end = text.indexOf(separator); end !== -1; end = text.indexOf(separator, start)) {
    yield text.slice(start, end);
    start = end + 1;
  }
  if (start < text.length) yield text.slice(start);
}

/** The same text in memory of its own. */
export function copyText(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}
