// Looks at a directory again and again: at every change that the system tells, and every second, since events get lost and cease for
// ever once the directory itself is replaced.
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, Timer, Watch } from '../runtime/ports.ts';
import { entryIdentity } from './plugin-socket.ts';

/** Milliseconds between two looks when nothing is told. */
const lookInterval = 1000;

/** Calls `look` until stopped. */
export class DirectoryLook {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #directory: string;
  readonly #look: () => void;
  #watch: Watch | null = null;
  #watched: string | null = null;
  #timer: Timer | null = null;
  #running = false;

  constructor(files: Files, clock: Clock, directory: string, look: () => void) {
    this.#files = files;
    this.#clock = clock;
    this.#directory = directory;
    this.#look = look;
  }

  start(): void {
    this.#running = true;
    this.#tick();
  }

  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#watch?.close();
    this.#watch = null;
    this.#watched = null;
  }

  #tick(): void {
    this.#timer = this.#clock.after(lookInterval, () => this.#tick());
    this.#rewatch();
    this.#look();
  }

  /** A watch belongs to an inode, not to a path: begin anew when the directory is another. */
  #rewatch(): void {
    try {
      const identity = entryIdentity(this.#files, this.#directory);
      if (identity === this.#watched) return;
      this.#watch?.close();
      this.#watch = null;
      this.#watched = identity;
      if (identity === null) return;
      this.#watch = this.#files.watch(this.#directory, () => {
        if (this.#running) this.#look();
      });
    } catch (error) {
      // No watch to be had (inotify's limits): the look every second does.
      if (!(error instanceof FileError)) throw error;
    }
  }
}
