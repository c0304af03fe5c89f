// The demo's arguments and surroundings. Nothing else in the demo reads them.
import { Command } from 'commander';
import { wantsColour } from '../cli/config.ts';

export interface DemoConfig {
  /** Waits for a reader. */
  readonly paced: boolean;
  readonly colour: boolean;
  /** Columns to write in. */
  readonly width: number;
}

/** Reads the arguments after `demo`; help and usage errors end the process as commander does. */
export function readDemoConfig(
  args: readonly string[],
  output: { readonly isTTY?: boolean; readonly columns?: number },
): DemoConfig {
  const isTerminal = output.isTTY === true;
  const command = new Command('vfio-operator demo')
    .description(
      "Runs the agent's real code on a simulated node and tells what it does. Touches nothing on this machine.",
    )
    .option('--fast', 'do not wait for a reader (a pipe never does)', false)
    .parse([...args], { from: 'user' });
  const { fast } = command.opts<{ fast: boolean }>();
  return { paced: isTerminal && !fast, colour: wantsColour(isTerminal), width: output.columns ?? 100 };
}
