// What the in-memory tree is made of. A node is a directory, a plain file, a computed file (sysfs and procfs attributes), a link
// or a special file. Directories and plain files remember beside their present state what has reached the disk.

/** What all nodes have. Times are milliseconds. */
interface NodeBase {
  readonly inode: number;
  /** Number of the file system it lies on. */
  device: number;
  mode: number;
  uid: number;
  modifiedAt: number;
  changedAt: number;
}

export interface DirectoryNode extends NodeBase {
  readonly kind: 'directory';
  entries: Map<string, Node>;
  /** Entries as of the last fsync of the directory: what a power cut leaves. */
  durable: Map<string, Node>;
  /** The number of the tree's change that was the last one of these entries; 0: none since it was built. */
  revision: number;
}

export interface FileNode extends NodeBase {
  readonly kind: 'file';
  /** Content in order of appending; joined when read. */
  chunks: Uint8Array[];
  size: number;
  /** The content as text, once it was read as such; null after a change. */
  text: string | null;
  /** Content as of the last fsync of the file; null when there was none. */
  durable: Uint8Array | null;
}

/**
 * A file whose content is computed when it is read and whose write calls a handler, like a sysfs attribute. `read` may throw
 * `FileError`; without `read` or `write` the open for it fails with EACCES, as in sysfs.
 */
export interface ComputedNode extends NodeBase {
  readonly kind: 'computed';
  readonly read: (() => string) | null;
  readonly write: ((text: string) => void) | null;
  /** Whoever computes it may keep something here by which to recognise the open file. */
  readonly source: object | null;
}

export interface LinkNode extends NodeBase {
  readonly kind: 'link';
  readonly text: string | (() => string);
  /** A link of /proc/PID/fd leads to the open file itself, whatever its text says. */
  readonly leadsTo: Node | null;
}

export interface SpecialNode extends NodeBase {
  readonly kind: 'char' | 'block' | 'socket' | 'fifo';
  /** `major:minor` of char and block nodes. */
  readonly number: string | null;
  /** What reading yields; an errno name is thrown as such. */
  readonly content: (() => Uint8Array | { readonly errno: string }) | null;
}

export type Node = DirectoryNode | FileNode | ComputedNode | LinkNode | SpecialNode;

/** The whole content in one piece. */
export function fileContent(node: FileNode): Uint8Array {
  const [first] = node.chunks;
  if (node.chunks.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(node.size);
  let offset = 0;
  for (const chunk of node.chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  node.chunks = [whole];
  return whole;
}

const decoder = new TextDecoder();

/** The whole content as text. */
export function fileText(node: FileNode): string {
  return (node.text ??= decoder.decode(fileContent(node)));
}

/** Replaces the content; nothing of it is durable yet. */
export function setFileContent(node: FileNode, content: Uint8Array): void {
  node.chunks = [content];
  node.size = content.length;
  node.text = null;
}
