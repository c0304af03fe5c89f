// Time that passes only when told to. Timers fire in order of their time, equal ones in order of their making; between two timers
// everything that was promised is let settle, so that one seed always gives one history.
import type { Clock, Timer } from '../runtime/ports.ts';

/** The Clock port with a hand on it. */
export interface VirtualClock extends Clock {
  /** Lets `milliseconds` pass and fires what falls due. */
  advance(milliseconds: number): Promise<void>;
  /** Lets time pass until `done`; false when that did not come within `limit` milliseconds. */
  runUntil(done: () => boolean, limit: number): Promise<boolean>;
  /** Lets time pass until no timer is pending, at most `limit` milliseconds; says whether none is. */
  runUntilIdle(limit: number): Promise<boolean>;
  /** Lets pending promises settle; no time passes. */
  settle(): Promise<void>;
  /** Moves the wall clock alone, as an administrator or NTP does. */
  jump(milliseconds: number): void;
  /** Timers not yet fired or cancelled. */
  readonly pending: number;
}

/** How the clock begins. */
export interface VirtualClockOptions {
  /** Wall clock at the beginning, milliseconds since the epoch; default 2026-01-01. */
  readonly startsAt?: number;
  /**
   * Lets all pending promises settle. The default yields to the microtask queue many times, which suffices for code that only
   * awaits promises; `settleByImmediate` also waits for streams and `process.nextTick`.
   */
  readonly settle?: () => Promise<void>;
}

interface PendingTimer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const microtaskTurns = 256;

/** Builds a clock that stands still. */
export function createVirtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const settle = options.settle ?? settleByMicrotasks;
  let wall = options.startsAt ?? Date.UTC(2026, 0, 1);
  let monotonic = 0;
  let order = 0;
  const timers = new Set<PendingTimer>();

  const next = (): PendingTimer | null => {
    let first: PendingTimer | null = null;
    for (const timer of timers) {
      if (first === null || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) first = timer;
    }
    return first;
  };
  const passTo = (at: number): void => {
    wall += Math.max(0, at - monotonic);
    monotonic = Math.max(monotonic, at);
  };
  const fireUntil = async (end: number, done: () => boolean): Promise<boolean> => {
    await settle();
    while (!done()) {
      const timer = next();
      if (timer === null || timer.at > end) return false;
      passTo(timer.at);
      timers.delete(timer);
      timer.run();
      await settle();
    }
    return true;
  };

  return {
    now: () => wall,
    monotonic: () => monotonic,
    after(milliseconds, run): Timer {
      const timer = { at: monotonic + Math.max(0, milliseconds), order: order++, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    async advance(milliseconds) {
      const end = monotonic + milliseconds;
      await fireUntil(end, () => false);
      passTo(end);
    },
    async runUntil(done, limit) {
      const end = monotonic + limit;
      const reached = await fireUntil(end, done);
      if (!reached) passTo(end);
      return reached || done();
    },
    runUntilIdle: async (limit) => (await fireUntil(monotonic + limit, () => timers.size === 0)) || timers.size === 0,
    settle,
    jump: (milliseconds) => void (wall += milliseconds),
    get pending() {
      return timers.size;
    },
  };
}

async function settleByMicrotasks(): Promise<void> {
  for (let turn = 0; turn < microtaskTurns; turn += 1) await Promise.resolve();
}
