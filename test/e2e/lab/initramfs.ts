// The guest's first root: busybox, the few modules that reach the 9p root, a script and this boot's settings.
// Archives are written in cpio's newc format (Documentation/driver-api/early-userspace/buffer-format.rst); the kernel
// unpacks several one after the other.

import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from './command.ts';
import type { Kernel } from './kernels.ts';
import { toolCommand } from './tools.ts';
import type { Tools } from './tools.ts';

/** A file, directory or symbolic link of an archive. */
export type ArchiveMember =
  | { readonly kind: 'file'; readonly path: string; readonly content: Buffer; readonly executable?: boolean }
  | { readonly kind: 'directory'; readonly path: string };

/** One cpio archive with `members` in this order. */
export function cpioArchive(members: readonly ArchiveMember[]): Buffer {
  const parts = members.map((member, index) => {
    const content = member.kind === 'file' ? member.content : Buffer.alloc(0);
    const permissions = member.kind === 'directory' || member.executable === true ? 0o755 : 0o644;
    const mode = (member.kind === 'directory' ? 0o040000 : 0o100000) | permissions;
    return cpioMember(member.path, content, mode, index + 1);
  });
  const archive = Buffer.concat([...parts, cpioMember('TRAILER!!!', Buffer.alloc(0), 0, 0)]);
  return Buffer.concat([archive, Buffer.alloc((512 - (archive.length % 512)) % 512)]);
}

function cpioMember(path: string, content: Buffer, mode: number, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

function padded(buffer: Buffer): Buffer {
  return Buffer.concat([buffer, Buffer.alloc((4 - (buffer.length % 4)) % 4)]);
}

/** What the initramfs must be able to reach: the machine's root by 9p, an overlay on it, and the executor's channel. */
const NEEDED = ['virtio_pci', '9pnet_virtio', '9p', 'overlay', 'virtio_console'];

/** The part of the initramfs that only the kernel decides: busybox, modules in loading order, the scripts. */
export async function baseArchive(tools: Tools, kernel: Kernel, scripts: readonly string[]): Promise<Buffer> {
  const modules = await modulesInOrder(tools, kernel);
  const directories = ['bin', 'modules', 'lab', 'proc', 'sys', 'dev', 'host', 'layers', 'rw', 'new'];
  const members: ArchiveMember[] = directories.map((path) => ({ kind: 'directory', path }));
  const busybox = readFileSync(join(tools.directory, 'bin/busybox'));
  members.push({ kind: 'file', path: 'bin/busybox', content: busybox, executable: true });
  modules.forEach((path, index) => {
    const name = `${String(index).padStart(2, '0')}-${basename(path)}`;
    members.push({ kind: 'file', path: `modules/${name}`, content: readFileSync(path) });
  });
  for (const path of scripts) {
    const target = basename(path) === 'init.sh' ? 'init' : `lab/${basename(path)}`;
    members.push({ kind: 'file', path: target, content: readFileSync(path), executable: true });
  }
  return cpioArchive(members);
}

/** Absolute paths of the modules the initramfs inserts, dependencies first; built-in ones are left out. */
async function modulesInOrder(tools: Tools, kernel: Kernel): Promise<readonly string[]> {
  const root = join(kernel.directory, 'usr');
  const modprobe = [...toolCommand(tools, 'bin/kmod', 'modprobe'), '-d', root, '-S', kernel.release];
  const paths: string[] = [];
  for (const name of NEEDED) {
    const shown = await run([...modprobe, '--show-depends', name]);
    for (const line of shown.split('\n')) {
      const path = line.match(/^insmod (\S+)/)?.[1];
      if (path !== undefined && !paths.includes(path) && existsSync(path)) paths.push(path);
    }
  }
  return paths;
}
