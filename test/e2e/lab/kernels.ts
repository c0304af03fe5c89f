// Debian's kernels for the guests: image and modules unpacked as a root to lay over the guest's, modules uncompressed,
// the kernel itself extracted from its compressed image (emulating the decompressor costs seconds), depmod run once.

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheEntry, resolvedOnce } from './cache.ts';
import { run } from './command.ts';
import {
  BOOKWORM,
  BULLSEYE,
  dependencies,
  directoryName,
  newestPackage,
  openArchive,
  unpackPackages,
} from './debian.ts';
import type { Archive, PackageRecord, Release } from './debian.ts';
import { LabError, say } from './lab-error.ts';
import { WITHOUT_SOURCE_KERNEL, cachedSourceKernel, headersOf } from './source-kernel.ts';
import { toolCommand } from './tools.ts';
import type { Tools } from './tools.ts';

/** The kernels of the lab, by the series a person speaks of; `7.x` is the lab's own (source-kernel.ts). */
export type KernelName = DebianKernelName | '7.x';
type DebianKernelName = '5.10' | '6.1' | '6.12';

const SOURCES: Readonly<Record<DebianKernelName, { readonly archive: Release; readonly suites: readonly string[] }>> = {
  '5.10': { archive: BULLSEYE, suites: ['bullseye', 'bullseye-security'] },
  '6.1': { archive: BOOKWORM, suites: ['bookworm', 'bookworm-updates', 'bookworm-security'] },
  '6.12': { archive: BOOKWORM, suites: ['bookworm-backports'] },
};

/** An unpacked kernel. */
export interface Kernel {
  readonly name: KernelName;
  /** What `uname -r` says in the guest. */
  readonly release: string;
  /** Debian's version of the package. */
  readonly version: string;
  /** A root with `boot/` and `usr/lib/modules/RELEASE`. */
  readonly directory: string;
  /** The uncompressed kernel, which QEMU starts by its PVH entry. */
  readonly image: string;
}

/** Headers with kbuild, ready for `make -C BUILD M=...`. */
export interface KernelHeaders {
  readonly build: string;
}

interface Resolved {
  readonly release: string;
  readonly version: string;
  readonly image: string;
  readonly headers: readonly string[];
}

function entryKey({ version }: Resolved): string {
  return `kernels/${directoryName(version)}`;
}

async function resolve(name: DebianKernelName): Promise<Resolved> {
  return resolvedOnce<Resolved>(`kernel-${name}`, entryKey, async () => {
    const { archive: source, suites } = SOURCES[name];
    const archive = await openArchive(source);
    const meta = await newestPackage(archive, 'linux-image-amd64', suites);
    const image =
      meta === undefined ? undefined : dependencies(meta).find((one) => one.name.startsWith('linux-image-'));
    const version = meta?.['Version'];
    if (image === undefined || version === undefined || !version.startsWith(`${name}.`)) {
      throw new LabError(`No kernel ${name} is offered by ${suites.join(', ')} (found: ${version ?? 'none'}).`, {
        hint: 'check that the mirror of this machine still carries these suites',
      });
    }
    const release = image.name.replace('linux-image-', '');
    const headers = await headerPackages(archive, release, suites);
    return { release, version, image: `${image.name}=${version}`, headers };
  });
}

/** The three header packages of `release`: for this flavour, common to all, and kbuild's own programs. */
async function headerPackages(
  archive: Archive,
  release: string,
  suites: readonly string[],
): Promise<readonly string[]> {
  const flavour = await newestPackage(archive, `linux-headers-${release}`, suites);
  if (flavour === undefined) throw new LabError(`linux-headers-${release} is not offered beside its kernel.`);
  const needed = dependencies(flavour).filter((one) => /^linux-(headers|kbuild)-/.test(one.name));
  const records: PackageRecord[] = [flavour];
  for (const { name } of needed) {
    const record = await newestPackage(archive, name, suites);
    if (record === undefined) throw new LabError(`${name}, which linux-headers-${release} needs, is not offered.`);
    records.push(record);
  }
  return records.map((record) => `${record['Package'] ?? ''}=${record['Version'] ?? ''}`);
}

/** Finds the kernel in the cache, or downloads, unpacks and indexes it first. */
export async function labKernel(tools: Tools, name: KernelName): Promise<Kernel> {
  if (name === '7.x') return ownKernel();
  const resolved = await resolve(name);
  const { release, version } = resolved;
  const entry = await cacheEntry(entryKey(resolved), async (staging) => {
    await unpackPackages(await openArchive(SOURCES[name].archive), [resolved.image], staging);
    mergeUsr(staging);
    await uncompressModules(tools, join(staging, 'usr/lib/modules', release));
    await extractImage(tools, join(staging, 'boot', `vmlinuz-${release}`), join(staging, 'boot/vmlinux'));
    say(`indexing the modules of ${release}`);
    await depmod(tools, staging, release);
    return { guard: ['boot/vmlinux', `usr/lib/modules/${release}/modules.dep`], facts: { release, version } };
  });
  return { name, release, version, directory: entry.directory, image: join(entry.directory, 'boot/vmlinux') };
}

function ownKernel(): Kernel {
  const own = cachedSourceKernel();
  if (own === undefined) throw new LabError(`${WITHOUT_SOURCE_KERNEL}.`);
  return { ...own, name: '7.x', image: join(own.directory, 'boot/vmlinux') };
}

/** Finds the headers of `kernel` in the cache, or downloads and unpacks them first; they must be of the same version. */
export async function labHeaders(kernel: Kernel): Promise<KernelHeaders> {
  const { name } = kernel;
  const folder = headersOf(kernel.release);
  if (name === '7.x') return { build: join(kernel.directory, folder) };
  const resolved = await resolve(name);
  const entry = await cacheEntry(`headers/${directoryName(kernel.version)}`, async (staging, final) => {
    await unpackPackages(await openArchive(SOURCES[name].archive), resolved.headers, staging);
    const makefile = join(staging, folder, 'Makefile');
    writeFileSync(makefile, readFileSync(makefile, 'utf8').replaceAll('/usr/src/', `${final}/usr/src/`));
    return { guard: [`${folder}/Makefile`, `${folder}/Module.symvers`] };
  });
  return { build: join(entry.directory, folder) };
}

/** depmod for `root/lib/modules/RELEASE`, with kmod of the tools. */
export async function depmod(tools: Tools, root: string, release: string): Promise<void> {
  const bridge = join(root, 'lib');
  const bridged = !existsSync(bridge);
  if (bridged) await run(['ln', '-s', 'usr/lib', bridge]);
  await run([...toolCommand(tools, 'bin/kmod', 'depmod'), '-b', root, release]);
  if (bridged) rmSync(bridge);
}

/** Debian's packages of these releases still write to /lib; the guest's root has it as a link to /usr/lib. */
function mergeUsr(root: string): void {
  if (!existsSync(join(root, 'lib'))) return;
  mkdirSync(join(root, 'usr/lib'), { recursive: true });
  for (const name of readdirSync(join(root, 'lib'))) renameSync(join(root, 'lib', name), join(root, 'usr/lib', name));
  rmSync(join(root, 'lib'), { recursive: true });
  rmSync(join(root, 'usr/share'), { recursive: true, force: true });
}

export async function uncompressModules(tools: Tools, directory: string): Promise<void> {
  const compressed = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ko.xz'),
  );
  if (compressed.length === 0) return;
  say(`uncompressing ${compressed.length} modules`);
  const xz = [...toolCommand(tools, 'usr/bin/xz', 'xz'), '--decompress', '--threads=0'];
  for (let start = 0; start < compressed.length; start += 200) {
    await run([...xz, ...compressed.slice(start, start + 200)], { cwd: directory });
  }
}

/**
 * Writes the kernel inside a bzImage to `target`. The boot protocol's header (Documentation/arch/x86/boot.rst) tells
 * where the compressed payload lies: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.
 */
export async function extractImage(tools: Tools, bzImage: string, target: string): Promise<void> {
  const image = readFileSync(bzImage);
  const setupSectors = image.readUInt8(0x1f1) === 0 ? 4 : image.readUInt8(0x1f1);
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  // The last four bytes are the size of the uncompressed kernel, appended by the kernel's build.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4);
  const magic = payload.readUInt32BE(0);
  const format = magic === 0xfd377a58 ? 'xz' : magic === 0x28b52ffd ? 'zstd' : undefined;
  if (format === undefined) throw new LabError(`${bzImage} is compressed in a way the lab does not know.`);
  const packed = `${target}.${format}`;
  writeFileSync(packed, payload);
  // The kernel's build may use a window larger than zstd accepts by default.
  const tuning = format === 'zstd' ? ['--long=31'] : [];
  const argv = [...toolCommand(tools, `usr/bin/${format}`, format), '-d', '-k', ...tuning, packed];
  await run(argv);
  rmSync(packed);
}
