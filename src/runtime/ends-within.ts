// Waiting for something, but not for ever.
import type { Clock } from './ports.ts';

/** Whether `promise` settles within `milliseconds`, in whatever way. It goes on if it does not. */
export function endsWithin(promise: Promise<unknown>, clock: Clock, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(milliseconds, () => resolve(false));
    const settled = (): void => {
      timer.cancel();
      resolve(true);
    };
    promise.then(settled, settled);
  });
}
