// Follows symbolic links as the host itself would. A host mounted under another directory may have absolute links (/lib -> /usr/lib,
// everything on NixOS); left to our own kernel they would lead into our own root, to another system's files.
import { FileError, type Files } from '../runtime/ports.ts';

/** As many links as the kernel follows in one path before it says ELOOP. */
const linkLimit = 40;

/**
 * The path to open for `path` (which begins with `root`), with every link resolved below `root`. Empty root: the path itself. Parts
 * that do not exist are kept, so that opening it gives the error a person expects; so does a loop of links.
 */
export function resolveInRoot(files: Files, root: string, path: string): string {
  if (root === '' || !path.startsWith(`${root}/`)) return path;
  let links = 0;
  let resolved: string[] = [];
  const pending = path.slice(root.length).split('/').toReversed();
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const target = readLinkOrNull(files, [root, ...resolved, part].join('/'));
    if (target === null) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > linkLimit) return path;
    if (target.startsWith('/')) resolved = [];
    pending.push(...target.split('/').toReversed());
  }
  return [root, ...resolved].join('/');
}

function readLinkOrNull(files: Files, path: string): string | null {
  try {
    return files.readLink(path);
  } catch (error) {
    if (error instanceof FileError) return null; // EINVAL: no link; ENOENT: nothing there
    throw error;
  }
}
