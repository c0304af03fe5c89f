// Kernel threads without threads: a kernel call is a generator that yields a condition where the real one would sleep. It runs at
// once up to the first condition that does not hold, and goes on as soon as it does, first come, first served. So every call
// that need not wait is complete when it returns, and one that waits waits exactly as long as its reason.

/** A kernel call. It yields conditions to wait for and returns its result. */
export type Thread<Result> = Generator<() => boolean, Result, void>;

/** A started call: finished, or asleep in the kernel. */
interface Call<Result> {
  readonly state: { readonly done: true; readonly value: Result } | { readonly done: false };
  /** Calls back with the result, at once when it is there already. */
  whenDone(use: (value: Result) => void): void;
}

/** Runs calls. */
export interface Scheduler {
  start<Result>(thread: Thread<Result>): Call<Result>;
  /** Goes on with every call whose condition now holds; to be called after anything changed from outside a call. */
  poll(): void;
  /** Forgets all sleeping calls: the machine they slept in is gone. */
  reset(): void;
  /** How many calls sleep. */
  readonly sleeping: number;
}

interface Sleeper {
  ready: () => boolean;
  /** Runs to the next condition; false when the call has ended. */
  readonly proceed: (sleeper: Sleeper) => boolean;
}

/** Builds a scheduler with nothing to do. */
export function createScheduler(): Scheduler {
  let sleepers: Sleeper[] = [];
  let polling = false;
  let again = false;

  const pollOnce = (): boolean => {
    for (const sleeper of sleepers) {
      if (!sleeper.ready()) continue;
      if (!sleeper.proceed(sleeper)) sleepers = sleepers.filter((other) => other !== sleeper);
      return true;
    }
    return false;
  };
  const poll = (): void => {
    again = true;
    if (polling) return;
    polling = true;
    try {
      while (again) {
        again = false;
        while (pollOnce());
      }
    } finally {
      polling = false;
    }
  };

  return {
    start<Result>(thread: Thread<Result>): Call<Result> {
      let state: Call<Result>['state'] = { done: false };
      const waiting: ((value: Result) => void)[] = [];
      const proceed = (sleeper: Sleeper): boolean => {
        for (;;) {
          const step = thread.next();
          if (step.done === true) {
            state = { done: true, value: step.value };
            for (const use of waiting) use(step.value);
            return false;
          }
          if (!step.value()) {
            sleeper.ready = step.value;
            return true;
          }
        }
      };
      const sleeper: Sleeper = { ready: () => false, proceed };
      if (proceed(sleeper)) sleepers.push(sleeper);
      poll();
      return {
        get state() {
          return state;
        },
        whenDone: (use) => (state.done ? use(state.value) : void waiting.push(use)),
      };
    },
    poll,
    reset: () => void (sleepers = []),
    get sleeping() {
      return sleepers.length;
    },
  };
}

/** A call that never sleeps. */
export function* immediately<Result>(run: () => Result): Thread<Result> {
  yield () => true;
  return run();
}

/** A mutex that serves in order of arrival. */
export interface Lock {
  next: number;
  serving: number;
}

export const createLock = (): Lock => ({ next: 0, serving: 0 });

/** Whether somebody has it. */
export const isLocked = (lock: Lock): boolean => lock.next > lock.serving;

/** Runs `body` under the lock. */
export function* locked<Result>(lock: Lock, body: () => Thread<Result>): Thread<Result> {
  const ticket = lock.next;
  lock.next += 1;
  if (lock.serving !== ticket) yield () => lock.serving === ticket;
  const result = yield* body();
  lock.serving += 1;
  return result;
}
