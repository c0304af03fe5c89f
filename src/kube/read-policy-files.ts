// Reads a directory of policy files once: which files count, and what each holds or what is wrong with it. Nothing is merged here.
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';
import { parsePolicyFile } from './policy-documents.ts';
import type { PolicyFile } from './policy-documents.ts';

/** A policy file as it was read. */
export interface ReadPolicyFile extends PolicyFile {
  /** Name in the directory. */
  readonly name: string;
  /** null: it could not be read. */
  readonly text: string | null;
}

/** All policy files of a directory, by name, or why the directory could not be read. */
export type ReadPolicyFiles = { readonly files: ReadonlyMap<string, ReadPolicyFile> } | { readonly failure: string };

/** Longest file that is read, in bytes: text made to be slow to parse keeps the agent busy for about three seconds per MiB. */
export const maxPolicyFileBytes = 256 * 1024;
const maxFiles = 512;

/**
 * Reads the directory. Policy files end in .yaml, .yml or .json and do not begin with a dot, which leaves out editors' own files and
 * the `..data` links of kubelet's volumes. Files with unchanged text are taken over from `before`, without parsing them again.
 */
export function readPolicyFiles(
  files: Files,
  directory: string,
  before: ReadonlyMap<string, ReadPolicyFile> = new Map(),
): ReadPolicyFiles {
  let names: readonly string[];
  try {
    names = files.list(directory).filter(isPolicyFileName).toSorted();
  } catch (error) {
    return { failure: `policy directory ${directory} cannot be read: ${errnoOf(error)}` };
  }
  if (names.length > maxFiles) {
    return { failure: `policy directory ${directory} has ${names.length} policy files; at most ${maxFiles} are read` };
  }
  const read = new Map<string, ReadPolicyFile>();
  for (const name of names) {
    const file = readOne(files, directory, name, before.get(name) ?? null);
    if (file !== null) read.set(name, file);
  }
  return { files: read };
}

/** Whether a name in the directory is that of a policy file. */
function isPolicyFileName(name: string): boolean {
  return /^[^.#].*\.(yaml|yml|json)$/.test(name);
}

/** null: it is a directory, or was removed between listing and reading. */
function readOne(files: Files, directory: string, name: string, before: ReadPolicyFile | null): ReadPolicyFile | null {
  const path = `${directory}/${name}`;
  try {
    if (files.stat(path).kind === 'directory') return null;
    const text = files.readText(path, maxPolicyFileBytes + 1);
    if (text === before?.text) return before;
    if (text.length > maxPolicyFileBytes) {
      return unreadable(name, path, `is longer than ${maxPolicyFileBytes} bytes; split it`);
    }
    return { name, text, ...parsePolicyFile(text, path) };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' && !isThere(files, path)) return null;
    return unreadable(name, path, `cannot be read: ${errno}`);
  }
}

/** A link that leads nowhere is there, and is a file that cannot be read. */
function isThere(files: Files, path: string): boolean {
  try {
    files.linkStat(path);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ENOENT';
  }
}

function unreadable(name: string, file: string, message: string): ReadPolicyFile {
  return { name, text: null, documents: [], problems: [{ file, line: 0, path: '', message }] };
}

function errnoOf(error: unknown): string {
  if (error instanceof FileError) return error.code;
  throw error;
}
