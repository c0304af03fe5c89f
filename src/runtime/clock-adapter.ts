// The real clock. Its timers are unref'd: a program that has nothing but timers left may end.
import type { Clock } from './ports.ts';

// Node fires a timer with a longer delay at once.
const longestDelay = 2 ** 31 - 1;

/** The machine's clock. */
export function createClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (milliseconds, run) => {
      const timer = setTimeout(run, Math.min(milliseconds, longestDelay));
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}
