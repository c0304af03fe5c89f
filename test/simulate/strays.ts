// Promises that nobody waits for. In a process that was killed they are no matter: its code ran on to its next look at the machine and
// found itself dead. Any other is a bug, also where nothing else shows it.

/** Takes the place of whoever listens now; `close` gives it back. */
export function listenForStrays(): { take(): readonly string[]; close(): void } {
  const before = process.listeners('unhandledRejection');
  const strays: string[] = [];
  const listen = (error: unknown): void => {
    if (error instanceof Error && error.name === 'ProcessKilled') return;
    strays.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', listen);
  return {
    take: () => strays.splice(0).map((stray) => `nobody waited for: ${stray}`),
    close() {
      process.removeListener('unhandledRejection', listen);
      for (const one of before) process.on('unhandledRejection', one);
    },
  };
}
