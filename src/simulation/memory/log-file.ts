// An open log in memory: appends go to the tree at once and to the disk with `sync`.
import { FileError } from '../../runtime/ports.ts';
import type { LogFile } from '../../runtime/ports.ts';
import { fileContent, setFileContent } from './node.ts';
import type { Node } from './node.ts';

/** What the log needs of the tree it lies in. */
export interface LogSurroundings {
  now(): number;
  /** Throws where the fault hook or a power cut forbids the operation. */
  check(operation: string): void;
  /** What stops a write, perhaps half way; null: nothing. */
  fault(): string | { readonly errno: string; readonly written: number } | null;
  /** Tells the directory's watches. */
  changed(): void;
}

const encoder = new TextEncoder();

/** Opens `node` for appending; throws `FileError` where open(2) would. */
export function createMemoryLog(path: string, node: Node | null, truncate: boolean, around: LogSurroundings): LogFile {
  if (node === null) throw new FileError('open', path, 'ENOENT');
  if (node.kind === 'directory') throw new FileError('open', path, 'EISDIR');
  if (node.kind === 'computed' && node.write === null) throw new FileError('open', path, 'EACCES');
  let open = true;
  const mustBeOpen = (operation: string): void => {
    if (!open) throw new FileError(operation, path, 'EBADF');
  };
  const begin = (operation: string): void => {
    mustBeOpen(operation);
    around.check(operation);
  };
  const put = (bytes: Uint8Array): void => {
    if (node.kind !== 'file') throw new FileError('write', path, 'EINVAL');
    node.chunks.push(bytes);
    node.size += bytes.length;
    node.text = null;
    node.modifiedAt = around.now();
    around.changed();
  };
  const cut = (bytes: number): void => {
    if (node.kind !== 'file') return;
    setFileContent(node, fileContent(node).slice(0, bytes));
    node.modifiedAt = around.now();
    around.changed();
  };
  if (truncate) cut(0);
  return {
    async append(text) {
      mustBeOpen('write');
      const fault = around.fault();
      const bytes = encoder.encode(text);
      if (fault !== null) {
        if (typeof fault !== 'string') put(bytes.slice(0, fault.written));
        throw new FileError('write', path, typeof fault === 'string' ? fault : fault.errno);
      }
      if (node.kind === 'computed') node.write?.(text);
      else put(bytes);
    },
    async sync() {
      begin('fsync');
      if (node.kind === 'file') node.durable = fileContent(node);
    },
    async truncate(bytes) {
      begin('ftruncate');
      cut(bytes);
    },
    async close() {
      open = false;
    },
  };
}
