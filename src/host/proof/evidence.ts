// Reading evidence: every read answers with what it found or with the errno, never with an exception and never with a default, so
// that "there is nothing" and "it could not be read" cannot be mistaken for each other.
import { FileError, type FileStat, type Files } from '../../runtime/ports.ts';

/** What a read found, or the name of the errno that it met. */
export type Reading<T> = { readonly value: T } | { readonly errno: string };

/** Reads that answer with a value or an errno. */
export interface Evidence {
  text(path: string): Reading<string>;
  /** Names in a directory, sorted by code unit. */
  names(path: string): Reading<readonly string[]>;
  /** The text of a symbolic link. */
  link(path: string): Reading<string>;
  /** The path with all links resolved. */
  real(path: string): Reading<string>;
  /** Follows links. Only for what cannot hang: never for paths that may lie on a network file system. */
  stat(path: string): Reading<FileStat>;
}

// sysfs answers ENODEV or ENXIO, procfs ESRCH, for what goes while it is being read.
const absent: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'ENXIO', 'ESRCH']);

// No proof needs more: the longest is a mount table, about 150 bytes a mount.
const textLimit = 16 * 1024 * 1024;

/** Evidence read through the Files port. */
export function createEvidence(files: Files): Evidence {
  return {
    text: (path) => attempt(() => files.readText(path, textLimit)),
    names: (path) => attempt(() => [...files.list(path)].sort()),
    link: (path) => attempt(() => files.readLink(path)),
    real: (path) => attempt(() => files.realPath(path)),
    stat: (path) => attempt(() => files.stat(path)),
  };
}

/** Whether the reading failed because nothing is there (any more), as opposed to being forbidden or broken. */
export function isAbsent(reading: Reading<unknown>): boolean {
  return 'errno' in reading && absent.has(reading.errno);
}

/** The value, or null when there is none for whatever reason. */
export function valueOf<T>(reading: Reading<T>): T | null {
  return 'value' in reading ? reading.value : null;
}

/** A source that could not be read or understood, and what came back. */
export interface Failure {
  readonly source: string;
  readonly why: string;
}

/** Failures of many sources of one kind, told once: of a thousand processes that may not be read a person needs to see one. */
export interface Failures {
  add(source: string, why: string): void;
  /** One failure for each different reason, with the first source and the number of others. */
  summary(): readonly Failure[];
}

export function createFailures(): Failures {
  const byReason = new Map<string, { readonly source: string; count: number }>();
  return {
    add: (source, why) => {
      const known = byReason.get(why);
      if (known === undefined) byReason.set(why, { source, count: 1 });
      else known.count += 1;
    },
    summary: () =>
      [...byReason].map(([why, { source, count }]) => ({
        source,
        why: count === 1 ? why : `${why}; the same for ${count - 1} others`,
      })),
  };
}

function attempt<T>(read: () => T): Reading<T> {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof FileError) return { errno: error.code };
    throw error;
  }
}
