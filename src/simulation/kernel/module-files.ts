// /lib/modules/RELEASE as depmod writes it, from the modules of a machine (modules.dep(5)).
import type { Entry } from '../memory/entry.ts';
import type { KernelSpec, ModuleSpec } from './spec.ts';

/** The files that tell user space of modules, by path. */
export function moduleFiles(spec: KernelSpec): Record<string, Entry> {
  const directory = `/lib/modules/${spec.release}`;
  const loadable = spec.modules.filter(({ builtin }) => builtin !== true);
  const builtin = spec.modules.filter((module) => module.builtin === true);
  return {
    [`${directory}/modules.alias`]: aliasText(loadable),
    [`${directory}/modules.dep`]: loadable.map((module) => dependencyLine(module, spec.modules)).join(''),
    [`${directory}/modules.builtin`]: builtin.map((module) => `${fileOf(module)}\n`).join(''),
    [`${directory}/modules.builtin.modinfo`]: builtin.map((module) => builtinInfo(module, spec.release)).join(''),
    [`${directory}/modules.softdep`]: softdepText(loadable),
  };
}

const fileOf = (module: ModuleSpec): string => module.file ?? `kernel/drivers/${module.name}.ko`;

function aliasText(modules: readonly ModuleSpec[]): string {
  const lines = modules.flatMap(({ name, aliases }) => (aliases ?? []).map((pattern) => `alias ${pattern} ${name}\n`));
  return `# Aliases extracted from modules themselves.\n${lines.join('')}`;
}

/** Direct dependencies first, then theirs: all that must be loaded, nearest first. */
function dependencyLine(module: ModuleSpec, all: readonly ModuleSpec[]): string {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    const found = all.find((other) => other.name === name);
    if (found === undefined || found.builtin === true || seen.has(name)) return;
    seen.add(name);
    for (const next of found.depends ?? []) visit(next);
  };
  for (const name of module.depends ?? []) visit(name);
  const files = [...seen].map((name) => fileOf(all.find((other) => other.name === name) ?? { name }));
  return `${fileOf(module)}:${files.map((file) => ` ${file}`).join('')}\n`;
}

/** NUL-separated `module.key=value`; device aliases of built-in drivers appear here from 6.18 on. */
function builtinInfo(module: ModuleSpec, release: string): string {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const hasAliases = major > 6 || (major === 6 && minor >= 18);
  const aliases = hasAliases ? (module.aliases ?? []) : [];
  return [
    `${module.name}.file=${fileOf(module).replace(/\.ko$/, '')}`,
    `${module.name}.license=GPL`,
    ...aliases.map((pattern) => `${module.name}.alias=${pattern}`),
  ]
    .map((field) => `${field}\0`)
    .join('');
}

function softdepText(modules: readonly ModuleSpec[]): string {
  const lines = modules.flatMap(({ name, post }) =>
    post === undefined ? [] : [`softdep ${name} post: ${post.join(' ')}\n`],
  );
  return `# Soft dependencies extracted from modules themselves.\n${lines.join('')}`;
}
