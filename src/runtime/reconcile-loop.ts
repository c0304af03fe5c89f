// The level-based loop: whatever happens only says "look again". Guarantees: one run at a time; triggers during a run lead to
// exactly one more; a run that throws is tried again with growing back-off; `stop` waits for the run in progress.
import type { Clock, Timer } from './ports.ts';

/** What one run answers: in how many milliseconds to look again at the latest. */
export interface RunResult {
  readonly again: number;
}

export interface ReconcileLoopOptions {
  readonly clock: Clock;
  /** One pass. `reasons` are the triggers that led to it; `signal` is aborted when the loop is to stop. */
  readonly run: (reasons: readonly string[], signal: AbortSignal) => Promise<RunResult>;
  /** A pass threw; the next one comes after `retryIn` milliseconds. */
  readonly onError: (error: unknown, retryIn: number) => void;
  /** Triggers within this many milliseconds are taken together. */
  readonly settle?: number;
}

export interface ReconcileLoop {
  /** Asks for a pass. */
  trigger(reason: string): void;
  /** Resolves when the pass in progress has ended; no other begins. */
  stop(): Promise<void>;
}

const firstRetry = 500;
const lastRetry = 30_000;

/** Starts the loop; the first pass begins at once. */
export function startReconcileLoop(options: ReconcileLoopOptions): ReconcileLoop {
  const { clock, run, onError, settle = 50 } = options;
  const abort = new AbortController();
  let reasons: string[] = ['start'];
  let timer: Timer | null = null;
  let dueAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | null = null;
  let retry = firstRetry;

  const schedule = (delay: number): void => {
    const at = clock.monotonic() + delay;
    if (abort.signal.aborted || (timer !== null && dueAt <= at)) return;
    timer?.cancel();
    dueAt = at;
    timer = clock.after(delay, begin);
  };
  const begin = (): void => {
    timer = null;
    dueAt = Number.POSITIVE_INFINITY;
    if (running !== null || abort.signal.aborted) return;
    const because = reasons.length > 0 ? reasons : ['timer'];
    reasons = [];
    running = pass(because).finally(() => {
      running = null;
      if (reasons.length > 0) schedule(settle);
    });
  };
  const pass = async (because: readonly string[]): Promise<void> => {
    try {
      const { again } = await run(because, abort.signal);
      retry = firstRetry;
      schedule(again);
    } catch (error) {
      onError(error, retry);
      schedule(retry);
      retry = Math.min(retry * 2, lastRetry);
    }
  };
  schedule(0);
  return {
    trigger(reason) {
      if (!reasons.includes(reason)) reasons.push(reason);
      if (running === null) schedule(settle);
    },
    async stop() {
      abort.abort();
      timer?.cancel();
      await running;
    },
  };
}
