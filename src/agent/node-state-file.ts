// The node state in a file of the state directory, for nodes without a cluster: the very document that the API server would hold,
// replaced durably, and only when it changed.
import type { VfioNodeState } from '../api/generated/types.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';

export interface NodeStateFile {
  /** The document written last, also by an earlier agent; null when there is none, or it cannot be read. */
  readonly before: VfioNodeState | null;
  /** Writes the document if its text is another one; says whether it did. Throws `FileError`. */
  write(state: VfioNodeState): Promise<boolean>;
}

/** Opens the file; it need not exist. */
export function openNodeStateFile(files: Files, path: string): NodeStateFile {
  let { text, state } = readState(files, path);
  return {
    get before() {
      return state;
    },
    async write(next) {
      const nextText = `${JSON.stringify(next, null, 2)}\n`;
      if (nextText === text) return false;
      await writeDurably(files, path, nextText);
      text = nextText;
      state = next;
      return true;
    },
  };
}

/** A file that cannot be read or is damaged only costs the times of its conditions: the next write replaces it. */
function readState(files: Files, path: string): { text: string | null; state: VfioNodeState | null } {
  try {
    const text = files.readText(path);
    const state: unknown = JSON.parse(text);
    const isState = typeof state === 'object' && state !== null && 'status' in state;
    return isState ? { text, state: state as VfioNodeState } : { text: null, state: null };
  } catch (error) {
    if (error instanceof FileError || error instanceof SyntaxError) return { text: null, state: null };
    throw error;
  }
}
