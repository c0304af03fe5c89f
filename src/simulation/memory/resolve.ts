// Path resolution as in path_resolution(7): component by component, links where they stand, `..` of the directory really reached,
// at most 40 links, a trailing slash demands a directory.
import type { DirectoryNode, Node } from './node.ts';

/** Where a path led. */
export interface Found {
  readonly node: Node;
  /** Directories from the root to the node's parent; the node's own when it is the root. */
  readonly parents: readonly { readonly name: string; readonly node: DirectoryNode }[];
  /** Last component; empty for the root. */
  readonly name: string;
}

/** Where a new entry would go: its directory exists, the entry may not. */
export interface Place {
  readonly directory: DirectoryNode;
  readonly directoryPath: string;
  readonly name: string;
  readonly node: Node | null;
}

/** An errno name. */
export interface Failure {
  readonly errno: string;
}

interface Step {
  readonly name: string;
  readonly node: Node;
}

const maxLinks = 40;

/** Finds what `path` names; a final link is followed when `follow`. */
export function resolvePath(root: DirectoryNode, path: string, follow: boolean): Found | Failure {
  const place = walk(root, path, follow);
  if ('errno' in place) return place;
  if (place.node === null) return { errno: 'ENOENT' };
  return { node: place.node, parents: place.parents, name: place.name };
}

/** Finds the directory for an entry to be made, renamed or removed. A final link is not followed. */
export function resolvePlace(root: DirectoryNode, path: string): Place | Failure {
  const place = walk(root, path.replace(/\/+$/, ''), false);
  if ('errno' in place) return place;
  const parent = place.parents.at(-1);
  if (parent === undefined || place.name === '') return { errno: 'EBUSY' };
  return {
    directory: parent.node,
    directoryPath: pathOf(place.parents.map((step) => step.name)),
    name: place.name,
    node: place.node,
  };
}

/** The absolute path of a found node. */
export function foundPath(found: Found): string {
  return pathOf([...found.parents.map((step) => step.name), found.name]);
}

function pathOf(names: readonly string[]): string {
  return '/' + names.filter((name) => name !== '').join('/');
}

interface Walked {
  readonly node: Node | null;
  readonly parents: { name: string; node: DirectoryNode }[];
  readonly name: string;
}

function walk(root: DirectoryNode, path: string, follow: boolean): Walked | Failure {
  if (path === '') return { errno: 'ENOENT' };
  if (path.includes('\0')) return { errno: 'EINVAL' };
  if (path.length > 4095) return { errno: 'ENAMETOOLONG' };
  const todo = path.split('/').reverse();
  const done: Step[] = [{ name: '', node: root }];
  let links = 0;
  while (todo.length > 0) {
    const name = todo.pop() ?? '';
    const here = done.at(-1)?.node ?? root;
    const last = todo.every((rest) => rest === '' || rest === '.');
    if (here.kind !== 'directory') return { errno: 'ENOTDIR' };
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (done.length > 1) done.pop();
      continue;
    }
    if (name.length > 255) return { errno: 'ENAMETOOLONG' };
    const next = here.entries.get(name);
    if (next === undefined) {
      return todo.length === 0 ? walked(done, name, null) : { errno: 'ENOENT' };
    }
    const final = last && todo.length === 0;
    if (next.kind === 'link' && (!final || follow)) {
      links += 1;
      if (links > maxLinks) return { errno: 'ELOOP' };
      if (next.leadsTo !== null) {
        done.push({ name, node: next.leadsTo });
        continue;
      }
      const text = typeof next.text === 'string' ? next.text : next.text();
      if (text === '') return { errno: 'ENOENT' };
      if (text.startsWith('/')) done.length = 1;
      todo.push(...text.split('/').reverse());
      continue;
    }
    done.push({ name, node: next });
  }
  const end = done.pop();
  return walked(done, end?.name ?? '', end?.node ?? root);
}

function walked(done: readonly Step[], name: string, node: Node | null): Walked {
  const parents: { name: string; node: DirectoryNode }[] = [];
  for (const step of done) if (step.node.kind === 'directory') parents.push({ name: step.name, node: step.node });
  return { node, parents, name };
}
