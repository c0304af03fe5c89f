// The host's modprobe.d as kmod reads it (libkmod-config.c): aliases, blacklisted modules, install commands. Nothing throws; a line
// kmod would not take is reported and skipped.
import { copyText, createCollector, isVfioPattern } from './alias-file.ts';
import type { AliasProblem } from './alias-file.ts';
import type { AliasEntry } from './driver-choice.ts';
import { toLookupForm } from './module-name.ts';

/** A module that alias lookups must not load, and the line that says so. */
export interface BlacklistLine {
  /** Underscore form. */
  readonly module: string;
  readonly source: string;
  readonly line: number;
}

/** A command kmod runs instead of loading a module. */
export interface InstallLine {
  /** Glob over module names, underscore form. */
  readonly pattern: string;
  readonly command: string;
  readonly source: string;
  readonly line: number;
}

/** One configuration file, as far as it concerns us. */
export interface ModprobeConfig {
  /** Aliases whose pattern begins with `vfio_`, origin `modprobe.d`. */
  readonly entries: readonly AliasEntry[];
  readonly blacklist: readonly BlacklistLine[];
  readonly installs: readonly InstallLine[];
  readonly problems: readonly AliasProblem[];
}

/** Commands that are right but do not concern us. */
const otherCommands: ReadonlySet<string> = new Set(['options', 'remove', 'softdep', 'weakdep', 'include', 'config']);

/**
 * Parses one file. As in kmod: a `\` at the end of a line joins the next one to it, a `\` elsewhere vanishes, only a `#` at the very
 * beginning of the joined line makes a comment, words beyond those a command takes are ignored. `line` is where the joined line begins.
 */
export function parseModprobeConfig(text: string, source: string): ModprobeConfig {
  const collector = createCollector(source, 'modprobe.d');
  const blacklist: BlacklistLine[] = [];
  const installs: InstallLine[] = [];
  for (const { content, line } of joinLines(text)) {
    if (content.startsWith('#')) continue;
    const words = content.split(/[ \t]+/).filter((word) => word !== '');
    const [command, first, second] = words;
    if (command === undefined || otherCommands.has(command)) continue;
    const name = first === undefined ? null : toLookupForm(first);
    if (content.endsWith('\r')) {
      collector.report(line, content, 'ends in a carriage return, which kmod takes for a part of the last word');
    } else if (command === 'alias') {
      addAlias(collector, first, second, line, content);
    } else if (command !== 'blacklist' && command !== 'install') {
      collector.report(line, content, `unknown command ${JSON.stringify(command.slice(0, 40))}`);
    } else if (name === null) {
      collector.report(line, content, `"${command}" needs a module name`);
    } else if (command === 'blacklist') {
      blacklist.push({ module: copyText(name), source, line });
    } else {
      installs.push({ pattern: copyText(name), command: copyText(words.slice(2).join(' ')), source, line });
    }
  }
  return { ...collector.finish(), blacklist, installs };
}

function addAlias(
  collector: ReturnType<typeof createCollector>,
  pattern: string | undefined,
  module: string | undefined,
  line: number,
  content: string,
): void {
  if (pattern === undefined || module === undefined) {
    collector.report(line, content, '"alias" needs a pattern and a module name');
  } else if (isVfioPattern(pattern)) {
    collector.add(pattern, module, line, content);
  } else if (toLookupForm(pattern) === null || toLookupForm(module) === null) {
    collector.report(line, content, 'brackets do not pair');
  }
}

/** Modules named by `modprobe.blacklist=` on the kernel's command line, which kmod reads like `blacklist` lines. */
export function parseKernelCommandLine(text: string, source: string): readonly BlacklistLine[] {
  const key = 'modprobe.blacklist=';
  const values = text.split(/[ \t\n"]+/).filter((word) => word.startsWith(key));
  const names = values.flatMap((value) => value.slice(key.length).split(',')).filter((name) => name !== '');
  return names.flatMap((name) => {
    const module = toLookupForm(name);
    return module === null ? [] : [{ module: copyText(module), source, line: 1 }];
  });
}

/** Logical lines with the number of their first physical one. */
function* joinLines(text: string): Generator<{ readonly content: string; readonly line: number }, void, undefined> {
  let line = 1;
  let begun = 1;
  let content = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\n') {
      yield { content, line: begun };
      line += 1;
      begun = line;
      content = '';
    } else if (character === '\\') {
      at += 1;
      if (text[at] === '\n') line += 1;
      else content += text.charAt(at);
    } else {
      content += character;
    }
  }
  if (content !== '') yield { content, line: begun };
}
