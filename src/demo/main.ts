// The demo's entry: a terminal, a reader's pace, and the exit code. The node itself is all in memory.
import { setTimeout } from 'node:timers/promises';
import { createTerminal } from '../cli/terminal.ts';
import { settleByImmediate } from '../simulation/settle-adapter.ts';
import { readDemoConfig } from './config.ts';
import { createDemoStage } from './demo-stage.ts';
import { createNarrator } from './narrator.ts';
import { tellDemo } from './tell-demo.ts';

/** Runs `vfio-operator demo`; `argv` as the process got it. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error) => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const { paced, colour, width } = readDemoConfig(argv.slice(3), process.stdout);
  const terminal = createTerminal(
    (text) => void process.stdout.write(text),
    (text) => void process.stderr.write(text),
    { colour },
  );
  const narrator = createNarrator({
    print: (text) => terminal.out(text),
    paint: terminal.paint,
    width,
    pause: async (milliseconds) => {
      if (paced) await setTimeout(milliseconds);
    },
  });
  const { failure } = await tellDemo(createDemoStage(settleByImmediate), narrator);
  if (failure !== null) {
    terminal.note(`The demo did not go as told: ${failure}`);
    process.exitCode = 1;
  }
}
