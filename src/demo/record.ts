// Everything that happened on the demo's node, in order: what was written to the kernel, what was said over gRPC, what the agent
// logged. Chapters read it; nobody writes to it but the taps.
import type { Logger } from '../runtime/logger.ts';

/** One write to a file of the kernel, with what the kernel answered and what is read back there right afterwards. */
export interface KernelWrite {
  readonly kind: 'Write';
  readonly path: string;
  readonly text: string;
  /** `ok`, an errno name, or `no answer`. */
  readonly answer: string;
  readonly readBack: string | null;
}

/** One program run on the host. */
export interface CommandRun {
  readonly kind: 'Command';
  readonly command: string;
  readonly code: number | null;
}

/** One message over gRPC: a call with its answer, or one message of a stream (its request is empty). */
export interface GrpcMessage {
  readonly kind: 'Grpc';
  /** Path of the socket. */
  readonly socket: string;
  /** `/package.Service/Method`. */
  readonly method: string;
  readonly request: Uint8Array;
  /** null: the call failed, with `failure`. */
  readonly response: Uint8Array | null;
  readonly failure: string | null;
}

/** One line of the agent's log. */
export interface LogLine {
  readonly kind: 'Log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** Anything that happened; `at` in milliseconds of virtual time since the node was switched on. */
export type Happening = (KernelWrite | CommandRun | GrpcMessage | LogLine) & { readonly at: number };

/** What happened, oldest first. */
export interface NodeRecord {
  readonly happenings: readonly Happening[];
  add(happening: KernelWrite | CommandRun | GrpcMessage | LogLine): void;
  /** What happened since the record was `from` long. */
  since(from: number): readonly Happening[];
}

/** An empty record; `now` in milliseconds. */
export function createNodeRecord(now: () => number): NodeRecord {
  const happenings: Happening[] = [];
  return {
    happenings,
    add: (happening) => void happenings.push({ ...happening, at: now() }),
    since: (from) => happenings.slice(from),
  };
}

/** A logger that writes to the record alone. */
export function createRecordingLogger(record: NodeRecord): Logger {
  const log =
    (level: LogLine['level']) =>
    (fields: object, message: string): void =>
      record.add({ kind: 'Log', level, fields: { ...fields }, message });
  const logger: Logger = {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: () => logger,
  };
  return logger;
}
