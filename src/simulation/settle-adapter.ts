// The event loop's own ways to let everything settle.

/** Resolves when nothing but timers and I/O is left to do: all microtasks and all process.nextTick callbacks run before an immediate. */
export function settleByImmediate(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/**
 * Resolves when no promise is left to settle: Node runs a tick's callback once the microtask queue is empty. Much quicker than an
 * immediate, which goes once around the event loop; enough for code that awaits promises alone. Unhandled rejections are reported by
 * Node only once nobody asks for another tick: let an immediate pass now and then.
 */
export function settleByTick(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
