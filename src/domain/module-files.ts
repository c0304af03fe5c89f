// Which modules a kernel has on disk or built in, and which of them belong to VFIO: modules.dep and modules.builtin. Nothing throws;
// a bad line is reported and skipped.
import { copyText, createCollector, splitText } from './alias-file.ts';
import type { AliasProblem } from './alias-file.ts';
import { moduleOfPath } from './module-name.ts';

/** A module that can be loaded. */
export interface ModuleFile {
  /** Relative to the kernel's module directory, or absolute. */
  readonly path: string;
  /** Modules it needs, underscore form. depmod lists indirect ones too, but none that is built in. */
  readonly needs: readonly string[];
}

/**
 * Parses modules.dep: `FILE: FILE...` lines, keyed by module in underscore form. The parts of `text` are not copied: take what is
 * to be kept and let the rest go.
 */
export function parseModulesDep(
  text: string,
  source: string,
): { readonly modules: ReadonlyMap<string, ModuleFile>; readonly problems: readonly AliasProblem[] } {
  const modules = new Map<string, ModuleFile>();
  const collector = createCollector(source, 'file');
  let line = 0;
  for (const content of splitText(text, '\n')) {
    line += 1;
    if (content === '' || content.startsWith('#')) continue;
    const colon = content.indexOf(':');
    const path = content.slice(0, Math.max(colon, 0));
    const module = moduleOfPath(path);
    if (module === '') {
      collector.report(line, content, 'not of the form "FILE: FILE..."');
      continue;
    }
    const needed = content.slice(colon + 1).split(/[ \t\r]+/);
    modules.set(module, { path, needs: needed.filter((file) => file !== '').map(moduleOfPath) });
  }
  return { modules, problems: collector.finish().problems };
}

/** Parses modules.builtin, one `kernel/PATH/NAME.ko` a line: the built-in modules, keyed by name, with their path in the tree. */
export function parseModulesBuiltin(text: string): ReadonlyMap<string, string> {
  const modules = new Map<string, string>();
  for (const content of splitText(text, '\n')) {
    const path = content.trim();
    const module = moduleOfPath(path);
    if (module !== '' && !path.startsWith('#')) modules.set(copyText(module), copyText(path));
  }
  return modules;
}

/** Whether a module's file lies where the kernel's tree keeps VFIO and its drivers. */
export function isInVfioTree(path: string): boolean {
  return /(?:^|\/)drivers\/vfio\//.test(path);
}

/**
 * The modules that depend on the VFIO core (`vfio`), directly or not, or lie in the kernel's drivers/vfio. The place counts because
 * modules.dep does not mention a core that is built in (Ubuntu's kernels: VFIO_PCI=y, MLX5_VFIO_PCI=m).
 */
export function findVfioModules(modules: ReadonlyMap<string, ModuleFile>): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const dependsOnVfio = (name: string): boolean => {
    if (name === 'vfio' || found.has(name)) return true;
    const file = modules.get(name);
    if (file === undefined || seen.has(name)) return false;
    seen.add(name);
    if (!isInVfioTree(file.path) && !file.needs.some(dependsOnVfio)) return false;
    found.add(copyText(name));
    return true;
  };
  for (const name of modules.keys()) dependsOnVfio(name);
  return found;
}
