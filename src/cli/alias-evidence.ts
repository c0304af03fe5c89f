// What the choice of a driver rests on: the host's aliases and modules, or a single modules.alias file that somebody brought.
import { parseModulesAlias, type AliasProblem } from '../domain/alias-file.ts';
import { buildAliasTable, type AliasTable } from '../domain/alias-table.ts';
import { genericDrivers } from '../domain/bus-catalog.ts';
import type { Unread } from '../domain/device.ts';
import type { ModuleCatalog, ModuleFacts } from '../domain/driver-choice.ts';
import { createAliasSourceReader, type AliasSources } from '../host/alias-sources.ts';
import { buildModuleCatalog } from '../host/module-catalog.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import { CommandFailed, exitCodes } from './exit-codes.ts';
import type { OpenHost } from './open-host.ts';

export interface AliasEvidence {
  readonly table: AliasTable;
  readonly catalog: ModuleCatalog;
  /** Lines that say nothing usable. */
  readonly problems: readonly AliasProblem[];
  readonly unread: readonly Unread[];
}

/** Reads the host's. */
export function readHostAliases(files: Files, host: OpenHost): AliasEvidence {
  const sources = createAliasSourceReader(files, host.paths, host.release).read();
  const unread: Unread[] = [...sources.unread];
  const catalog = buildModuleCatalog(files, host.paths, sources, { modules: [], mayLoad: true }, (entry) =>
    unread.push(entry),
  );
  const known = host.paths.kind === 'copy' ? assumeUnlistedModules(catalog, sources) : catalog;
  return { table: sources.table, catalog: known, problems: sources.problems, unread };
}

/**
 * A file brought by hand says nothing about which modules there are: those it names count as VFIO's and as installed, and so do the
 * buses' generic ones. No blacklist is known.
 */
export function readAliasFile(files: Files, path: string): AliasEvidence {
  let text: string;
  try {
    text = files.readText(path, 64 * 1024 * 1024);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new CommandFailed(exitCodes.usage, `--aliases ${path} cannot be read: ${error.code}`, { cause: error });
  }
  const { entries, problems } = parseModulesAlias(text, path);
  const names = new Set([...entries.map((entry) => entry.module), ...genericModules()]);
  const modules = new Map([...names].map((name) => [name, assumed(name)]));
  return {
    table: buildAliasTable(entries),
    catalog: { modules, moduleOfDriver: new Map(), mayLoad: true },
    problems,
    unread: [],
  };
}

/**
 * A copy often lacks modules.dep or modules.builtin. Then a module that is in neither is not missing but unknown, and the answer
 * is the more useful when the buses' generic modules and those that aliases name are taken to be there.
 */
export function assumeUnlistedModules(
  catalog: ModuleCatalog,
  sources: Pick<AliasSources, 'available' | 'builtin'>,
): ModuleCatalog {
  if (sources.available !== null && sources.builtin !== null) return catalog;
  const modules = new Map(catalog.modules);
  for (const [name, facts] of modules)
    if (facts.state === 'Missing') modules.set(name, { ...facts, state: 'Available', isVfio: true });
  return { ...catalog, modules };
}

function genericModules(): readonly string[] {
  return Object.values(genericDrivers).map((generic) => generic.module);
}

function assumed(name: string): ModuleFacts {
  return { name, state: 'Available', blacklistedBy: null, isVfio: true, drivers: [] };
}
