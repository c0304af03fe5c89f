// The life of a serving process: started, stopped by SIGTERM or SIGINT with exit code 0, or ended with 1 when it cannot start, or cannot
// go on, for a reason that is no mistake of the program.
import type { Logger } from './logger.ts';

/** A program that runs. */
export interface RunningProgram {
  stop(): Promise<void>;
  /** Resolves to why it cannot go on: whoever started the process must start it again. */
  readonly over?: Promise<string>;
}

export interface ServedProgram {
  readonly logger: Logger;
  start(): Promise<RunningProgram>;
  /** What `start` may reject with; anything else is a programming error and ends the process with its stack. */
  readonly known: readonly (abstract new (...parameters: never[]) => Error)[];
  /** What is logged when it stops, and when the program cannot start. */
  readonly words: { readonly stopping: string; readonly cannotStart: string };
}

/** Starts the program and answers signals. Rejects with a programming error alone. */
export async function serveUntilSignal({ logger, start, known, words }: ServedProgram): Promise<void> {
  // From the first moment: as PID 1 of a container, a signal without a handler would be ignored.
  const starting = Promise.withResolvers<RunningProgram>();
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, words.stopping);
    void starting.promise.then((program) => program.stop()).then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    const program = await start();
    starting.resolve(program);
    void program.over?.then(async (why) => {
      if (stopping) return;
      stopping = true;
      logger.error({ error: why }, words.stopping);
      await program.stop();
      process.exit(1);
    });
  } catch (error) {
    if (!(error instanceof Error) || !known.some((kind) => error instanceof kind)) throw error;
    logger.error({ error: error.message }, words.cannotStart);
    process.exit(1);
  }
}
