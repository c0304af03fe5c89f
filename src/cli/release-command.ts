// `release ADDRESS`: gives one device back. A running agent is asked to; without one the command takes the host lock and does it
// itself, by the agent's own planner and engine. While a policy in force wants the device, the answer is no.
import { askOwner, controlSocket, type ControlAnswer } from '../host/host-lock.ts';
import { FileError } from '../runtime/ports.ts';
import type { CliParts } from './cli-parts.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import { parseAddress } from './match-subject.ts';
import type { NodeOptions } from './node-options.ts';

export interface ReleaseOptions extends NodeOptions {
  readonly address: string;
  /** Whether this node has a kubelet, whose pods may hold devices; never guessed. Counts only where no agent runs. */
  readonly kubelet: 'required' | 'none';
  readonly kubeletRoot: string;
}

/** The command. `failure` when the device was not given back, with the reason on standard error. */
export async function runRelease(options: ReleaseOptions, parts: CliParts): Promise<ExitCode> {
  if (options.root !== null)
    throw new CommandFailed(exitCodes.usage, 'release writes to this machine; it has no business with --root');
  const address = parseAddress(options.address);
  const answer =
    (await askAgent(options.state, address, parts)) ??
    (await (await import('./release-without-agent.ts')).releaseWithoutAgent(address, options, parts));
  if (answer.ok) parts.terminal.out(answer.message);
  else parts.terminal.note(answer.message);
  return answer.ok ? exitCodes.ok : exitCodes.failure;
}

/** Null when no agent is there. */
async function askAgent(state: string, address: string, parts: CliParts): Promise<ControlAnswer | null> {
  try {
    return await askOwner(parts.sockets, state, { command: 'release', address });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    switch (error.code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return null;
      case 'EACCES':
        throw new CommandFailed(exitCodes.failure, `${controlSocket(state)}: EACCES; release needs root`, {
          cause: error,
        });
      case 'ETIMEDOUT':
        throw new CommandFailed(
          exitCodes.failure,
          `the agent has not answered on ${controlSocket(state)} within a minute; it may still release ${address}: see vfio-operator status`,
          { cause: error },
        );
      default:
        throw new CommandFailed(exitCodes.failure, `the agent could not be asked: ${error.message}`, { cause: error });
    }
  }
}
