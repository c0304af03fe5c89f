// The program above its adapters: reads the arguments, runs one command, tells failures, answers with the exit code. Commands are
// loaded when they run, so that looking up a device does not wait for the policy schema.
import type { CliParts } from './cli-parts.ts';
import { runCommandLine } from './config.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';

/** Runs one command line (as in process.argv). Never rejects. */
export async function runProgram(argv: readonly string[], parts: CliParts): Promise<ExitCode> {
  try {
    return await runCommandLine(argv, {
      devices: async (options) => (await import('./devices-command.ts')).runDevices(options, parts),
      match: async (options) => (await import('./match-command.ts')).runMatch(options, parts),
      plan: async (options) => (await import('./plan-command.ts')).runPlan(options, parts),
      explain: async (options) => (await import('./explain-command.ts')).runExplain(options, parts),
      clusterStatus: async (options) => (await import('./cluster-status-command.ts')).runClusterStatus(options, parts),
      kubeVirtPatch: async (options) => (await import('./kubevirt-command.ts')).runKubeVirtPatch(options, parts),
      status: async (options) => (await import('./status-command.ts')).runStatus(options, parts),
      release: async (options) => (await import('./release-command.ts')).runRelease(options, parts),
    });
  } catch (error) {
    if (error instanceof CommandFailed) {
      parts.terminal.note(error.message);
      return error.exitCode;
    }
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    parts.terminal.note(`vfio-operator failed: ${message}`);
    return exitCodes.failure;
  }
}
