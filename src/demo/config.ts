// The demo's arguments and surroundings. Nothing else in the demo reads them.
import { Command } from 'commander';
import { wantsColour } from '../cli/config.ts';
import { exitCodes } from '../cli/exit-codes.ts';

export interface DemoConfig {
  /** Waits for a reader. */
  readonly paced: boolean;
  readonly colour: boolean;
  /** Columns to write in. */
  readonly width: number;
}

/** Reads the arguments after `demo`; after help and usage errors the process ends. */
export function readDemoConfig(
  args: readonly string[],
  output: { readonly isTTY?: boolean; readonly columns?: number },
): DemoConfig {
  const isTerminal = output.isTTY === true;
  const { fast } = new Command('vfio-operator demo')
    .description(
      "Runs the agent's real code on a simulated node and tells what it does. Touches nothing on this machine.",
    )
    .option('--fast', 'do not wait for a reader (a pipe never does)')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? exitCodes.ok : exitCodes.usage))
    .parse([...args], { from: 'user' })
    .opts<{ readonly fast?: true }>();
  // A terminal that does not know its size says 0.
  const width = output.columns === undefined || output.columns === 0 ? 100 : output.columns;
  return { paced: isTerminal && fast !== true, colour: wantsColour(isTerminal), width };
}
