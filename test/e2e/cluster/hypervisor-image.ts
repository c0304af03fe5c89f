// An image with a hypervisor: the lab's own QEMU, the libraries that its loader asks for, and busybox for a shell. Nothing of VFIO and nothing
// of the operator is in it: what a pod of it can do with a device, it can do by what kubelet gave it.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from '../lab/cache.ts';
import { run } from '../lab/command.ts';
import { LabError, say } from '../lab/lab-error.ts';
import { labTools, loaderArguments } from '../lab/tools.ts';
import type { Tools } from '../lab/tools.ts';
import { archiveOf, imageOf } from './images.ts';
import type { TarMember } from './images.ts';

/** `qemu-system-x86_64`, a shell and few applets, all in /bin. */
export const HYPERVISOR_IMAGE = 'lab.local/hypervisor:1';

const APPLETS = ['sh', 'cat', 'echo', 'grep', 'ls', 'mkfifo', 'printf', 'sed', 'sleep', 'tr'];
/** What a q35 machine without a display loads before its first instruction. */
const FIRMWARE = ['seabios/bios-256k.bin', 'qemu/kvmvapic.bin', 'qemu/pvh.bin', 'qemu/linuxboot_dma.bin'];
/** Debian's loader looks here without being told. */
const LIBRARIES = 'lib/x86_64-linux-gnu';

/** Archive with the image, made once for a version of QEMU. */
export async function hypervisorImage(): Promise<string> {
  const tools = await labTools();
  const hash = createHash('sha256').update(tools.qemuVersion);
  for (const source of ['hypervisor-image.ts', 'images.ts'])
    hash.update(readFileSync(fileURLToPath(new URL(source, import.meta.url))));
  const entry = await cacheEntry(`images/hypervisor-${hash.digest('hex').slice(0, 16)}`, async (staging) => {
    say('packing QEMU into an image');
    const image = imageOf(HYPERVISOR_IMAGE, await members(tools), ['/bin/sh']);
    writeFileSync(join(staging, 'image.tar'), archiveOf([image]));
    return { guard: ['image.tar'] };
  });
  return join(entry.directory, 'image.tar');
}

async function members({ directory }: Tools): Promise<readonly TarMember[]> {
  const [loader = '', ...search] = loaderArguments(directory);
  const qemu = join(directory, 'usr/bin/qemu-system-x86_64');
  const listed = await run([loader, ...search, '--list', qemu]);
  const libraries = [...listed.matchAll(/^\s+(\S+) => (\/\S+) \(/gm)].map(([, name = '', path = '']) => ({
    name,
    path,
  }));
  if (libraries.length === 0) throw new LabError('The loader names no library of QEMU.', { detail: listed });
  const file = (path: string, from: string): TarMember => ({
    kind: 'file',
    path,
    content: readFileSync(from),
    mode: 0o755,
  });
  const folders = ['bin', 'dev', 'etc', 'lib', LIBRARIES, 'lib64', 'proc', 'sys', 'usr', 'usr/share', 'usr/share/qemu'];
  return [
    ...folders.map((path): TarMember => ({ kind: 'directory', path })),
    { kind: 'directory', path: 'tmp', mode: 0o1777 },
    file('bin/busybox', join(directory, 'bin/busybox')),
    ...APPLETS.map((name): TarMember => ({ kind: 'link', path: `bin/${name}`, target: 'busybox' })),
    file('bin/qemu-system-x86_64', qemu),
    file('lib64/ld-linux-x86-64.so.2', loader),
    ...libraries.map(({ name, path }) => file(`${LIBRARIES}/${name}`, path)),
    ...FIRMWARE.map((path) => file(`usr/share/qemu/${basename(path)}`, join(directory, 'usr/share', path))),
  ];
}
