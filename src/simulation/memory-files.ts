// The whole Files port in memory: a tree with Linux's path rules and errnos, computed files, watches, and a memory of what has
// reached the disk. Everything happens at once and in order; watch events are delivered by the scheduler given.
import { FileError } from '../runtime/ports.ts';
import type { Files, FileStat, LogFile, Random, Watch } from '../runtime/ports.ts';
import { buildNode } from './memory/entry.ts';
import type { Entry } from './memory/entry.ts';
import { createMemoryLog } from './memory/log-file.ts';
import { fileContent, fileText } from './memory/node.ts';
import type { ComputedNode, DirectoryNode, Node } from './memory/node.ts';
import { PathCache } from './memory/path-cache.ts';
import { losePower } from './memory/power-cut.ts';
import { foundPath, placeOf, resolvePath, resolvePlace } from './memory/resolve.ts';
import type { Found, Place } from './memory/resolve.ts';

/**
 * Called before every operation of the port; an errno name makes it fail with that. A write may have put down its first `written`
 * bytes before it fails, as on a disk that becomes full.
 */
type FileFault = (operation: string, path: string) => string | PartialWrite | null;

/** A write that failed half way. */
interface PartialWrite {
  readonly errno: string;
  readonly written: number;
}

/** The Files port, and what a simulated machine does below it. */
export interface MemoryFiles extends Files {
  /** Makes or replaces an entry, with missing parents; durable at once, seen by watches. */
  put(path: string, entry: Entry): void;
  /** Removes an entry and all below it, if it is there; durable at once, seen by watches. */
  drop(path: string): void;
  /** Whether the path leads somewhere, links followed. */
  exists(path: string): boolean;
  /** The node itself, links followed, or null. */
  find(path: string): Node | null;
  /** The computed file at `path`; throws `FileError` as an open for writing without O_CREAT would. */
  openAttribute(path: string): ComputedNode;
  /** Sets or clears the fault hook of the port's operations; `put`, `drop`, `find` are not subject to it. */
  setFault(fault: FileFault | null): void;
  /** Loses what was not fsynced, outside the volatile directories; open log files and watches are dead afterwards. */
  powerCut(random?: Random): void;
}

/** How the tree is made. */
export interface MemoryFilesOptions {
  readonly entries?: Readonly<Record<string, Entry>>;
  /** Milliseconds for the times in stat; default: always 0. */
  readonly now?: () => number;
  /** Delivers watch events; default: the microtask queue. */
  readonly schedule?: (deliver: () => void) => void;
  /** Directories that are no disk: a power cut leaves them to the kernel. Default /sys, /proc, /dev, /run. */
  readonly volatile?: readonly string[];
  /** Directories whose changes inotify does not report. Default /sys, /proc. */
  readonly silent?: readonly string[];
}

const decoder = new TextDecoder();

/** Builds the tree. */
export function createMemoryFiles(options: MemoryFilesOptions = {}): MemoryFiles {
  const now = options.now ?? (() => 0);
  const schedule = options.schedule ?? queueMicrotask;
  const silent = options.silent ?? ['/sys', '/proc'];
  let inodes = 1;
  let boots = 0;
  let fault: FileFault | null = null;
  const factory = { nextInode: () => inodes++, now };
  const root = buildNode({ directory: {} }, 1, factory) as DirectoryNode;
  const cache = new PathCache(root);
  const tree = { root, cache };
  const watches = new Map<DirectoryNode, Set<(name: string | null) => void>>();

  /** An entry came, went or became another. */
  const moved = (directory: DirectoryNode, path: string, name: string): void => {
    cache.changed(directory);
    changed(directory, path, name);
  };
  const changed = (directory: DirectoryNode, path: string, name: string): void => {
    directory.modifiedAt = now();
    if (silent.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) return;
    for (const call of watches.get(directory) ?? []) schedule(() => watches.get(directory)?.has(call) && call(name));
  };
  const gone = (node: Node): void => {
    if (node.kind !== 'directory') return;
    for (const child of node.entries.values()) gone(child);
    const calls = watches.get(node);
    watches.delete(node);
    for (const call of calls ?? []) schedule(() => call(null));
  };
  const check = (operation: string, path: string): void => {
    const found = fault?.(operation, path) ?? null;
    if (found !== null) throw new FileError(operation, path, typeof found === 'string' ? found : found.errno);
  };
  const find = (operation: string, path: string, follow = true): Found => {
    check(operation, path);
    const found = resolvePath(tree, path, follow);
    if ('errno' in found) throw new FileError(operation, path, found.errno);
    return found;
  };
  const place = (operation: string, path: string): Place => {
    const found = resolvePlace(tree, path);
    if ('errno' in found) throw new FileError(operation, path, found.errno);
    return found;
  };
  const create = (spot: Place, entry: Entry, durable: 'whole' | null): void => {
    const node = buildNode(entry, spot.directory.device, factory);
    if (node.kind === 'file' && durable === null) node.durable = null;
    spot.directory.entries.set(spot.name, node);
    if (durable === 'whole') spot.directory.durable.set(spot.name, node);
    moved(spot.directory, spot.directoryPath, spot.name);
  };
  const makeParents = (path: string): void => {
    const names = path.split('/').filter((name) => name !== '');
    for (let depth = 1; depth < names.length; depth += 1) {
      const parent = '/' + names.slice(0, depth).join('/');
      const found = resolvePath(tree, parent, true);
      if ('errno' in found) files.put(parent, { directory: {} });
      else if (found.node.kind !== 'directory') throw new FileError('mkdir', parent, 'ENOTDIR');
    }
  };
  const read = (operation: string, path: string): Uint8Array => content(operation, path, find(operation, path).node);

  const files: MemoryFiles = {
    readText(path, maxBytes = 16 * 1024 * 1024) {
      const { node } = find('open', path);
      const text = node.kind === 'computed' ? (node.read?.() ?? null) : node.kind === 'file' ? fileText(node) : null;
      // A character has at most three bytes per unit of a string's length.
      if (text !== null && text.length * 3 <= maxBytes) return text;
      return decoder.decode(content('open', path, node).subarray(0, maxBytes));
    },
    readBytes: (path, offset, length) => read('open', path).slice(offset, offset + length),
    readLink(path) {
      const { node } = find('readlink', path, false);
      if (node.kind !== 'link') throw new FileError('readlink', path, 'EINVAL');
      return typeof node.text === 'string' ? node.text : node.text();
    },
    list(path) {
      const { node } = find('scandir', path);
      if (node.kind !== 'directory') throw new FileError('scandir', path, 'ENOTDIR');
      return [...node.entries.keys()];
    },
    stat: (path) => toStat(find('stat', path).node),
    linkStat: (path) => toStat(find('lstat', path, false).node),
    realPath: (path) => foundPath(find('realpath', path)),

    async makeDirectory(path, mode) {
      check('mkdir', path);
      const names = path.split('/').filter((name) => name !== '');
      for (let depth = 1; depth <= names.length; depth += 1) {
        const here = '/' + names.slice(0, depth).join('/');
        const found = resolvePath(tree, here, true);
        if (!('errno' in found)) {
          if (found.node.kind !== 'directory') {
            throw new FileError('mkdir', path, depth === names.length ? 'EEXIST' : 'ENOTDIR');
          }
          continue;
        }
        const spot = place('mkdir', here);
        if (spot.node !== null) throw new FileError('mkdir', path, 'EEXIST');
        create(spot, { directory: {}, mode }, null);
      }
    },
    async openLog(path, { truncate }): Promise<LogFile> {
      check('open', path);
      const found = resolvePath(tree, path, true);
      const spot = 'errno' in found ? place('open', path) : placeOf(found);
      if (spot === null) throw new FileError('open', path, 'EISDIR');
      if (spot.node === null) {
        if (spot.directoryPath.startsWith('/sys')) throw new FileError('open', path, 'EACCES');
        create(spot, { file: '', mode: 0o600 }, null);
      } else if (spot.node.kind === 'link') {
        throw new FileError('open', path, 'ENOENT');
      }
      const boot = boots;
      return createMemoryLog(path, spot.directory.entries.get(spot.name) ?? null, truncate, {
        now,
        check: (operation) => (boot === boots ? check(operation, path) : fail(operation, path, 'EIO')),
        fault: () => (boot === boots ? (fault?.('write', path) ?? null) : 'EIO'),
        changed: () => changed(spot.directory, spot.directoryPath, spot.name),
      });
    },
    async createExclusive(path, text) {
      check('link', path);
      const spot = place('link', path);
      if (spot.node !== null) throw new FileError('link', path, 'EEXIST');
      create(spot, { file: text, mode: 0o600 }, 'whole');
    },
    async rename(from, to) {
      check('rename', from);
      const source = place('rename', from);
      const target = place('rename', to);
      const { node } = source;
      if (node === null) throw new FileError('rename', from, 'ENOENT');
      if (node === target.node) return;
      const errno = renameErrno(node, target.node, `${to}/`.startsWith(`${from}/`));
      if (errno !== null) throw new FileError('rename', from, errno);
      source.directory.entries.delete(source.name);
      if (target.node !== null) gone(target.node);
      target.directory.entries.set(target.name, node);
      node.changedAt = now();
      moved(source.directory, source.directoryPath, source.name);
      moved(target.directory, target.directoryPath, target.name);
    },
    async remove(path) {
      check('unlink', path);
      const spot = place('unlink', path);
      if (spot.node === null) throw new FileError('unlink', path, 'ENOENT');
      if (spot.node.kind === 'directory') throw new FileError('unlink', path, 'EISDIR');
      spot.directory.entries.delete(spot.name);
      moved(spot.directory, spot.directoryPath, spot.name);
    },
    async syncDirectory(path) {
      const { node } = find('fsync', path);
      if (node.kind !== 'directory') throw new FileError('fsync', path, 'ENOTDIR');
      node.durable = new Map(node.entries);
    },
    watch(directory, onChange): Watch {
      const { node } = find('watch', directory);
      if (node.kind !== 'directory') throw new FileError('watch', directory, 'ENOTDIR');
      const call = (name: string | null): void => onChange(name);
      const calls = watches.get(node) ?? new Set();
      watches.set(node, calls.add(call));
      return { close: () => void calls.delete(call) };
    },

    put(path, entry) {
      let spot = resolvePlace(tree, path);
      if ('errno' in spot) {
        makeParents(path);
        spot = place('put', path);
      }
      if (spot.node !== null) gone(spot.node);
      create(spot, entry, 'whole');
    },
    drop(path) {
      const spot = resolvePlace(tree, path);
      if ('errno' in spot || spot.node === null) return;
      gone(spot.node);
      spot.directory.entries.delete(spot.name);
      spot.directory.durable.delete(spot.name);
      moved(spot.directory, spot.directoryPath, spot.name);
    },
    exists: (path) => !('errno' in resolvePath(tree, path, true)),
    find(path) {
      const found = resolvePath(tree, path, true);
      return 'errno' in found ? null : found.node;
    },
    openAttribute(path) {
      const { node } = find('open', path);
      if (node.kind === 'directory') throw new FileError('open', path, 'EISDIR');
      if (node.kind !== 'computed') throw new FileError('open', path, 'EACCES');
      return node;
    },
    setFault: (hook) => void (fault = hook),
    powerCut(random) {
      boots += 1;
      watches.clear();
      const spared = new Set((options.volatile ?? ['/sys', '/proc', '/dev', '/run']).map((path) => files.find(path)));
      losePower(root, random ?? null, (node) => spared.has(node));
      cache.clear();
    },
  };
  for (const [path, entry] of Object.entries(options.entries ?? {})) files.put(path, entry);
  return files;
}

function content(operation: string, path: string, node: Node): Uint8Array {
  switch (node.kind) {
    case 'file':
      return fileContent(node);
    case 'computed':
      if (node.read === null) throw new FileError(operation, path, 'EACCES');
      return new TextEncoder().encode(node.read());
    case 'directory':
      throw new FileError('read', path, 'EISDIR');
    case 'link':
      throw new FileError(operation, path, 'ELOOP');
    case 'char':
    case 'block':
    case 'socket':
    case 'fifo': {
      const bytes = node.content?.() ?? { errno: 'ENXIO' };
      if ('errno' in bytes) throw new FileError(operation, path, bytes.errno);
      return bytes;
    }
  }
}

function toStat(node: Node): FileStat {
  return {
    kind: node.kind === 'computed' ? 'file' : node.kind,
    inode: node.inode,
    device: node.device,
    node: node.kind === 'char' || node.kind === 'block' ? node.number : null,
    size: node.kind === 'file' ? node.size : node.kind === 'computed' ? 4096 : 0,
    mode: node.mode,
    uid: node.uid,
    modifiedAt: node.modifiedAt,
    changedAt: node.changedAt,
  };
}

function renameErrno(from: Node, to: Node | null, into: boolean): string | null {
  if (into && from.kind === 'directory') return 'EINVAL';
  if (to === null) return null;
  if (from.kind === 'directory') {
    if (to.kind !== 'directory') return 'ENOTDIR';
    return to.entries.size > 0 ? 'ENOTEMPTY' : null;
  }
  return to.kind === 'directory' ? 'EISDIR' : null;
}

function fail(operation: string, path: string, errno: string): never {
  throw new FileError(operation, path, errno);
}
