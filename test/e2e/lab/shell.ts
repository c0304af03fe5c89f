// The lab by hand: node test/e2e/lab/shell.ts KERNEL [--small] [--no-iommu] [--console] -- 'COMMAND'
// Boots a guest, runs the command in it, prints what it printed, and leaves with its exit code.

import { bootGuest } from './boot.ts';
import type { KernelName } from './kernels.ts';
import { LabError, say } from './lab-error.ts';

const KERNELS: readonly KernelName[] = ['5.10', '6.1', '6.12'];

async function main(argv: readonly string[]): Promise<number> {
  const split = argv.indexOf('--');
  const flags = split === -1 ? argv : argv.slice(0, split);
  const command = split === -1 ? '' : argv.slice(split + 1).join(' ');
  const kernel = KERNELS.find((name) => name === flags[0]);
  const known = ['--small', '--no-iommu', '--console'];
  const unknown = flags.slice(1).filter((flag) => !known.includes(flag));
  if (kernel === undefined || command === '' || unknown.length > 0) {
    if (unknown.length > 0) process.stderr.write(`unknown: ${unknown.join(' ')}\n`);
    process.stderr.write(
      `usage: node test/e2e/lab/shell.ts ${KERNELS.join('|')} [${known.join('] [')}] -- 'COMMAND'\n`,
    );
    return 2;
  }
  const guest = await bootGuest({
    kernel,
    topology: flags.includes('--small') ? 'small' : 'full',
    iommu: !flags.includes('--no-iommu'),
  });
  say(`kernel ${guest.release} answered after ${guest.bootSeconds.toFixed(1)} s`);
  const child = await guest.spawn(command);
  await child.input(null);
  const end = await child.ended;
  process.stdout.write(end.stdout);
  process.stderr.write(end.stderr);
  if (flags.includes('--console')) process.stderr.write(guest.console());
  await guest.shutdown();
  return end.code ?? 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
