// Keeps long synchronous work from holding the event loop: call the pause between pieces, and it waits one turn whenever 8 ms of
// work have gone by since the last.
import type { Clock } from '../runtime/ports.ts';

const longestStretch = 8;
const done = Promise.resolve();

/** A pause on this clock. Without a clock it never waits: the clock's timers do not keep a process alive that has nothing else. */
export function createPause(clock: Clock | undefined): () => Promise<void> {
  if (clock === undefined) return () => done;
  let since = clock.monotonic();
  return () => {
    if (clock.monotonic() - since < longestStretch) return done;
    return new Promise((resolve) => {
      clock.after(0, () => {
        since = clock.monotonic();
        resolve();
      });
    });
  };
}
