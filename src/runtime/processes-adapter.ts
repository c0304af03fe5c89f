// Real child processes. A command that outlives its deadline is killed and left behind: one that sleeps in the kernel (state D)
// does not die from a signal, and nobody here waits for it.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { CommandResult, Processes } from './ports.ts';
import { parseProcessStatus } from './process-status.ts';

const outputLimit = 1024 * 1024;

/** The machine's processes, seen through the procfs at `/proc`. */
export function createProcesses(): Processes {
  const status = parseProcessStatus(readFileSync('/proc/self/stat', 'utf8'));
  return {
    self: { pid: process.pid, startTime: status?.startTime ?? '0' },
    run: (file, args, options) =>
      options.root === undefined || options.root === '/'
        ? runCommand(file, args, options.deadline)
        : runCommand('chroot', [options.root, file, ...args], options.deadline),
  };
}

function runCommand(file: string, args: readonly string[], deadline: number): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', windowsHide: true });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let open = true;
    const finish = (code: number | null, timedOut: boolean, problem = ''): void => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      resolve({ code, stdout: stdout(), stderr: problem + stderr(), timedOut });
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      child.stdout.destroy();
      child.stderr.destroy();
      finish(null, true);
    }, deadline);
    child.on('error', (error) => finish(127, false, `cannot start ${file}: ${error.message}`));
    child.on('close', (code) => finish(code, false));
  });
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let total = 0;
  stream.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, Math.max(0, outputLimit - total));
    total += kept.length;
    if (kept.length > 0) chunks.push(kept);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
