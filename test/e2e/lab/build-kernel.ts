// Puts the lab's 7.x kernel (source-kernel.ts) into the cache: node test/e2e/lab/build-kernel.ts
// Never run by a test or by CI. Downloads 300 MB and compiles for about half a minute; needs gcc, make and binutils, as the lab does anyway.

import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { cacheEntry } from './cache.ts';
import { run } from './command.ts';
import { dependencies, newestPackage, openArchive, unpackClosure, unpackPackages } from './debian.ts';
import type { Release } from './debian.ts';
import { depmod, extractImage, uncompressModules } from './kernels.ts';
import { LabError, say } from './lab-error.ts';
import { OWN_FILES, headersOf, sourceKernelKey } from './source-kernel.ts';
import { labTools, toolCommand } from './tools.ts';
import type { Tools } from './tools.ts';

const TRIXIE: Release = { name: 'trixie', suites: ['trixie', 'trixie-backports'] };
const SUITE = 'trixie-backports';
/** An option of the compiler that Debian's kernel is built with and older ones do not have; kbuild has another one for these. */
const NEWER_COMPILER = 'CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=y\n';

interface Found {
  readonly version: string;
  /** With the flavour, as `uname -r` says it. */
  readonly release: string;
  /** Without it, as in the names of the packages that all flavours share. */
  readonly common: string;
  /** The package with the source, `linux-source-X.Y`. */
  readonly source: string;
}

/** The newest kernel that backports offer, and the source of the same version. */
async function newestKernel(): Promise<Found> {
  const archive = await openArchive(TRIXIE);
  const nameIn = async (meta: string, prefix: string): Promise<readonly [string, string]> => {
    const record = await newestPackage(archive, meta, [SUITE]);
    const found =
      record === undefined ? undefined : dependencies(record).find(({ name }) => name.startsWith(prefix))?.name;
    if (record === undefined || found === undefined) throw new LabError(`${SUITE} offers no ${meta}.`);
    return [found, record['Version'] ?? ''];
  };
  const [image, version] = await nameIn('linux-image-amd64', 'linux-image-');
  const [source, ofSource] = await nameIn('linux-source', 'linux-source-');
  if (version !== ofSource)
    throw new LabError(`${SUITE} has the kernel as ${version} and its source as ${ofSource}.`, {
      hint: 'the mirror is being brought up to date; try again later',
    });
  const release = image.replace('linux-image-', '');
  return { version, release, common: release.replace(/-amd64$/, ''), source };
}

/** Debian's kernel, its modules plain, below `root`. */
async function unpackKernel(tools: Tools, { version, release }: Found, root: string): Promise<void> {
  const packages = ['linux-binary', 'linux-modules', 'linux-base'].map((name) => `${name}-${release}=${version}`);
  await unpackPackages(await openArchive(TRIXIE), [...packages, `linux-libc-dev=${version}`], root);
  const modules = join(root, 'usr/lib/modules', release);
  await uncompressModules(tools, modules);
  mkdirSync(join(root, 'boot'));
  await extractImage(tools, join(modules, 'vmlinuz'), join(root, 'boot/vmlinux'));
}

/** Headers and kbuild below `root`, switched on what `kernel/config` says. */
async function unpackHeaders({ version, release, common }: Found, root: string): Promise<void> {
  const archive = await openArchive(TRIXIE);
  const names = [`linux-headers-${release}`, `linux-headers-${common}-common`, `linux-kbuild-${common}`];
  const packages = names.map((name) => `${name}=${version}`);
  await unpackPackages(archive, packages, root);
  // Its programs want the C library of their own release.
  await unpackClosure(
    archive,
    'trixie',
    ['libc6', 'libelf1t64', 'zlib1g'],
    join(root, 'usr/lib/linux-kbuild-libraries'),
  );
  const include = join(root, headersOf(release), 'include');
  const known = readFileSync(join(include, 'config/auto.conf'), 'utf8');
  const switches = readFileSync(OWN_FILES[0] ?? '', 'utf8').match(/^CONFIG_\w+=[ym]$/gm) ?? [];
  const own = switches.filter((line) => !known.split('\n').includes(line));
  const defines = own.map((line) => `#define ${line.replace('=y', ' 1').replace('=m', '_MODULE 1')}`);
  writeFileSync(join(include, 'config/auto.conf'), `${known.replace(NEWER_COMPILER, '')}${own.join('\n')}\n`);
  const macros = readFileSync(join(include, 'generated/autoconf.h'), 'utf8');
  writeFileSync(join(include, 'generated/autoconf.h'), `${macros}${defines.join('\n')}\n`);
}

/** Makes headers that lie at `root` usable from `final`, where they are or will be. */
function settleHeaders({ release, common }: Found, root: string, final: string): void {
  const kbuild = `usr/lib/linux-kbuild-${common}`;
  const libraries = join(final, 'usr/lib/linux-kbuild-libraries/usr/lib/x86_64-linux-gnu');
  const programs = {
    'scripts/basic/fixdep': 'scripts/basic/fixdep',
    'scripts/mod/modpost': 'scripts/mod/modpost.real-lsb-64',
    'tools/objtool/objtool': 'tools/objtool/objtool.real-x86',
  };
  for (const [name, program] of Object.entries(programs)) {
    const real = join(kbuild, `${program}.program`);
    if (!readdirSync(join(root, real, '..')).includes(basename(real)))
      renameSync(join(root, kbuild, program), join(root, real));
    const words = `${libraries}/ld-linux-x86-64.so.2 --library-path ${libraries} ${join(final, real)}`;
    writeFileSync(join(root, kbuild, name), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  }
  const makefile = `KBUILD_OUTPUT=${final}/${headersOf(release)}\ninclude ${final}/${headersOf(`${common}-common`)}/Makefile\n`;
  writeFileSync(join(root, headersOf(release), 'Makefile'), makefile);
}

/** Compiles iommufd and VFIO, and puts them in the place of Debian's VFIO; their symbols become known to the headers. */
async function buildModules(tools: Tools, { version, release, source }: Found, root: string): Promise<void> {
  const work = join(root, 'work');
  await unpackPackages(await openArchive(TRIXIE), [`${source}=${version}`], work);
  const xz = toolCommand(tools, 'usr/bin/xz', 'xz').join(' ');
  const parts = ['drivers/iommu', 'drivers/vfio', 'lib/interval_tree.c'].map((path) => `${source}/${path}`);
  const archive = join(work, `usr/src/${source}.tar.xz`);
  await run(['tar', '-x', '-C', work, '-f', archive, `--use-compress-program=${xz}`, ...parts]);
  const unpacked = (path: string): string => join(work, source, path);
  const modules = join(work, 'modules');
  cpSync(unpacked('drivers/iommu'), join(modules, 'iommu'), { recursive: true });
  cpSync(unpacked('drivers/vfio'), join(modules, 'vfio'), { recursive: true });
  for (const path of OWN_FILES) copyFileSync(path, join(modules, basename(path)));
  adaptSources(modules, readFileSync(unpacked('lib/interval_tree.c'), 'utf8'));
  say(`compiling iommufd and VFIO of ${release}`);
  const headers = join(root, headersOf(release));
  await run([
    'make',
    '-s',
    '-C',
    headers,
    `M=${modules}`,
    'CC=gcc',
    'CONFIG_DEBUG_INFO_BTF_MODULES=',
    `-j${availableParallelism()}`,
    'modules',
  ]);
  installModules(modules, join(root, 'usr/lib/modules', release, 'kernel/drivers'));
  const symbols = readFileSync(join(modules, 'Module.symvers'), 'utf8');
  const nameOf = (line: string): string => line.split('\t')[1] ?? '';
  const ours = new Set(symbols.split('\n').map(nameOf));
  const theirs = readFileSync(join(headers, 'Module.symvers'), 'utf8').split('\n');
  writeFileSync(
    join(headers, 'Module.symvers'),
    `${theirs.filter((line) => line !== '' && !ours.has(nameOf(line))).join('\n')}\n${symbols}`,
  );
  rmSync(work, { recursive: true });
}

/** What is built into a kernel with iommufd becomes part of its module here: the walk over gaps of an interval tree, iommufd's driver side. */
function adaptSources(modules: string, intervalTree: string): void {
  const iommufd = join(modules, 'iommu/iommufd');
  writeFileSync(join(iommufd, 'interval_tree.c'), intervalTree.replaceAll(/^EXPORT_SYMBOL.*$/gm, ''));
  const makefile = readFileSync(join(iommufd, 'Makefile'), 'utf8')
    .replace('iommufd-y := \\', 'iommufd-y := interval_tree.o \\')
    .replace('obj-$(CONFIG_IOMMUFD_DRIVER_CORE)', 'obj-m')
    .replace(/^.*iova_bitmap\.o$/m, '');
  writeFileSync(join(iommufd, 'Makefile'), makefile);
  const vfio = join(modules, 'vfio/Makefile');
  writeFileSync(vfio, readFileSync(vfio, 'utf8').replaceAll(/^.*(platform|mdev|fsl-mc|cdx|spapr).*$/gm, ''));
}

/** Debian's other modules on VFIO (mediated devices) would not fit the new ones: they go. */
function installModules(modules: string, drivers: string): void {
  rmSync(join(drivers, 'vfio'), { recursive: true });
  for (const path of readdirSync(modules, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ko')) continue;
    mkdirSync(join(drivers, path, '..'), { recursive: true });
    copyFileSync(join(modules, path), join(drivers, path));
  }
}

async function main(): Promise<void> {
  const found = await newestKernel();
  const { release, version } = found;
  const tools = await labTools();
  const entry = await cacheEntry(sourceKernelKey(version), async (staging, final) => {
    await unpackKernel(tools, found, staging);
    await unpackHeaders(found, staging);
    settleHeaders(found, staging, staging);
    await buildModules(tools, found, staging);
    settleHeaders(found, staging, final);
    await depmod(tools, staging, release);
    const modules = `usr/lib/modules/${release}`;
    const guard = ['boot/vmlinux', `${modules}/modules.dep`, `${modules}/kernel/drivers/vfio/vfio.ko`];
    return { guard, facts: { release, version } };
  });
  process.stdout.write(`${release} (${version}): ${entry.directory}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
