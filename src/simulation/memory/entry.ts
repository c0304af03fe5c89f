// Trees as object literals: `{ '/sys/x/vendor': '0x8086\n', '/sys/x/driver': { link: '../../bus/pci/drivers/nvme' } }`.
import type { ComputedNode, DirectoryNode, FileNode, LinkNode, Node, SpecialNode } from './node.ts';

/** How an entry may deviate from the defaults (mode 0755, 0644, 0600 for nodes; root; the parent's file system). */
interface EntryOptions {
  readonly mode?: number;
  readonly uid?: number;
  /** Number of the file system; children inherit it. */
  readonly device?: number;
}

/** One entry. A string is a plain file with that text. */
export type Entry =
  | string
  | (EntryOptions & { readonly file: string | Uint8Array })
  | (EntryOptions & { readonly directory: Readonly<Record<string, Entry>> })
  | (EntryOptions & { readonly link: string | (() => string); readonly leadsTo?: Node })
  | (EntryOptions & {
      readonly node: 'char' | 'block' | 'socket' | 'fifo';
      readonly number?: string;
      readonly content?: () => Uint8Array | { readonly errno: string };
    })
  | (EntryOptions & {
      readonly computed: true;
      readonly read?: () => string;
      readonly write?: (text: string) => void;
      readonly source?: object;
    });

/** What a node needs from its surroundings. */
export interface NodeFactory {
  nextInode(): number;
  now(): number;
}

const encoder = new TextEncoder();

/** Builds a node, with everything below it; what is built counts as on disk already. */
export function buildNode(entry: Entry, device: number, factory: NodeFactory): Node {
  if (typeof entry === 'string') return buildNode({ file: entry }, device, factory);
  const now = factory.now();
  const base = {
    inode: factory.nextInode(),
    device: entry.device ?? device,
    uid: entry.uid ?? 0,
    modifiedAt: now,
    changedAt: now,
  };
  if ('file' in entry) {
    const content = typeof entry.file === 'string' ? encoder.encode(entry.file) : entry.file;
    return {
      ...base,
      kind: 'file',
      mode: entry.mode ?? 0o644,
      chunks: [content],
      size: content.length,
      text: null,
      durable: content,
    } satisfies FileNode;
  }
  if ('directory' in entry) {
    const entries = new Map<string, Node>();
    for (const [name, child] of Object.entries(entry.directory)) {
      entries.set(name, buildNode(child, base.device, factory));
    }
    return {
      ...base,
      kind: 'directory',
      mode: entry.mode ?? 0o755,
      entries,
      durable: new Map(entries),
      revision: 0,
    } satisfies DirectoryNode;
  }
  if ('link' in entry) {
    return { ...base, kind: 'link', mode: 0o777, text: entry.link, leadsTo: entry.leadsTo ?? null } satisfies LinkNode;
  }
  if ('node' in entry) {
    return {
      ...base,
      kind: entry.node,
      mode: entry.mode ?? 0o600,
      number: entry.number ?? null,
      content: entry.content ?? null,
    } satisfies SpecialNode;
  }
  return {
    ...base,
    kind: 'computed',
    mode: entry.mode ?? (entry.write === undefined ? 0o444 : entry.read === undefined ? 0o200 : 0o644),
    read: entry.read ?? null,
    write: entry.write ?? null,
    source: entry.source ?? null,
  } satisfies ComputedNode;
}
