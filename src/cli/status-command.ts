// `status`: what the agent on this host says of itself; where none runs, what the last one left in its state directory, and how old
// that is.
import type { VfioNodeState } from '../api/generated/types.ts';
import type { Unread } from '../domain/device.ts';
import { askOwner, controlSocket, type ControlAnswer } from '../host/host-lock.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import { printAnswer, type CliParts, type OutputFormat } from './cli-parts.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import type { HostOptions } from './open-host.ts';
import { renderStatus } from './render-status.ts';

export interface StatusOptions extends HostOptions {
  readonly state: string;
  readonly output: OutputFormat;
}

/** The answer, as `-o json` prints it. */
export interface StatusAnswer {
  /** Null when it cannot be told: the state directory is not ours to read. */
  readonly running: boolean | null;
  /** The running agent's own words; null without one. */
  readonly agent: ControlAnswer | null;
  /** The node state in the file, as the last agent wrote it; null when there is none. */
  readonly lastState: LastState | null;
  readonly unread: readonly Unread[];
}

export interface LastState {
  readonly path: string;
  /** ISO 8601. */
  readonly writtenAt: string;
  readonly document: VfioNodeState;
}

/** The command. `ok` also where there is no agent and never was one: `running` says so. */
export async function runStatus(options: StatusOptions, parts: CliParts): Promise<ExitCode> {
  const unread: Unread[] = [];
  // The agent of a copied host runs elsewhere; a socket in the copy leads nowhere.
  const agent = options.root === null ? await askAgent(options.state, parts, unread) : null;
  const refused = unread.length > 0;
  const lastState = agent === null ? readLastState(parts.files, `${options.state}/node-state.json`, unread) : null;
  const running = agent !== null ? true : refused ? null : false;
  const answer: StatusAnswer = { running, agent, lastState, unread };
  await printAnswer(parts, options.output, answer, () =>
    renderStatus(answer, options.state, parts.clock.now(), parts.terminal.paint),
  );
  return exitCodes.ok;
}

/** Null when nobody listens, or it cannot be asked (then `unread` says why). */
async function askAgent(state: string, parts: CliParts, unread: Unread[]): Promise<ControlAnswer | null> {
  try {
    return await askOwner(parts.sockets, state, { command: 'status' });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED')
      unread.push({ source: controlSocket(state), why: describeSilence(error.code) });
    return null;
  }
}

function describeSilence(code: string): string {
  if (code === 'EACCES') return 'EACCES: only root may ask the agent';
  return code === 'ETIMEDOUT' ? 'ETIMEDOUT: an agent is there, and does not answer' : code;
}

function readLastState(files: Files, path: string, unread: Unread[]): LastState | null {
  try {
    const document = JSON.parse(files.readText(path)) as VfioNodeState;
    return { path, writtenAt: new Date(files.stat(path).modifiedAt).toISOString(), document };
  } catch (error) {
    if (error instanceof SyntaxError) unread.push({ source: path, why: `no JSON: ${error.message}` });
    else if (!(error instanceof FileError)) throw error;
    else if (error.code !== 'ENOENT') unread.push({ source: path, why: error.code });
    return null;
  }
}
