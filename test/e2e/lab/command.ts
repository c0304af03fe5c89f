// Runs a program of the test machine and returns what it printed; a failure carries the command and its words.

import { spawn } from 'node:child_process';
import { LabError } from './lab-error.ts';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the failure should tell the person to do. */
  readonly hint?: string;
}

/**
 * Runs `argv` without a shell and returns its stdout.
 * Throws LabError when it cannot be started or does not exit with 0; both outputs are in the message.
 */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const outcome = await attempt(argv, options);
  if (outcome.code === 0) return outcome.stdout;
  throw new LabError(`${argv.join(' ')} exited with ${outcome.code ?? 'a signal'}.`, {
    detail: `${outcome.stdout}\n${outcome.stderr}`,
    ...(options.hint === undefined ? {} : { hint: options.hint }),
  });
}

/** As `run`, but an exit code other than 0 is a result. Throws LabError only when the program cannot be started. */
export async function attempt(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const [program, ...rest] = argv;
  if (program === undefined) throw new LabError('An empty command was given.');
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      const hint = options.hint ?? `install the Debian package that has ${program}`;
      reject(new LabError(`${program} cannot be started: ${cause.message}.`, { hint, cause }));
    });
    child.once('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}
