// The event loop's own way to let everything settle: all microtasks and all process.nextTick callbacks run before an immediate.

/** Resolves when nothing but timers and I/O is left to do. */
export function settleByImmediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
