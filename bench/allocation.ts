// What kubelet waits for: Allocate and GetPreferredAllocation of the built agent over its real socket, with 1, 64 and 1,000 devices, the
// time from a kubelet's restart until it has them all again, and the memory with 1,000 devices over 8 resources. Every Allocate is
// for a device that was not handed out before, and is on disk when it is answered. Run as root: node bench/allocation.ts
import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { call, devicePlugin } from '../src/kubelet/contracts.ts';
import { createGrpc } from '../src/kubelet/grpc-adapter.ts';
import type { GrpcChannel } from '../src/kubelet/ports.ts';
import type { KubeletStandIn } from '../src/simulation/kubelet-stand-in.ts';
import {
  createBenchKubelet,
  readSample,
  recommendedFlags,
  startBuiltAgent,
  waitUntilRegistered,
  writePolicy,
  type Place,
} from './built-agent.ts';
import { buildVfioHost } from './vfio-host.ts';

/** A policy names at most so many addresses. */
const perSelector = 125;
const calls = { prefer: 500, allocate: 500, restarts: 7 };
const deadline = 60_000;
const build = fileURLToPath(new URL('../dist', import.meta.url));

if (process.getuid?.() !== 0) {
  console.log('allocation: not measured. It needs root: else proofs are blind and no device is adopted.');
} else if (!existsSync(build)) {
  throw new Error(`${build} is missing; npm run build makes it`);
} else {
  const keepAlive = setInterval(() => {}, 1000);
  console.log(
    'devices   resources   GetPreferredAllocation p50/p99 ms   Allocate p50/p99 ms   kubelet restarted → all known, min/median ms   MiB resident/anonymous',
  );
  for (const [devices, resources] of [
    [1, 1],
    [64, 1],
    [1000, 1],
    [1000, 8],
  ] as const)
    console.log(await measure(devices, resources));
  clearInterval(keepAlive);
}

async function measure(devices: number, resources: number): Promise<string> {
  const host = buildVfioHost(devices);
  const root = mkdtempSync(join(tmpdir(), 'allocation-'));
  const place: Place = { root, directory: join(root, 'node'), hostRoot: host.path };
  mkdirSync(place.directory);
  const kubelet = createBenchKubelet(place);
  let child: ChildProcess | null = null;
  try {
    cpSync(build, join(root, 'dist'), { recursive: true });
    const pools = writePolicies(root, host.addresses, resources);
    const counts = Object.fromEntries([...pools].map(([resource, addresses]) => [resource, addresses.length]));
    await kubelet.start();
    const agent = startBuiltAgent(recommendedFlags, place);
    child = agent.process;
    await waitUntilRegistered(kubelet, agent, counts);
    const [resource = '', addresses = []] = [...pools][0] ?? [];
    const channel = createGrpc().connect(join(place.directory, 'device-plugins', kubelet.socket(resource) ?? ''));
    const preferred = await preferAll(channel, addresses);
    const allocated = await allocateAll(channel, addresses);
    channel.close();
    const back = await restartAll(kubelet, () => waitUntilRegistered(kubelet, agent, counts));
    await sleep(5_000);
    const { resident, anonymous } = readSample(child.pid ?? 0);
    return [
      String(devices).padStart(7),
      String(resources).padStart(9),
      quantiles(preferred).padStart(33),
      quantiles(allocated).padStart(19),
      `${back[0]?.toFixed(0)} / ${back[back.length >> 1]?.toFixed(0)}`.padStart(46),
      `${(resident / 1024).toFixed(1)} / ${(anonymous / 1024).toFixed(1)}`.padStart(22),
    ].join('   ');
  } finally {
    child?.kill('SIGTERM');
    await sleep(500);
    await kubelet.stop();
    host.remove();
    rmSync(root, { recursive: true, force: true });
  }
}

/** One policy a resource, the addresses shared out evenly; the addresses by resource. */
function writePolicies(root: string, addresses: readonly string[], resources: number): ReadonlyMap<string, string[]> {
  const pools = new Map<string, string[]>();
  const each = Math.ceil(addresses.length / resources);
  for (let index = 0; index < resources; index += 1) {
    const name = `vfio-operator.dev/bench-${index}`;
    const own = addresses.slice(index * each, (index + 1) * each);
    const devices = Array.from({ length: Math.ceil(own.length / perSelector) }, (_, at) => ({
      addresses: own.slice(at * perSelector, (at + 1) * perSelector),
    }));
    writePolicy(root, `bench-${index}`, { devices, allow: ['NotOurs'], resource: { name } });
    pools.set(name, own);
  }
  return pools;
}

async function preferAll(channel: GrpcChannel, available: readonly string[]): Promise<readonly number[]> {
  const size = Math.min(4, available.length);
  const request = { containerRequests: [{ available, mustInclude: [], size }] };
  return timed(calls.prefer, async () => {
    const { containerResponses } = await call(channel, devicePlugin.getPreferredAllocation, request, deadline);
    if (containerResponses[0]?.length !== size)
      throw new Error(`not ${size} ids: ${JSON.stringify(containerResponses)}`);
  });
}

async function allocateAll(channel: GrpcChannel, addresses: readonly string[]): Promise<readonly number[]> {
  return timed(Math.min(calls.allocate, addresses.length), async (index) => {
    const id = addresses[index] ?? '';
    const request = { containerRequests: [[id]] };
    const { containerResponses } = await call(channel, devicePlugin.allocate, request, deadline);
    const told = Object.values(containerResponses[0]?.envs ?? {});
    if (!told.includes(id)) throw new Error(`${id} was asked for: ${JSON.stringify(containerResponses)}`);
  });
}

async function restartAll(kubelet: KubeletStandIn, known: () => Promise<void>): Promise<readonly number[]> {
  const times = await timed(calls.restarts, async () => {
    await kubelet.restart();
    await known();
  });
  return times.toSorted((a, b) => a - b);
}

async function timed(count: number, run: (index: number) => Promise<void>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const begun = performance.now();
    await run(index);
    times.push(performance.now() - begun);
  }
  return times;
}

function quantiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(1);
  return `${at(0.5)} / ${at(0.99)}`;
}
