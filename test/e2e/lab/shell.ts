// The lab by hand: node test/e2e/lab/shell.ts KERNEL [--small] [--no-iommu] [--no-variants] [--console] [-- 'COMMAND']
// Boots a guest, runs the command in it, prints what it printed, and leaves with its exit code. Without a command every
// line of stdin is one, until its end.

import { createInterface } from 'node:readline';
import { bootGuest } from './boot.ts';
import type { Guest } from './guest.ts';
import type { KernelName } from './kernels.ts';
import { LabError, say } from './lab-error.ts';

const KERNELS: readonly KernelName[] = ['5.10', '6.1', '6.12', '7.x'];
const FLAGS = ['--small', '--no-iommu', '--no-variants', '--console'];

async function main(argv: readonly string[]): Promise<number> {
  const split = argv.indexOf('--');
  const flags = split === -1 ? argv : argv.slice(0, split);
  const command = split === -1 ? undefined : argv.slice(split + 1).join(' ');
  const kernel = KERNELS.find((name) => name === flags[0]);
  const unknown = flags.slice(1).filter((flag) => !FLAGS.includes(flag));
  if (kernel === undefined || command === '' || unknown.length > 0) {
    if (unknown.length > 0) process.stderr.write(`unknown: ${unknown.join(' ')}\n`);
    process.stderr.write(
      `usage: node test/e2e/lab/shell.ts ${KERNELS.join('|')} [${FLAGS.join('] [')}] [-- 'COMMAND']\n`,
    );
    return 2;
  }
  const guest = await bootGuest({
    kernel,
    topology: flags.includes('--small') ? 'small' : 'full',
    iommu: !flags.includes('--no-iommu'),
    variants: !flags.includes('--no-variants'),
  });
  say(`kernel ${guest.release} answered after ${guest.bootSeconds.toFixed(1)} s`);
  const code = command === undefined ? await runLines(guest) : await runOne(guest, command);
  if (flags.includes('--console')) process.stderr.write(guest.console());
  await guest.shutdown();
  return code;
}

async function runOne(guest: Guest, command: string): Promise<number> {
  const end = await guest.exec(command, { timeoutMs: 0 });
  process.stdout.write(end.stdout);
  process.stderr.write(end.stderr);
  return end.code ?? 1;
}

/** Runs stdin's lines one after the other; the last one's exit code is the result. */
async function runLines(guest: Guest): Promise<number> {
  let code = 0;
  if (process.stdin.isTTY) say('one command a line, Ctrl-D switches the guest off');
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') code = await runOne(guest, line);
  }
  return code;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
