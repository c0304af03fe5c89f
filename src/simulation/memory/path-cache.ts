// Remembers where paths led, as the kernel's dentry cache does: a walk is repeated only when a directory on its way has got or lost an
// entry since, or a link on its way reads differently. What it answers is always what a new walk would.
import type { DirectoryNode, LinkNode, Node } from './node.ts';

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

/** What a walk depended on, noted by the walk itself. */
export interface Trail {
  readonly directories: DirectoryNode[];
  /** Links whose text is computed. */
  readonly links: { readonly node: LinkNode; readonly text: string }[];
}

interface Known {
  readonly trail: Trail;
  readonly walked: Walked | Failure;
  /** The count of changes up to which it is known to be true. */
  asOf: number;
}

const mostPaths = 50_000;

/** The cache of one tree. */
export class PathCache {
  private readonly followed = new Map<string, Known>();
  private readonly unfollowed = new Map<string, Known>();
  private changes = 0;

  /** The directory has got or lost an entry, or leads elsewhere under a name. */
  changed(directory: DirectoryNode): void {
    this.changes += 1;
    directory.revision = this.changes;
  }

  /** Everything may be different. */
  clear(): void {
    this.followed.clear();
    this.unfollowed.clear();
  }

  /** Where the walk led when nothing that it met has changed since; else null. `follow`: a link at the end was followed. */
  recall(path: string, follow: boolean): Walked | Failure | null {
    const known = (follow ? this.followed : this.unfollowed).get(path);
    return known !== undefined && this.isCurrent(known) ? known.walked : null;
  }

  /** Remembers a walk. */
  remember(path: string, follow: boolean, walked: Walked | Failure, trail: Trail): void {
    const map = follow ? this.followed : this.unfollowed;
    if (map.size >= mostPaths) map.clear();
    map.set(path, { trail, walked, asOf: this.changes });
  }

  private isCurrent(known: Known): boolean {
    for (const { node, text } of known.trail.links) if (textOf(node) !== text) return false;
    if (known.asOf === this.changes) return true;
    for (const directory of known.trail.directories) {
      if (directory.revision > known.asOf) return false;
    }
    known.asOf = this.changes;
    return true;
  }
}

/** What a link says now. */
export function textOf({ text }: LinkNode): string {
  return typeof text === 'string' ? text : text();
}
