// Structured logs: one JSON object per line on standard output, without a worker thread.
import { pino } from 'pino';

/** What the programs log through; the signature is pino's. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: Record<string, unknown>): Logger;
}

/** A logger on standard output, or on `destination` (a file descriptor). Levels: debug, info, warn, error, silent. */
export function createLogger(level: string, destination = 1): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: destination, sync: true }),
  );
}
