// The built agent as a process of the benches: started with a state directory, a kubelet stand-in and a host of its own, and its
// memory read as the kernel accounts for it.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpc } from '../src/kubelet/grpc-adapter.ts';
import { createClock } from '../src/runtime/clock-adapter.ts';
import { createFiles } from '../src/runtime/files-adapter.ts';
import { KubeletStandIn } from '../src/simulation/kubelet-stand-in.ts';

const startPatience = 120_000;

/** As README and docs/operations.md say to start it. */
export const recommendedFlags = ['--max-semi-space-size=1', '--optimize-for-size', '--no-opt', '--no-maglev'] as const;

/** Where one agent lives. */
export interface Place {
  /** Holds `dist` (a copy of the build) and `policies`, for all agents of a bench. */
  readonly root: string;
  /** State and kubelet's directories, for this one. */
  readonly directory: string;
  readonly hostRoot: string;
}

export interface RunningAgent {
  readonly process: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
}

/** Memory in kB; `seconds` of processor time since the process began. */
export interface Sample {
  readonly resident: number;
  readonly anonymous: number;
  readonly seconds: number;
}

/** Writes a policy file for the bench's agents. */
export function writePolicy(root: string, name: string, spec: unknown): void {
  const directory = join(root, 'policies');
  mkdirSync(directory, { recursive: true });
  const document = { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioPolicy', metadata: { name }, spec };
  writeFileSync(join(directory, `${name}.json`), JSON.stringify(document));
}

/** A kubelet stand-in in the agent's place, not started. */
export function createBenchKubelet({ directory }: Place): KubeletStandIn {
  return new KubeletStandIn(
    { grpc: createGrpc(), files: createFiles(), clock: createClock() },
    {
      directory: join(directory, 'device-plugins'),
      podResourcesDirectory: join(directory, 'pod-resources'),
      registryDirectory: null,
    },
  );
}

/** Starts the agent of `root/dist`, with policies from `root/policies` unless `origin` has other flags. */
export function startBuiltAgent(
  nodeFlags: readonly string[],
  { root, directory, hostRoot }: Place,
  origin: Readonly<Record<string, string>> = { '--policies': join(root, 'policies') },
): RunningAgent {
  const flags = {
    '--host-root': hostRoot,
    ...origin,
    '--state': join(directory, 'state'),
    '--kubelet': 'required',
    '--device-plugins-dir': join(directory, 'device-plugins'),
    '--kubelet-root': directory,
    '--listen': '127.0.0.1:0',
  };
  const command = [join(root, 'dist/main.mjs'), 'agent', '--no-load-modules', ...Object.entries(flags).flat()];
  const child = spawn(process.execPath, [...nodeFlags, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  return { process: child, output: () => output };
}

/** Waits until kubelet has `count` allocatable devices of every resource; throws with the agent's output when that does not happen. */
export async function waitUntilRegistered(
  kubelet: KubeletStandIn,
  agent: RunningAgent,
  counts: Readonly<Record<string, number>>,
): Promise<void> {
  const until = performance.now() + startPatience;
  const missing = () =>
    Object.entries(counts).filter(([resource, count]) => kubelet.resources().get(resource)?.allocatable !== count);
  while (missing().length > 0) {
    if (agent.process.exitCode !== null || performance.now() > until)
      throw new Error(`the agent has not registered ${JSON.stringify(missing())}:\n${agent.output()}`);
    await sleep(2);
  }
}

/** Memory and processor time of a process now; zeros when it has just ended. */
export function readSample(pid: number): Sample {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
    return {
      resident: kilobytes('VmRSS'),
      anonymous: kilobytes('RssAnon'),
      seconds: (Number(ticks[11]) + Number(ticks[12])) / 100,
    };
  } catch {
    return { resident: 0, anonymous: 0, seconds: 0 };
  }
}
