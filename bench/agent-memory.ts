// What the agent costs a node on which nothing happens: the built program as a process, with 64 devices that are on vfio-pci already
// and that it adopts, registered with the kubelet stand-in over real sockets. Prints the time from the process's start to kubelet
// knowing all devices, then memory and processor time after the idle time, beside a bare Node process and one that has only loaded
// the agent's two largest libraries, all of one run. Its kernel worker counts: it is there for half of the time.
// Run as root: node bench/agent-memory.ts [--idle SECONDS]
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { KubeletStandIn } from '../src/simulation/kubelet-stand-in.ts';
import {
  createBenchKubelet,
  readSample,
  recommendedFlags,
  startBuiltAgent,
  waitUntilRegistered,
  writePolicy,
  type Place,
  type RunningAgent,
  type Sample,
} from './built-agent.ts';
import { buildVfioHost, usualVfioAliases } from './vfio-host.ts';

const deviceCount = 64;
const resource = 'vfio-operator.dev/bench';
const startCount = 7;
/** Samples are taken over the end of the idle time: the kernel worker comes and goes with each look. */
const longestSampling = 60;
const repository = fileURLToPath(new URL('..', import.meta.url));
const build = join(repository, 'dist');

const { values } = parseArgs({ options: { idle: { type: 'string', default: '20' } } });
const idle = Number(values.idle);
const sampled = Math.min(longestSampling, Math.floor(idle / 2));
if (process.getuid?.() !== 0) {
  console.log('agent memory: not measured. It needs root: else proofs are blind and no device is adopted.');
} else if (!existsSync(build)) {
  throw new Error(`${build} is missing; npm run build makes it`);
} else {
  await measure();
}

/** One agent with a kubelet of its own, on the host that all share and nobody writes to. */
interface Candidate {
  readonly name: string;
  readonly agent: RunningAgent;
  /** Milliseconds from the process's start until kubelet had all devices. */
  readonly registeredAfter: number;
}

async function measure(): Promise<void> {
  const host = buildVfioHost(deviceCount, usualVfioAliases);
  const root = mkdtempSync(join(tmpdir(), 'agent-memory-'));
  const children: ChildProcess[] = [];
  const kubelets: KubeletStandIn[] = [];
  try {
    // A copy: a build that is made meanwhile changes nothing.
    cpSync(build, join(root, 'dist'), { recursive: true });
    const spec = { devices: [{ vendor: '8086', class: '02' }], allow: ['NotOurs'], resource: { name: resource } };
    writePolicy(root, 'bench', spec);
    const starts = await measureStarts({ root, hostRoot: host.path }, children, kubelets);
    const candidates: Candidate[] = [];
    for (const [name, nodeFlags] of [
      ['agent', recommendedFlags],
      ['agent, without the flags', []],
    ] as const) {
      const directory = join(root, String(candidates.length));
      mkdirSync(directory);
      const candidate = await startCandidate(
        name,
        nodeFlags,
        { root, directory, hostRoot: host.path },
        children,
        kubelets,
      );
      candidates.push(candidate);
    }
    children.push(startNode('setInterval(() => {}, 60_000)'));
    children.push(startNode("await import('@grpc/grpc-js'); await import('pino'); setInterval(() => {}, 60_000)"));
    const samples = await sampleAfterIdle(children);
    console.log(`${deviceCount} devices adopted; ${host.procNote}`);
    console.log(`\n${startCount} times (ms, min / median)`);
    console.log(`from process start to all devices adopted and known to kubelet   ${shortest(starts)}`);
    console.log(`for comparison, a node process that does nothing                 ${shortest(measureBareStarts())}`);
    report(samples, candidates);
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await sleep(500);
    for (const kubelet of kubelets) await kubelet.stop();
    host.remove();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Starts an agent with an empty state directory several times, and ends it; the times until it is registered, least first. */
async function measureStarts(
  place: Omit<Place, 'directory'>,
  children: ChildProcess[],
  kubelets: KubeletStandIn[],
): Promise<readonly number[]> {
  const times: number[] = [];
  for (let start = 0; start < startCount; start += 1) {
    const directory = join(place.root, `start-${start}`);
    mkdirSync(directory);
    const { agent, registeredAfter } = await startCandidate(
      '',
      recommendedFlags,
      { ...place, directory },
      children,
      kubelets,
    );
    times.push(registeredAfter);
    const ended = new Promise((resolve) => void agent.process.once('exit', resolve));
    agent.process.kill('SIGTERM');
    await ended;
    children.pop();
    await kubelets.pop()?.stop();
  }
  return times.toSorted((a, b) => a - b);
}

function measureBareStarts(): readonly number[] {
  const times = Array.from({ length: startCount }, () => {
    const started = performance.now();
    spawnSync(process.execPath, ['-e', '0']);
    return performance.now() - started;
  });
  return times.toSorted((a, b) => a - b);
}

function shortest(times: readonly number[]): string {
  return `${times[0]?.toFixed(0)} / ${times[times.length >> 1]?.toFixed(0)}`;
}

async function startCandidate(
  name: string,
  nodeFlags: readonly string[],
  place: Place,
  children: ChildProcess[],
  kubelets: KubeletStandIn[],
): Promise<Candidate> {
  const kubelet = createBenchKubelet(place);
  kubelets.push(kubelet);
  await kubelet.start();
  const started = performance.now();
  const agent = startBuiltAgent(nodeFlags, place);
  children.push(agent.process);
  await waitUntilRegistered(kubelet, agent, { [resource]: deviceCount });
  return { name, agent, registeredAfter: performance.now() - started };
}

function startNode(code: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', code], { cwd: repository, stdio: 'ignore' });
}

/** Each process's samples, oldest first; the first one's children, all together, come last. */
async function sampleAfterIdle(children: readonly ChildProcess[]): Promise<readonly (readonly Sample[])[]> {
  await sleep((idle - sampled) * 1000);
  const all: Sample[][] = [...children, null].map(() => []);
  for (let second = 0; second <= sampled; second += 1) {
    for (const [index, child] of children.entries()) all[index]?.push(readSample(child.pid ?? 0));
    const workers = childrenOf(children[0]?.pid ?? 0).map(readSample);
    all.at(-1)?.push({
      resident: sum(workers.map((one) => one.resident)),
      anonymous: sum(workers.map((one) => one.anonymous)),
      seconds: sum(workers.map((one) => one.seconds)),
    });
    await sleep(1000);
  }
  return all;
}

function childrenOf(parent: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false;
      }
    });
}

function report(samples: readonly (readonly Sample[])[], candidates: readonly Candidate[]): void {
  const agents = candidates.map(({ name }) => name);
  const names = [...agents, 'node, bare', 'node, grpc-js and pino loaded', "the first agent's workers"];
  const bare = Math.min(...(samples[agents.length] ?? []).map((one) => one.resident));
  console.log(`\nafter ${idle} s, over the last ${sampled} s (MiB, min / median / max)`);
  console.log(
    `${'process'.padEnd(32)}${'resident'.padStart(24)}${'anonymous'.padStart(24)}${'to bare node'.padStart(14)}`,
  );
  for (const [index, one] of samples.entries()) {
    const resident = one.map((sample) => sample.resident).toSorted((a, b) => a - b);
    const anonymous = one.map((sample) => sample.anonymous).toSorted((a, b) => a - b);
    const ratio = ((resident[resident.length >> 1] ?? 0) / bare).toFixed(2);
    console.log(`${(names[index] ?? '').padEnd(32)}${spread(resident)}${spread(anonymous)}${ratio.padStart(14)}`);
  }
  for (const [index, { name, agent }] of candidates.entries()) {
    const own = samples[index] ?? [];
    const spent = (own.at(-1)?.seconds ?? 0) - (own[0]?.seconds ?? 0);
    const percent = ((100 * spent) / Math.max(1, own.length - 1)).toFixed(2);
    const lines = agent
      .output()
      .split('\n')
      .filter((line) => line !== '').length;
    console.log(
      `${name}: ${percent} % of one core while idle, workers not counted; ${lines} log lines since the start`,
    );
  }
}

function spread(kilobytes: readonly number[]): string {
  const mebibytes = (at: number) => ((kilobytes.at(at) ?? 0) / 1024).toFixed(1);
  return `${mebibytes(0)} / ${mebibytes(kilobytes.length >> 1)} / ${mebibytes(-1)}`.padStart(24);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
