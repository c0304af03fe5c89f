// The lab's own VFIO variant drivers, compiled against a kernel's headers: kbuild itself writes their vfio_pci: aliases.
// The result is a layer to lay over the kernel's modules: the new modules and depmod's index of both together.

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from './cache.ts';
import { run } from './command.ts';
import { depmod, labHeaders } from './kernels.ts';
import type { Kernel } from './kernels.ts';
import { LabError, say } from './lab-error.ts';
import type { Tools } from './tools.ts';

const SOURCES = fileURLToPath(new URL('../modules', import.meta.url));

/** Built variants of one kernel. */
export interface Variants {
  /** A root with `usr/lib/modules/RELEASE/updates/*.ko` and the index over these and the kernel's own modules. */
  readonly directory: string;
  /** The vfio_pci lines of `modules.alias` that kbuild's output gave rise to, as `PATTERN MODULE`. */
  readonly aliases: readonly string[];
}

/**
 * Builds the variants for `kernel`, once per kernel and source text. Nothing for 5.10: it has no vfio_pci_core, so no
 * variant can exist there.
 */
export async function labVariants(tools: Tools, kernel: Kernel): Promise<Variants | undefined> {
  if (kernel.name === '5.10') return undefined;
  const hash = sourceHash();
  const key = `variants/${kernel.release}-${hash.slice(0, 16)}`;
  const entry = await cacheEntry(key, async (staging) => {
    const { build } = await labHeaders(kernel);
    const work = join(staging, 'build');
    cpSync(SOURCES, work, { recursive: true });
    say(`building the variant drivers for ${kernel.release}`);
    const argv = ['make', '-C', build, `M=${work}`, 'CC=gcc', 'CONFIG_DEBUG_INFO_BTF_MODULES=', 'modules'];
    await run([...argv, `-j${availableParallelism()}`], { hint: 'the lab needs gcc and make' });
    const modules = readdirSync(work).filter((name) => name.endsWith('.ko'));
    if (modules.length === 0) throw new LabError(`kbuild left no module in ${work}.`);
    const aliases = await indexOver(tools, kernel, staging, modules);
    rmSync(work, { recursive: true });
    const guard = modules.map((name) => join('usr/lib/modules', kernel.release, 'updates', name));
    return { guard, facts: { aliases: aliases.join('\n') } };
  });
  return { directory: entry.directory, aliases: (entry.facts['aliases'] ?? '').split('\n') };
}

/** Puts `modules` into the layer and indexes a tree of hard links to the kernel's modules with them. */
async function indexOver(
  tools: Tools,
  kernel: Kernel,
  staging: string,
  modules: readonly string[],
): Promise<readonly string[]> {
  const layer = join(staging, 'usr/lib/modules', kernel.release);
  const merged = join(staging, 'merged');
  const mergedModules = join(merged, 'usr/lib/modules', kernel.release);
  mkdirSync(join(merged, 'usr/lib/modules'), { recursive: true });
  await run(['cp', '-al', join(kernel.directory, 'usr/lib/modules', kernel.release), mergedModules]);
  // Written anew by depmod: the links must not lead into the kernel's own index.
  const written = readdirSync(mergedModules).filter(
    (name) =>
      /^modules\.(alias|dep|symbols|softdep|devname|builtin)(\.|$)/.test(name) &&
      !/^modules\.builtin(\.modinfo)?$/.test(name),
  );
  for (const name of written) rmSync(join(mergedModules, name));
  mkdirSync(join(mergedModules, 'updates'));
  mkdirSync(join(layer, 'updates'), { recursive: true });
  for (const name of modules) cpSync(join(staging, 'build', name), join(mergedModules, 'updates', name));
  await depmod(tools, merged, kernel.release);
  for (const name of readdirSync(mergedModules)) {
    const isIndex = name.startsWith('modules.') && !existsSync(join(layer, name)) && written.includes(name);
    if (isIndex) renameSync(join(mergedModules, name), join(layer, name));
  }
  for (const name of modules) {
    renameSync(join(mergedModules, 'updates', name), join(layer, 'updates', name));
  }
  const aliases = modules.flatMap((name) => aliasesOf(join(layer, 'updates', name)));
  rmSync(merged, { recursive: true });
  return aliases;
}

/** The aliases inside a module file, from its .modinfo section as kbuild wrote it (NUL-separated key=value). */
function aliasesOf(path: string): readonly string[] {
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/\.ko$/, '');
  const found =
    readFileSync(path)
      .toString('latin1')
      .match(/(?<=\0)alias=[^\0]+/g) ?? [];
  return found.map((text) => `${text.slice('alias='.length)} ${name}`);
}

function sourceHash(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCES).sort()) {
    if (/\.[ch]$|^Makefile$/.test(name)) hash.update(`${name}\0`).update(readFileSync(join(SOURCES, name)));
  }
  return hash.digest('hex');
}
