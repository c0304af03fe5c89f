// A container keeps the directory that it was given when it was started: one that takes its place on the host is never seen through that
// mount. The host's root, mounted beside it, shows the new one. Only a new container gets it, so the agent has to end.
import { entryIdentity } from '../kubelet/plugin-socket.ts';
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, Timer } from '../runtime/ports.ts';

/** Milliseconds between two looks. */
const interval = 1_000;

/** One directory under the path it has here, and under the one by which the host's root shows it. */
export interface MountedDirectory {
  readonly path: string;
  readonly onHost: string;
}

/**
 * Calls `replaced` once, with a sentence, when two looks in a row have found another directory at `onHost` than at `path`. Where either
 * is missing or cannot be read there is nothing to compare.
 */
export function watchMount(
  { files, clock }: { readonly files: Files; readonly clock: Clock },
  { path, onHost }: MountedDirectory,
  replaced: (why: string) => void,
): { close(): void } {
  let seen: string | null = null;
  let timer: Timer | null = null;
  const look = (): void => {
    const own = identity(files, path);
    const host = identity(files, onHost);
    const other = own === null || host === null || own === host ? null : host;
    if (other !== null && other === seen)
      return replaced(
        `${path} was replaced on the host; this container has the old one, the next one gets the new one`,
      );
    seen = other;
    timer = clock.after(interval, look);
  };
  look();
  return { close: () => timer?.cancel() };
}

function identity(files: Files, path: string): string | null {
  try {
    return entryIdentity(files, path);
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}
