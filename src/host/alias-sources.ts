// Everything the host's files say about which module serves which device: modules.alias and its built-in counterpart, modprobe.d,
// the kernel's command line, and which modules there are. Read again only when one of the files changed; of the 1.4 MB text
// nothing is kept but the entries.
import { copyText, parseBuiltinModinfo, parseModulesAlias } from '../domain/alias-file.ts';
import type { AliasProblem, ParsedAliases } from '../domain/alias-file.ts';
import { buildAliasTable } from '../domain/alias-table.ts';
import type { AliasTable } from '../domain/alias-table.ts';
import type { Unread } from '../domain/device.ts';
import type { AliasEntry, AliasOrigin } from '../domain/driver-choice.ts';
import { findVfioModules, parseModulesBuiltin, parseModulesDep } from '../domain/module-files.ts';
import type { ModuleFile } from '../domain/module-files.ts';
import { parseModuleIndex } from '../domain/module-index.ts';
import { parseKernelCommandLine, parseModprobeConfig } from '../domain/modprobe-config.ts';
import type { BlacklistLine, InstallLine, ModprobeConfig } from '../domain/modprobe-config.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { findModuleDirectory, listModprobeFiles } from './module-directories.ts';

/** What the files say. */
export interface AliasSources {
  readonly entries: readonly AliasEntry[];
  /** The entries, indexed. */
  readonly table: AliasTable;
  readonly blacklist: readonly BlacklistLine[];
  readonly installs: readonly InstallLine[];
  /** Modules with a file, underscore form; null: it could not be read which there are. */
  readonly available: ReadonlySet<string> | null;
  /** Those of them that belong to VFIO by their dependencies or their place in the kernel's tree. */
  readonly vfio: ReadonlySet<string>;
  /** Built-in modules with their path in the kernel's tree; null: it could not be read which there are. */
  readonly builtin: ReadonlyMap<string, string> | null;
  /** Lines that say nothing usable. */
  readonly problems: readonly AliasProblem[];
  /** Sources that are absent or unreadable, with what serves instead. */
  readonly unread: readonly Unread[];
}

/** Reads the sources. */
export interface AliasSourceReader {
  /** What they say now: the same object for as long as no source has changed. */
  read(): AliasSources;
}

/** More than this is no modules.alias (1.5 MB on the largest kernels seen). */
const maxBytes = 64 * 1024 * 1024;

/** A reader for the kernel `release` of the host. */
export function createAliasSourceReader(files: Files, paths: HostPaths, release: string): AliasSourceReader {
  let known: { readonly fingerprint: string; readonly sources: AliasSources } | null = null;
  return {
    read: () => {
      const inputs = locateInputs(files, paths, release);
      const fingerprint = fingerprintOf(files, inputs);
      if (known?.fingerprint !== fingerprint) known = { fingerprint, sources: readSources(files, inputs) };
      return known.sources;
    },
  };
}

/** The files to read; null for the module directory when the host has none for its kernel. */
interface Inputs {
  readonly directory: string | null;
  readonly wantedDirectory: string;
  readonly modprobeFiles: readonly string[];
  readonly commandLine: string;
  readonly unread: readonly Unread[];
}

/** The text file, and the binary index that serves where it is missing. */
const moduleFiles = {
  alias: ['modules.alias', 'modules.alias.bin'],
  builtinAlias: ['modules.builtin.modinfo', 'modules.builtin.alias.bin'],
  dependencies: ['modules.dep', 'modules.dep.bin'],
  builtin: ['modules.builtin', 'modules.builtin.bin'],
} as const;

function locateInputs(files: Files, paths: HostPaths, release: string): Inputs {
  const modprobe = listModprobeFiles(files, paths);
  return {
    directory: findModuleDirectory(files, paths, release),
    wantedDirectory: `${paths.moduleTrees[0] ?? paths.root}/${release}`,
    modprobeFiles: modprobe.paths,
    commandLine: paths.kernelCommandLine,
    unread: modprobe.unread,
  };
}

/** Inode, size and both times of every file, or its errno. procfs has no times worth comparing: the command line is short, so it is read. */
function fingerprintOf(files: Files, inputs: Inputs): string {
  const { directory } = inputs;
  const inDirectory =
    directory === null
      ? []
      : Object.values(moduleFiles)
          .flat()
          .map((name) => `${directory}/${name}`);
  const stamps = [...inDirectory, ...inputs.modprobeFiles].map((path) => {
    const stat = attempt(() => files.stat(path));
    if ('errno' in stat) return `${path} ${stat.errno}`;
    const { device, inode, size, modifiedAt, changedAt } = stat.value;
    return [path, device, inode, size, modifiedAt, changedAt].join(' ');
  });
  const commandLine = attempt(() => files.readText(inputs.commandLine, 65_536));
  return [...stamps, JSON.stringify(commandLine), JSON.stringify(inputs.unread)].join('\n');
}

function readSources(files: Files, inputs: Inputs): AliasSources {
  const unread: Unread[] = [...inputs.unread];
  const reader = { files, directory: inputs.directory, unread };
  if (inputs.directory === null) {
    const why = 'no module directory for the running kernel: its aliases and dependencies are unknown';
    unread.push({ source: inputs.wantedDirectory, why });
  }
  const aliases = readAliases(reader, moduleFiles.alias, 'file', parseModulesAlias);
  const builtinAliases = readAliases(reader, moduleFiles.builtinAlias, 'builtin', parseBuiltinModinfo);
  const dependencies = readDependencies(reader);
  const configs = inputs.modprobeFiles.map((path) => readConfig(files, path, unread));
  const commandLine = attempt(() => files.readText(inputs.commandLine, 65_536));
  const entries = [aliases, builtinAliases, ...configs].flatMap((parsed) => parsed.entries);
  return {
    entries,
    table: buildAliasTable(entries),
    blacklist: [
      ...configs.flatMap((config) => config.blacklist),
      ...('value' in commandLine ? parseKernelCommandLine(commandLine.value, inputs.commandLine) : []),
    ],
    installs: configs.flatMap((config) => config.installs),
    available: dependencies.modules === null ? null : new Set([...dependencies.modules.keys()].map(copyText)),
    vfio: findVfioModules(dependencies.modules ?? new Map<string, ModuleFile>()),
    builtin: readBuiltin(reader),
    problems: [aliases, builtinAliases, dependencies, ...configs].flatMap((parsed) => parsed.problems),
    unread,
  };
}

interface DirectoryReader {
  readonly files: Files;
  readonly directory: string | null;
  readonly unread: Unread[];
}

/** The text where there is one; else the records of the index, and `unread` says so. null: neither. */
function readTextOrIndex(
  { files, directory, unread }: DirectoryReader,
  [textName, indexName]: readonly [string, string],
  prefix: string,
):
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly records: readonly { readonly key: string; readonly value: string }[] }
  | null {
  if (directory === null) return null;
  const path = `${directory}/${textName}`;
  const text = attempt(() => files.readText(path, maxBytes));
  if ('value' in text) return { path, text: text.value };
  const indexPath = `${directory}/${indexName}`;
  const bytes = attempt(() => files.readBytes(indexPath, 0, Math.min(files.stat(indexPath).size, maxBytes)));
  if ('errno' in bytes) {
    unread.push({ source: path, why: `${text.errno}, and ${indexName}: ${bytes.errno}` });
    return null;
  }
  const { records, problem } = parseModuleIndex(bytes.value, prefix);
  unread.push({ source: path, why: `${text.errno}; ${indexName} is read instead` });
  if (problem !== null) unread.push({ source: indexPath, why: problem });
  return { path: indexPath, records };
}

const noAliases: ParsedAliases = { entries: [], problems: [] };

function readAliases(
  reader: DirectoryReader,
  names: readonly [string, string],
  origin: AliasOrigin,
  parse: (text: string, source: string) => ParsedAliases,
): ParsedAliases {
  const found = readTextOrIndex(reader, names, 'vfio_');
  if (found === null) return noAliases;
  if ('text' in found) return parse(found.text, found.path);
  const lines = found.records.map((record) => `alias ${record.key} ${record.value}`);
  const parsed = parseModulesAlias(lines.join('\n'), found.path);
  return { ...parsed, entries: parsed.entries.map((entry) => ({ ...entry, origin })) };
}

function readDependencies(reader: DirectoryReader): {
  readonly modules: ReadonlyMap<string, ModuleFile> | null;
  readonly problems: readonly AliasProblem[];
} {
  const found = readTextOrIndex(reader, moduleFiles.dependencies, '');
  if (found === null) return { modules: null, problems: [] };
  // The index keeps each module's line of modules.dep as its value.
  const text = 'text' in found ? found.text : found.records.map((record) => record.value).join('\n');
  return parseModulesDep(text, found.path);
}

function readBuiltin(reader: DirectoryReader): ReadonlyMap<string, string> | null {
  const found = readTextOrIndex(reader, moduleFiles.builtin, '');
  if (found === null) return null;
  if ('text' in found) return parseModulesBuiltin(found.text);
  return new Map(found.records.map((record) => [record.key, '']));
}

function readConfig(files: Files, path: string, unread: Unread[]): ModprobeConfig {
  const text = attempt(() => files.readText(path, maxBytes));
  if ('value' in text) return parseModprobeConfig(text.value, path);
  unread.push({ source: path, why: text.errno });
  return { ...noAliases, blacklist: [], installs: [] };
}

function attempt<T>(read: () => T): { readonly value: T } | { readonly errno: string } {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof FileError) return { errno: error.code };
    throw error;
  }
}
