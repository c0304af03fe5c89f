// Runs the real program, as a process as a person would or within the test's own, and hands back what it said.
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { runProgram } from '../../src/cli/program.ts';
import { createTerminal } from '../../src/cli/terminal.ts';
import { createKernelWorker } from '../../src/host/kernel-worker-adapter.ts';
import { createClock } from '../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../src/runtime/files-adapter.ts';
import { createSockets } from '../../src/runtime/sockets-adapter.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** How a run ended. */
export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `vfio-operator` from the sources. Without `env`, nothing of ours is in its environment. */
export function runCli(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly user?: number; readonly cwd?: string } = {},
): CliRun {
  const result = spawnSync(process.execPath, [join(repository, 'src/main.ts'), ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', ...options.env },
    cwd: options.cwd ?? repository,
    timeout: 60_000,
    ...(options.user === undefined ? {} : { uid: options.user, gid: options.user }),
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** The same without blocking this process, for when it is what the program talks to. */
export async function startCli(args: readonly string[]): Promise<CliRun> {
  const child = spawn(process.execPath, [join(repository, 'src/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

/** Runs the program within this process on the machine's real files: the same code but for the entry, and much quicker. */
export async function runProgramHere(args: readonly string[]): Promise<CliRun> {
  const worker = createKernelWorker({ entry: join(repository, 'src/host/kernel-worker.ts') });
  let stdout = '';
  let stderr = '';
  const unexpected = (): never => {
    throw new Error('nothing here writes, or asks kubelet');
  };
  const code = await runProgram(['node', 'vfio-operator', ...args], {
    files: createFiles(),
    clock: createClock(),
    sockets: createSockets(),
    terminal: createTerminal(
      (text) => (stdout += text),
      (text) => (stderr += text),
      { colour: false },
    ),
    worker,
    proofs: {},
    readPods: unexpected,
    writer: unexpected,
    openCluster: unexpected,
    toYaml: (value) => Promise.resolve(stringify(value)),
  });
  worker.close();
  return { code, stdout, stderr };
}

/** Runs here and reads the answer of `-o json`. */
export async function askHere(args: readonly string[]): Promise<unknown> {
  const run = await runProgramHere([...args, '-o', 'json']);
  if (run.code !== 0) throw new Error(`vfio-operator ${args.join(' ')} ended with ${run.code}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}
