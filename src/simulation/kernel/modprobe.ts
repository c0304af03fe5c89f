// modprobe of kmod, on the simulated machine: configuration from modprobe.d, aliases, dependencies, softdeps, and its habit of
// saying success when a blacklist kept it from doing anything.
import { FileError } from '../../runtime/ports.ts';
import { matchesGlob } from './glob.ts';
import type { Machine } from './machine.ts';
import { loadModule } from './modules.ts';
import type { Thread } from './scheduler.ts';

/** How a run ended. */
export interface ModprobeResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Configuration {
  readonly blacklist: ReadonlySet<string>;
  readonly install: ReadonlyMap<string, string>;
  readonly aliases: readonly (readonly [pattern: string, module: string])[];
}

const directories = [
  '/etc/modprobe.d',
  '/run/modprobe.d',
  '/usr/local/lib/modprobe.d',
  '/usr/lib/modprobe.d',
  '/lib/modprobe.d',
];

/** Runs `modprobe ARGS`. */
export function* modprobe(machine: Machine, args: readonly string[]): Thread<ModprobeResult> {
  const options = args.filter((argument) => argument.startsWith('-') && argument !== '--');
  const name = args.find((argument) => !argument.startsWith('-'));
  const has = (short: string, long: string): boolean => options.includes(short) || options.includes(long);
  if (name === undefined) return { code: 1, stdout: '', stderr: 'modprobe: ERROR: missing parameters.\n' };
  const configuration = readConfiguration(machine);
  const modules = findModules(machine, configuration, name);
  if (has('-R', '--resolve-alias')) return resolved(name, modules);
  const wanted =
    modules.byName && !has('-b', '--use-blacklist') ? modules.names : allowed(modules.names, configuration);
  if (modules.names.length === 0) {
    const quiet = has('-q', '--quiet') || has('-b', '--use-blacklist');
    const release = machine.spec.release;
    const stderr = quiet ? '' : `modprobe: FATAL: Module ${name} not found in directory /lib/modules/${release}\n`;
    return { code: 1, stdout: '', stderr };
  }
  for (const module of wanted) {
    const failure = yield* insert(machine, configuration, module);
    if (failure !== null) return failure;
  }
  return { code: 0, stdout: '', stderr: '' };
}

/** What udev does for a device that appears: everything that matches and is not blacklisted. */
export function* loadForAlias(machine: Machine, alias: string): Thread<void> {
  if (!hasCandidates(machine, alias)) return;
  yield* modprobe(machine, ['-b', '-q', alias]);
}

function hasCandidates(machine: Machine, alias: string): boolean {
  return machine.spec.modules.some(({ name, builtin, aliases }) => {
    if (builtin === true || machine.modules.has(name)) return false;
    return (aliases ?? []).some((pattern) => matchesGlob(pattern, alias));
  });
}

function* insert(machine: Machine, configuration: Configuration, name: string): Thread<ModprobeResult | null> {
  if (machine.modules.has(name)) return null;
  const spec = machine.spec.modules.find((module) => module.name === name);
  for (const dependency of spec?.depends ?? []) {
    const failure = yield* insert(machine, configuration, dependency);
    if (failure !== null) return failure;
  }
  const command = configuration.install.get(name);
  if (command !== undefined) {
    if (/^\/(usr\/)?bin\/true\b/.test(command)) return null;
    return failed(name, 'Invalid argument');
  }
  const errno = yield* loadModule(machine, name);
  if (errno !== null) return failed(name, sentences[errno] ?? errno);
  for (const module of spec?.post ?? []) {
    if (machine.spec.modules.some((other) => other.name === module)) yield* insert(machine, configuration, module);
  }
  return null;
}

const sentences: Record<string, string> = {
  EPERM: 'Operation not permitted',
  ENOKEY: 'Required key not available',
  EKEYREJECTED: 'Key was rejected by service',
  ENOEXEC: 'Exec format error',
  ENOENT: 'Unknown symbol in module, or unknown parameter (see dmesg)',
  EINVAL: 'Invalid argument',
};

const failed = (name: string, why: string): ModprobeResult => ({
  code: 1,
  stdout: '',
  stderr: `modprobe: ERROR: could not insert '${name}': ${why}\n`,
});

const allowed = (names: readonly string[], { blacklist }: Configuration): readonly string[] =>
  names.filter((name) => !blacklist.has(name));

const normal = (name: string): string => name.replaceAll('-', '_');

function resolved(name: string, modules: { readonly names: readonly string[] }): ModprobeResult {
  if (modules.names.length > 0)
    return { code: 0, stdout: modules.names.map((found) => `${found}\n`).join(''), stderr: '' };
  return { code: 1, stdout: '', stderr: `modprobe: FATAL: Module ${name} not found.\n` };
}

/** The first stage with any hit wins alone: modprobe.d aliases, module names, aliases of modules. */
function findModules(
  machine: Machine,
  configuration: Configuration,
  name: string,
): { readonly names: readonly string[]; readonly byName: boolean } {
  const wanted = normal(name);
  const configured = configuration.aliases.filter(([pattern]) => matchesGlob(normal(pattern), wanted));
  if (configured.length > 0) return { names: configured.map(([, module]) => normal(module)), byName: false };
  if (machine.spec.modules.some((module) => module.name === wanted)) return { names: [wanted], byName: true };
  const names = machine.spec.modules
    .filter(({ builtin, aliases }) => builtin !== true && (aliases ?? []).some((pattern) => matchesGlob(pattern, name)))
    .map((module) => module.name);
  return { names, byName: false };
}

function readConfiguration(machine: Machine): Configuration {
  const blacklist = new Set<string>();
  const install = new Map<string, string>();
  const aliases: (readonly [string, string])[] = [];
  for (const line of configurationLines(machine)) {
    const [word, first, ...rest] = line.trim().split(/\s+/);
    if (first === undefined) continue;
    if (word === 'blacklist') blacklist.add(normal(first));
    else if (word === 'install') install.set(normal(first), rest.join(' '));
    else if (word === 'alias' && rest[0] !== undefined) aliases.push([first, rest[0]]);
  }
  return { blacklist, install, aliases };
}

function configurationLines(machine: Machine): readonly string[] {
  const byName = new Map<string, string>();
  for (const directory of directories) {
    for (const name of listOrNone(machine, directory)) {
      if (name.endsWith('.conf') && !byName.has(name)) byName.set(name, `${directory}/${name}`);
    }
  }
  return [...byName.keys()].sort().flatMap((name) => machine.files.readText(byName.get(name) ?? '').split('\n'));
}

function listOrNone(machine: Machine, directory: string): readonly string[] {
  try {
    return machine.files.list(directory);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return [];
    throw error;
  }
}
