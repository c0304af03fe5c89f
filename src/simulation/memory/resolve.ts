// Path resolution as in path_resolution(7): component by component, links where they stand, `..` of the directory really reached,
// at most 40 links, a trailing slash demands a directory.
import type { DirectoryNode, Node } from './node.ts';
import type { Failure, PathCache, Walked } from './path-cache.ts';

/** Where a path led: the nodes from the root to it, each with its name; the root's is empty. */
export interface Found {
  readonly node: Node;
  readonly nodes: readonly Node[];
  readonly names: readonly string[];
}

/** Where an entry is or would go: its directory exists, the entry may not. */
export interface Place {
  readonly directory: DirectoryNode;
  readonly directoryPath: string;
  readonly name: string;
  readonly node: Node | null;
}

const maxLinks = 40;
const longestName = 255;
const longestPath = 4095;
const slash = '/'.charCodeAt(0);

/** A tree that paths lead through. */
export interface PathTree {
  readonly root: DirectoryNode;
  readonly cache: PathCache;
}

/** Finds what `path` names; a final link is followed when `follow`. */
export function resolvePath(tree: PathTree, path: string, follow: boolean): Found | Failure {
  const walked = walkOnce(tree, path, follow);
  if ('errno' in walked) return walked;
  if (walked.missing !== null) return { errno: 'ENOENT' };
  return { node: walked.nodes.at(-1) ?? tree.root, nodes: walked.nodes, names: walked.names };
}

/** Finds the directory for an entry to be made, renamed or removed. A final link is not followed. */
export function resolvePlace(tree: PathTree, path: string): Place | Failure {
  const walked = walkOnce(tree, path.endsWith('/') ? path.replace(/\/+$/, '') : path, false);
  if ('errno' in walked) return walked;
  return placeIn(walked.nodes, walked.names, walked.missing) ?? { errno: 'EBUSY' };
}

/** The place of something found; null for the root, which has none. */
export function placeOf(found: Found): Place | null {
  return placeIn(found.nodes, found.names, null);
}

/** The absolute path of a found node. */
export function foundPath(found: Found): string {
  return found.names.join('/') || '/';
}

function placeIn(nodes: readonly Node[], names: readonly string[], missing: string | null): Place | null {
  const depth = missing === null ? nodes.length - 1 : nodes.length;
  const directory = nodes[depth - 1];
  const name = missing ?? names[depth];
  if (directory?.kind !== 'directory' || name === undefined) return null;
  return {
    directory,
    directoryPath: names.slice(0, depth).join('/') || '/',
    name,
    node: missing === null ? (nodes[depth] ?? null) : null,
  };
}

function walkOnce({ root, cache }: PathTree, path: string, follow: boolean): Walked | Failure {
  return (
    (path === '' || path.length > longestPath || path.includes('\0') ? null : cache.find(path, follow)) ??
    walk(root, path, follow)
  );
}

function walk(root: DirectoryNode, path: string, follow: boolean): Walked | Failure {
  if (path === '') return { errno: 'ENOENT' };
  if (path.includes('\0')) return { errno: 'EINVAL' };
  if (path.length > longestPath) return { errno: 'ENAMETOOLONG' };
  const nodes: Node[] = [root];
  const names: string[] = [''];
  let here: Node = root;
  let rest = path;
  let at = 0;
  let links = 0;
  for (;;) {
    while (rest.charCodeAt(at) === slash) at += 1;
    if (at >= rest.length) break;
    const end = rest.indexOf('/', at);
    const name = rest.slice(at, end < 0 ? rest.length : end);
    at = end < 0 ? rest.length : end;
    if (here.kind !== 'directory') return { errno: 'ENOTDIR' };
    if (name === '.') continue;
    if (name === '..') {
      if (nodes.length > 1) {
        nodes.pop();
        names.pop();
        here = nodes.at(-1) ?? root;
      }
      continue;
    }
    if (name.length > longestName) return { errno: 'ENAMETOOLONG' };
    let next = here.entries.get(name);
    if (next === undefined) return at >= rest.length ? { nodes, names, missing: name } : { errno: 'ENOENT' };
    if (next.kind === 'link' && (follow || at < rest.length)) {
      links += 1;
      if (links > maxLinks) return { errno: 'ELOOP' };
      if (next.leadsTo === null) {
        const text = typeof next.text === 'string' ? next.text : next.text();
        if (text === '') return { errno: 'ENOENT' };
        if (text.charCodeAt(0) === slash) {
          nodes.length = 1;
          names.length = 1;
          here = root;
        }
        rest = text + rest.slice(at);
        at = 0;
        continue;
      }
      next = next.leadsTo;
    }
    nodes.push(next);
    names.push(name);
    here = next;
  }
  if (rest.endsWith('/') && here.kind !== 'directory') return { errno: 'ENOTDIR' };
  return { nodes, names, missing: null };
}
