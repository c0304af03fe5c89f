// Remembers where paths led, as the kernel's dentry cache does. What is known of a path rests on what is known of its directory, on that
// directory's entries, and on where a link at its end leads; it is found anew only when one of these has changed. What is answered
// is always what a walk from the root would find.
import type { DirectoryNode, Node } from './node.ts';

/** Where a walk ended. */
export interface Walked {
  /** The nodes from the root on, each with its name; the root's is empty. */
  readonly nodes: readonly Node[];
  readonly names: readonly string[];
  /** The last component when all before it is there and it is not. */
  readonly missing: string | null;
}

/** An errno name. */
export interface Failure {
  readonly errno: string;
}

interface Known {
  readonly walked: Walked | Failure;
  /** The directory's path; null for the root. */
  readonly parent: Known | null;
  readonly directory: DirectoryNode | null;
  /** Where the link at the end led, if one was followed. */
  readonly target: Known | null;
  /** The count of changes up to which it is known to be true. */
  asOf: number;
}

const mostPaths = 50_000;
const longestName = 255;
const mostLinks = 40;
const slash = '/'.charCodeAt(0);

/** The cache of one tree. */
export class PathCache {
  private readonly followed = new Map<string, Known>();
  private readonly unfollowed = new Map<string, Known>();
  private readonly root: Known;
  private changes = 0;

  constructor(root: DirectoryNode) {
    const walked = { nodes: [root], names: [''], missing: null };
    this.root = { walked, parent: null, directory: null, target: null, asOf: 0 };
  }

  /** The directory has got or lost an entry, or leads elsewhere under a name. */
  changed(directory: DirectoryNode): void {
    this.changes += 1;
    directory.revision = this.changes;
  }

  /** Everything may be different. */
  clear(): void {
    this.changes += 1;
    this.followed.clear();
    this.unfollowed.clear();
  }

  /** Where a plain absolute path leads (no `.`, `..`, `//` or slash at its end); null when only a whole walk can tell. */
  find(path: string, follow: boolean): Walked | Failure | null {
    return this.known(path, follow, 0)?.walked ?? null;
  }

  private known(path: string, follow: boolean, links: number): Known | null {
    if (path === '') return this.root;
    const map = follow ? this.followed : this.unfollowed;
    const known = map.get(path);
    if (known !== undefined && this.isCurrent(known)) return known;
    const found = this.look(path, follow, links);
    if (found === null) return null;
    if (map.size >= mostPaths) map.clear();
    map.set(path, found);
    return found;
  }

  private look(path: string, follow: boolean, links: number): Known | null {
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    if (path.charCodeAt(0) !== slash || name === '' || name === '.' || name === '..' || name.length > longestName)
      return null;
    const parent = this.known(path.slice(0, cut), true, links);
    if (parent === null) return null;
    const { walked } = parent;
    const asOf = this.changes;
    if ('errno' in walked) return { walked, parent, directory: null, target: null, asOf };
    if (walked.missing !== null) return { walked: { errno: 'ENOENT' }, parent, directory: null, target: null, asOf };
    const directory = walked.nodes.at(-1);
    if (directory?.kind !== 'directory')
      return { walked: { errno: 'ENOTDIR' }, parent, directory: null, target: null, asOf };
    const node = directory.entries.get(name);
    if (node === undefined) return { walked: { ...walked, missing: name }, parent, directory, target: null, asOf };
    if (node.kind !== 'link' || !follow)
      return { walked: enter(walked, node, name), parent, directory, target: null, asOf };
    if (node.leadsTo !== null)
      return { walked: enter(walked, node.leadsTo, name), parent, directory, target: null, asOf };
    // What a computed link says may change without anybody's doing.
    const text = typeof node.text === 'string' ? joined(walked.names, node.text) : null;
    const target = text === null || links >= mostLinks ? null : this.known(text, true, links + 1);
    return target === null ? null : { walked: target.walked, parent, directory, target, asOf };
  }

  private isCurrent(known: Known): boolean {
    if (known.asOf === this.changes) return true;
    if (known.directory !== null && known.directory.revision > known.asOf) return false;
    if (known.parent !== null && !this.isCurrent(known.parent)) return false;
    if (known.target !== null && !this.isCurrent(known.target)) return false;
    known.asOf = this.changes;
    return true;
  }
}

function enter({ nodes, names }: Walked, node: Node, name: string): Walked {
  return { nodes: [...nodes, node], names: [...names, name], missing: null };
}

/** A link's text as a plain absolute path, as far as the directory that it lies in has been resolved; null when it is not that plain. */
function joined(names: readonly string[], text: string): string | null {
  if (text === '' || text.endsWith('/')) return null;
  if (text.charCodeAt(0) === slash) return text;
  const parts = [...names];
  let above = true;
  for (const part of text.split('/')) {
    if (part === '..' && above) {
      if (parts.length > 1) parts.pop();
      continue;
    }
    if (part === '' || part === '.' || part === '..') return null;
    above = false;
    parts.push(part);
  }
  return parts.join('/');
}
