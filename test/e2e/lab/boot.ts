// Boots a guest of the lab and waits until its executor answers. A machine that dies before that is booted once more,
// aloud: what failed then was the emulation. A test is never repeated.

import { createHash } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { cacheEntry } from './cache.ts';
import { connectSocket, openChannel } from './channel.ts';
import { guestOf } from './guest.ts';
import type { Guest } from './guest.ts';
import { baseArchive, cpioArchive } from './initramfs.ts';
import type { ArchiveMember } from './initramfs.ts';
import { labKernel } from './kernels.ts';
import type { Kernel, KernelName } from './kernels.ts';
import { LabError, say } from './lab-error.ts';
import { machineStopped, newRunDirectory, startMachine } from './machine.ts';
import type { Forward, Machine } from './machine.ts';
import { guestPrograms } from './programs.ts';
import { openQmp } from './qmp.ts';
import { labTools } from './tools.ts';
import type { Tools } from './tools.ts';
import { topologyArguments } from './topology.ts';
import type { Topology } from './topology.ts';
import { labVariants } from './variants.ts';
import type { Variants } from './variants.ts';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const NODE = join(REPOSITORY, 'node_modules/.bin/node');
const READY_WITHIN_MS = 120_000;

/** A disk of the guest, on an NVMe controller of its own. */
export interface DiskOption {
  /** Letters and digits; also the device's id for `pciAddress`. */
  readonly name: string;
  /** Size in MiB when the image is made; default 64. */
  readonly mebibytes?: number;
  /** A raw file that outlives the guest; made when it is absent. Without it the disk goes with the guest. */
  readonly image?: string;
  /** Put an ext4 filesystem on it (if it has none) and mount it here before the guest is handed over. */
  readonly mount?: string;
}

export interface BootOptions {
  readonly kernel: KernelName;
  /** Default `full`. */
  readonly topology?: Topology;
  /** Default true; false is a machine without an IOMMU. */
  readonly iommu?: boolean;
  /** Lay the lab's variant drivers over the kernel's modules; default true (there are none for 5.10). */
  readonly variants?: boolean;
  /** Ordinary drivers to load at boot, as a node's udev would have; default those of the lab's devices. */
  readonly drivers?: readonly string[];
  readonly disks?: readonly DiskOption[];
  /** Services of the test machine the guest may reach at 10.0.2.100. */
  readonly forwards?: readonly Forward[];
  readonly hostname?: string;
  readonly memoryMebibytes?: number;
  /** More words for the kernel's command line. */
  readonly commandLine?: string;
  /** More QEMU arguments. */
  readonly qemu?: readonly string[];
  /** Absolute paths of the test machine that must be visible though they lie under /tmp or /run. */
  readonly visible?: readonly string[];
}

const DEFAULT_DRIVERS: Readonly<Record<Topology, readonly string[]>> = {
  small: ['virtio_net', 'e1000e'],
  full: ['virtio_net', 'e1000e', 'e1000', 'igb', 'nvme', 'vmxnet3'],
};

/** What a boot needs from the cache. */
interface Parts {
  readonly tools: Tools;
  readonly kernel: Kernel;
  readonly variants: Variants | undefined;
  readonly base: Buffer;
  readonly programs: ReadonlyMap<string, Buffer>;
}

/**
 * Boots a guest. Fetches and builds what is missing first. Throws LabError when it cannot be had or does not come up
 * twice; the error carries the console.
 */
export async function bootGuest(options: BootOptions): Promise<Guest> {
  const parts = await collectParts(options);
  try {
    return await bootOnce(options, parts);
  } catch (error) {
    say(`the guest with kernel ${parts.kernel.release} did not come up, booting it once more: ${String(error)}`);
    return await bootOnce(options, parts);
  }
}

async function collectParts(options: BootOptions): Promise<Parts> {
  if (!existsSync(NODE)) {
    throw new LabError(`${NODE} is missing.`, { hint: 'run npm ci: the guest runs the Node that it installs' });
  }
  const tools = await labTools();
  const kernel = await labKernel(tools, options.kernel);
  const variants = options.variants === false ? undefined : await labVariants(tools, kernel);
  const base = await initramfsBase(tools, kernel);
  return { tools, kernel, variants, base, programs: await guestPrograms() };
}

async function initramfsBase(tools: Tools, kernel: Kernel): Promise<Buffer> {
  const scripts = ['init.sh', 'boot.sh'].map((name) => fileURLToPath(new URL(`guest/${name}`, import.meta.url)));
  const hash = createHash('sha256').update(tools.qemuVersion);
  for (const path of [...scripts, fileURLToPath(new URL('initramfs.ts', import.meta.url))])
    hash.update(readFileSync(path));
  const entry = await cacheEntry(`initramfs/${kernel.release}-${hash.digest('hex').slice(0, 16)}`, async (staging) => {
    writeFileSync(join(staging, 'base.cpio'), await baseArchive(tools, kernel, scripts));
    return { guard: ['base.cpio'] };
  });
  return readFileSync(join(entry.directory, 'base.cpio'));
}

async function bootOnce(options: BootOptions, parts: Parts): Promise<Guest> {
  const { tools, kernel, variants } = parts;
  const runDirectory = newRunDirectory();
  const topology = options.topology ?? 'full';
  const disks = (options.disks ?? []).map((disk) => ({ name: disk.name, image: diskImage(disk, runDirectory) }));
  const nvmeImage = blankImage(join(runDirectory, 'nvme.raw'), 64);
  const started = performance.now();
  const machine = startMachine({
    tools,
    runDirectory,
    kernelImage: kernel.image,
    commandLine: commandLine(options),
    initramfs: Buffer.concat([parts.base, settings(options, parts, topology)]),
    topology: [
      ...topologyArguments({
        topology,
        iommu: options.iommu ?? true,
        memoryMebibytes: options.memoryMebibytes ?? 2048,
        nvmeImage,
        disks,
      }),
      ...(options.qemu ?? []),
    ],
    forwards: options.forwards ?? [],
  });
  try {
    const guest = await handOver(machine, kernel, variants, started);
    await mountDisks(guest, options.disks ?? []);
    return guest;
  } catch (error) {
    await Promise.race([machine.stopped, sleep(500, undefined, { ref: false })]);
    const diedByItself = !machine.running();
    await machine.kill();
    throw diedByItself ? machineStopped(machine, await machine.stopped) : error;
  }
}

async function handOver(
  machine: Machine,
  kernel: Kernel,
  variants: Variants | undefined,
  started: number,
): Promise<Guest> {
  const stopped = machine.stopped.then((last) => Promise.reject(machineStopped(machine, last)));
  stopped.catch(() => undefined);
  const late = sleep(READY_WITHIN_MS, undefined, { ref: false }).then(() =>
    Promise.reject(new LabError(`The guest was not ready in ${READY_WITHIN_MS} ms.`, { detail: machine.console() })),
  );
  late.catch(() => undefined);
  const channel = openChannel(await Promise.race([connectSocket(machine.executorSocket), stopped]));
  const qmp = await Promise.race([connectSocket(machine.qmpSocket).then(openQmp), stopped]);
  await Promise.race([channel.ready, stopped, late]);
  return guestOf({
    kernel: kernel.name,
    release: kernel.release,
    bootSeconds: (performance.now() - started) / 1000,
    variantAliases: variants?.aliases ?? [],
    machine,
    channel,
    qmp,
  });
}

/** mitigations=off and the like only save emulated instructions; intel_iommu=on is what distributions want said. */
function commandLine(options: BootOptions): string {
  const words = ['console=ttyS0', 'quiet', 'panic=-1', 'intel_iommu=on', 'mitigations=off', 'tsc=reliable'];
  words.push('no_timer_check', 'nowatchdog', 'audit=0', 'apparmor=0', 'cryptomgr.notests', 'random.trust_cpu=on');
  return [...words, options.commandLine ?? ''].join(' ').trim();
}

/** The archive of this boot: settings for the scripts, and the executor as plain JavaScript. */
function settings(options: BootOptions, parts: Parts, topology: Topology): Buffer {
  const { tools, kernel, variants } = parts;
  const roots = [...(variants === undefined ? [] : [variants.directory]), kernel.directory];
  const layers = roots.map((root) => join(root, 'usr/lib/modules', kernel.release));
  const hidden = [REPOSITORY, ...(options.visible ?? [])].filter((path) => /^\/(tmp|run|dev)\//.test(path));
  const drivers = options.drivers ?? DEFAULT_DRIVERS[topology];
  const lines = [
    `RELEASE=${quoted(kernel.release)}`,
    `LAYERS=${quoted(layers.join(' '))}`,
    `TOOLS=${quoted(tools.directory)}`,
    `VISIBLE=${quoted(hidden.join(' '))}`,
    `DRIVERS=${quoted(drivers.join(' '))}`,
    `NAME=${quoted(options.hostname ?? 'lab')}`,
    `NODE=${quoted(NODE)}`,
  ];
  const source = readFileSync(fileURLToPath(new URL('guest/executor.ts', import.meta.url)), 'utf8');
  const members: ArchiveMember[] = [
    { kind: 'file', path: 'lab/settings', content: Buffer.from(`${lines.join('\n')}\n`) },
    { kind: 'file', path: 'lab/executor.mjs', content: Buffer.from(transformSync(source, { loader: 'ts' }).code) },
  ];
  for (const [name, content] of parts.programs) {
    members.push({ kind: 'file', path: `lab/${name}`, content, executable: true });
  }
  return cpioArchive(members);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function diskImage(disk: DiskOption, runDirectory: string): string {
  const path = disk.image ?? join(runDirectory, `${disk.name}.raw`);
  return existsSync(path) ? path : blankImage(path, disk.mebibytes ?? 64);
}

/** A sparse raw image of zeros. */
function blankImage(path: string, mebibytes: number): string {
  const file = openSync(path, 'w');
  ftruncateSync(file, mebibytes * 1024 * 1024);
  closeSync(file);
  return path;
}

async function mountDisks(guest: Guest, disks: readonly DiskOption[]): Promise<void> {
  if (!disks.some((disk) => disk.mount !== undefined)) return;
  await guest.run('modprobe nvme && modprobe ext4');
  for (const { name, mount } of disks) {
    if (mount === undefined) continue;
    const address = await guest.pciAddress(name);
    const script = [
      `for i in $(seq 100); do d=$(ls -d /sys/bus/pci/devices/${address}/nvme/nvme*/nvme*n1 2>/dev/null) && break; sleep 0.1; done`,
      // With native multipath the controller lists a path (nvme0c1n1); the disk is the subsystem's (nvme0n1).
      `d=/dev/$(basename "$d" | sed 's/c[0-9]*n/n/')`,
      'for i in $(seq 100); do [ -b $d ] && break; sleep 0.1; done',
      'blkid -p $d | grep -q ext4 || mkfs.ext4 -q $d',
      `mkdir -p ${quoted(mount)} && mount -t ext4 $d ${quoted(mount)}`,
    ].join('\n');
    await guest.run(script);
  }
}
