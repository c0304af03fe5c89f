// How long one pass of proofs takes on this machine with 500 processes of 20 open files each beside what runs here anyway, and how
// long it holds the event loop at most. The processes are `sleep`s that this program starts and ends.
// Run: node bench/proofs.ts
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { hostPaths } from '../src/host/host-paths.ts';
import { collectProofs } from '../src/host/proof/collect-proofs.ts';
import { createScanner } from '../src/host/scan-inventory.ts';
import { createFiles } from '../src/runtime/files-adapter.ts';

const processCount = 500;
const filesPerProcess = 20;
const runs = 15;

const files = createFiles();
const paths = hostPaths('/');
const inventory = await createScanner({ files, paths }).scan({ wantSerialNumbers: false, alsoList: new Set() });
const interest = new Set(inventory.devices.keys());

const children: ChildProcess[] = [];
try {
  for (let index = 0; index < processCount; index += 1) {
    children.push(spawn('sleep', ['120'], { stdio: Array<'ignore'>(filesPerProcess).fill('ignore') }));
  }
  const samples: { readonly whole: number; readonly longest: number }[] = [];
  for (let run = 0; run < runs; run += 1) samples.push(await measure());
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
  const whole = samples.map((sample) => sample.whole).sort((a, b) => a - b);
  const longest = Math.max(...samples.map((sample) => sample.longest));
  process.stdout.write(
    `${JSON.stringify({
      processes,
      devices: interest.size,
      medianMs: round(whole[Math.floor(runs / 2)] ?? 0),
      worstMs: round(whole.at(-1) ?? 0),
      longestStretchMs: round(longest),
    })}\n`,
  );
} finally {
  for (const child of children) child.kill('SIGKILL');
}

async function measure(): Promise<{ readonly whole: number; readonly longest: number }> {
  const start = performance.now();
  let since = start;
  let longest = 0;
  const pause = async (): Promise<void> => {
    longest = Math.max(longest, performance.now() - since);
    if (performance.now() - since > 8) await new Promise((resolve) => void setTimeout(resolve, 0));
    since = performance.now();
  };
  await collectProofs({ files, paths, inventory, interest, pause });
  const end = performance.now();
  return { whole: end - start, longest: Math.max(longest, end - since) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
