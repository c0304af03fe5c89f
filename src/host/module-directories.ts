// Where the host keeps the modules of its kernel, and its modprobe configuration, found as kmod finds them (libkmod.c,
// libkmod-config.c), also when the host is mounted elsewhere.
import type { Unread } from '../domain/device.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { resolveInRoot } from './path-in-root.ts';

/** NixOS keeps the running kernel's modules outside /lib. */
const nixTree = '/run/booted-system/kernel-modules/lib/modules';

/** The directory of the kernel's modules, or null when the host has none for this release (a kernel updated away without a reboot). */
export function findModuleDirectory(files: Files, paths: HostPaths, release: string): string | null {
  const trees = [...paths.moduleTrees, paths.at(nixTree)];
  const directories = trees.map((tree) => resolveInRoot(files, paths.root, `${tree}/${release}`));
  return directories.find((directory) => kindOf(files, directory) === 'directory') ?? null;
}

/**
 * The files of modprobe.d that count, in the order kmod reads them: by name, `*.conf` and `*.alias`; of files with one name the one
 * in the earlier directory (a link to /dev/null there masks the others). A directory that is absent is none; one that cannot be
 * listed is unread.
 */
export function listModprobeFiles(
  files: Files,
  paths: HostPaths,
): { readonly paths: readonly string[]; readonly unread: readonly Unread[] } {
  const found = new Map<string, string>();
  const unread: Unread[] = [];
  for (const directory of paths.modprobeDirectories) {
    for (const name of listNames(files, resolveInRoot(files, paths.root, directory), unread)) {
      if (name.startsWith('.') || !/.[.](?:conf|alias)$/.test(name) || found.has(name)) continue;
      const path = followLinks(files, paths, `${directory}/${name}`);
      if (kindOf(files, path) !== 'directory') found.set(name, path);
    }
  }
  const byName = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  return { paths: byName.map(([, path]) => path).filter((path) => path !== paths.at('/dev/null')), unread };
}

/** The file a name leads to. Without a root of its own, only a link to /dev/null matters; the kernel follows the others. */
function followLinks(files: Files, paths: HostPaths, path: string): string {
  if (paths.root !== '') return resolveInRoot(files, paths.root, path);
  try {
    return files.readLink(path) === '/dev/null' ? '/dev/null' : path;
  } catch (error) {
    if (error instanceof FileError) return path;
    throw error;
  }
}

function listNames(files: Files, directory: string, unread: Unread[]): readonly string[] {
  try {
    return files.list(directory);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (error.code !== 'ENOENT') unread.push({ source: directory, why: error.code });
    return [];
  }
}

function kindOf(files: Files, path: string): string | null {
  try {
    return files.stat(path).kind;
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}
