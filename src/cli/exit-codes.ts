// How a command ends. The numbers are a promise to scripts; docs/cli.md lists them.

export const exitCodes = {
  /** The question was answered, also where the answer is "nothing", "refused" or "unknown". */
  ok: 0,
  /** Something went wrong while doing it. */
  failure: 1,
  /** The command line or an input file is wrong; nothing was done. */
  usage: 2,
  /** There is no such device. */
  notFound: 3,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with this code; the message is all that a person is told, so it says what to do. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
