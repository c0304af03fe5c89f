// How long to wait before the next try: growing, random over the whole span (so that a fleet that failed together does not come back
// together), never zero, and never before the server said to come again.
import type { Random } from '../runtime/ports.ts';

export interface Backoff {
  /** Milliseconds to wait. `retryAfter`: what the server asked for, null when it asked for nothing. */
  next(retryAfter: number | null): number;
  /** It worked: the next wait is short again. */
  reset(): void;
}

export interface BackoffOptions {
  readonly random: Random;
  /** Most of the first wait, milliseconds; default 1,000. No wait is shorter than a quarter of it. */
  readonly least?: number;
  /** Most of any wait, milliseconds; default 30,000. */
  readonly most?: number;
}

/** A server that asks for more is broken, or not ours. */
const longestRetryAfter = 600_000;

export function createBackoff({ random, least = 1000, most = 30_000 }: BackoffOptions): Backoff {
  let ceiling = least;
  return {
    next(retryAfter) {
      const floor = least / 4;
      const wait = floor + random.fraction() * (ceiling - floor);
      ceiling = Math.min(most, ceiling * 2);
      return wait + Math.min(longestRetryAfter, retryAfter ?? 0);
    },
    reset() {
      ceiling = least;
    },
  };
}
