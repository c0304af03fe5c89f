// A file of the state directory in which the agent keeps what it last knew, as one JSON document with its version: read once at the
// start, written durably when its words change. A full or broken disk costs the keeping, not the knowing.
import { isRecord } from '../kube/kube-object.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';

/** What was kept; null: nothing that can be used. `problem` says of the file why, and is null where nothing was ever kept. */
export interface KeptDocument {
  readonly document: Readonly<Record<string, unknown>> | null;
  readonly problem: string | null;
}

/** Reads the document, which must be of this version. */
export function readKept(files: Files, path: string, version: number): KeptDocument {
  try {
    const value: unknown = JSON.parse(files.readText(path));
    if (isRecord(value) && value.version === version) return { document: value, problem: null };
  } catch (error) {
    if (error instanceof FileError) {
      const problem = error.code === 'ENOENT' ? null : `cannot be read: ${error.code}`;
      return { document: null, problem };
    }
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { document: null, problem: 'is damaged or of another version, and is not used' };
}

export interface Keeper {
  /** Why it cannot be kept; null when it can. */
  readonly problem: string | null;
  /** Writes `text()` when `words`, what is worth a write in it, are others than those kept. Rejects for nothing that a disk does. */
  keep(words: string, text: () => string): Promise<void>;
}

/** What a keeper begins with: the words that the file holds already (null: none), and the problem that stands until a write. */
export interface KeptBefore {
  readonly words: string | null;
  readonly problem: string | null;
}

/** The keeper of one file; `what` is kept, for the sentence. */
export function createKeeper(files: Files, path: string, what: string, before: KeptBefore): Keeper {
  let { words: known, problem } = before;
  return {
    get problem() {
      return problem;
    },
    async keep(words, text) {
      if (words === known) return;
      try {
        await writeDurably(files, path, text());
        known = words;
        problem = null;
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        problem = `cannot keep ${what}: ${error.message}`;
      }
    },
  };
}
