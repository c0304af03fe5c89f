// The next look, planned: of several wishes the earliest counts.
import type { Clock, Timer } from '../runtime/ports.ts';

export interface LookTimer {
  /** There shall be a look within so many milliseconds. */
  within(delay: number): void;
  /** Plans nothing any more. */
  close(): void;
}

/** Calls `look` when one is due. */
export function createLookTimer(clock: Clock, look: () => void): LookTimer {
  let planned: { readonly at: number; readonly timer: Timer } | null = null;
  let closed = false;
  return {
    within(delay) {
      const at = clock.monotonic() + delay;
      if (closed || (planned !== null && planned.at <= at)) return;
      planned?.timer.cancel();
      const timer = clock.after(delay, () => {
        planned = null;
        look();
      });
      planned = { at, timer };
    },
    close() {
      closed = true;
      planned?.timer.cancel();
    },
  };
}
