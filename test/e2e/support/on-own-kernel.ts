// Tests that need the lab's own kernel, which only a person builds: without it they are skipped, counted, and the reason is printed.
import { describe } from 'vitest';
import { cdevProgram } from '../lab/cdev-program.ts';
import { bootGuest } from '../lab/boot.ts';
import type { BootOptions } from '../lab/boot.ts';
import type { Guest, GuestProcess } from '../lab/guest.ts';
import { WITHOUT_SOURCE_KERNEL, cachedSourceKernel } from '../lab/source-kernel.ts';

/** A guest with that kernel, and the program that opens cdevs there. */
export interface OwnKernelGuest {
  readonly guest: Guest;
  /** Starts vfio-cdev with these words (see guest/vfio-cdev.c) and waits until it holds the device; resolves with what it said. */
  holdCdev(...words: readonly string[]): Promise<{ readonly process: GuestProcess; readonly said: string }>;
  /** Runs it where it must fail; resolves with the call and the error, `failed: /dev/vfio/7: Device or resource busy`. */
  failCdev(...words: readonly string[]): Promise<string>;
}

/** As `describe`, for tests on that kernel. */
export function describeOnOwnKernel(name: string, body: () => void): void {
  const inCi = process.env['CI'] === 'true';
  const why = inCi ? 'run by hand, never in CI' : cachedSourceKernel() === undefined ? WITHOUT_SOURCE_KERNEL : null;
  if (why !== null) process.stderr.write(`skipped: ${name}: ${why}\n`);
  describe.skipIf(why !== null)(name, body);
}

/** Boots it. */
export async function bootOwnKernel(options: Omit<BootOptions, 'kernel' | 'visible'>): Promise<OwnKernelGuest> {
  const kernel = cachedSourceKernel();
  if (kernel === undefined) throw new Error(WITHOUT_SOURCE_KERNEL);
  const { directory, path } = await cdevProgram(kernel);
  const guest = await bootGuest({ ...options, kernel: '7.x', visible: [directory] });
  return {
    guest,
    async holdCdev(...words) {
      const holder = await guest.spawn(`exec ${path} ${words.join(' ')}`);
      await holder.waitFor('holding', 30_000);
      return { process: holder, said: holder.stdout().trim() };
    },
    async failCdev(...words) {
      const end = await guest.exec(`exec ${path} ${words.join(' ')} < /dev/null`);
      if (end.code === 0) throw new Error(`vfio-cdev ${words.join(' ')} did not fail: ${end.stdout}`);
      return end.stdout.trim();
    },
  };
}
