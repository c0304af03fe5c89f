// What the API server costs an agent, and an agent the API server: two built agents of one run, each with 64 devices that are on vfio-pci
// already, one with its policy from a file, one on a real API server; idle. Prints memory, requests per hour, the size of the node
// state, and the time from `kubectl apply` to kubelet knowing a new resource.
// Run as root: node bench/agent-in-cluster.ts [--idle SECONDS]
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type ControlPlane, startControlPlane } from '../test/e2e/cluster/control-plane.ts';
import { startFaultProxy } from '../test/e2e/cluster/fault-proxy.ts';
import {
  createBenchKubelet,
  readSample,
  recommendedFlags,
  startBuiltAgent,
  waitUntilRegistered,
  writePolicy,
} from './built-agent.ts';
import { buildVfioHost, usualVfioAliases } from './vfio-host.ts';

const deviceCount = 64;
const resource = 'vfio-operator.dev/bench';
const spec = { devices: [{ vendor: '8086', class: '02' }], allow: ['NotOurs'], resource: { name: resource } };
const statePath = '/apis/vfio-operator.dev/v1alpha1/vfionodestates/bench';
const build = join(fileURLToPath(new URL('..', import.meta.url)), 'dist');

const { values } = parseArgs({ options: { idle: { type: 'string', default: '20' } } });
const idle = Number(values.idle);
if (process.getuid?.() !== 0) {
  console.log('agent in a cluster: not measured. It needs root: else proofs are blind and no device is adopted.');
} else if (!existsSync(build)) {
  throw new Error(`${build} is missing; npm run build makes it`);
} else {
  await measure();
}

async function measure(): Promise<void> {
  const host = buildVfioHost(deviceCount, usualVfioAliases);
  const root = mkdtempSync(join(tmpdir(), 'agent-in-cluster-'));
  const cluster = await startControlPlane({ users: { agent: ['system:masters'] } });
  const proxy = await startFaultProxy(cluster);
  const ends: (() => Promise<void>)[] = [];
  try {
    cpSync(build, join(root, 'dist'), { recursive: true });
    writePolicy(root, 'bench', spec);
    await apply(cluster, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'bench' } });
    const start = async (name: string, origin?: Readonly<Record<string, string>>) => {
      const place = { root, directory: join(root, name), hostRoot: host.path };
      mkdirSync(place.directory);
      const kubelet = createBenchKubelet(place);
      await kubelet.start();
      const agent = startBuiltAgent(recommendedFlags, place, origin);
      ends.push(async () => {
        const { process: child } = agent;
        if (child.exitCode === null && child.signalCode === null) {
          const ended = new Promise((resolve) => void child.once('exit', resolve));
          child.kill('SIGTERM');
          await ended;
        }
        await kubelet.stop();
      });
      return { kubelet, agent };
    };
    const files = await start('files');
    await waitUntilRegistered(files.kubelet, files.agent, { [resource]: deviceCount });
    const inCluster = await start('cluster', {
      '--kubeconfig': cluster.kubeconfig('agent', proxy.url),
      '--node-name': 'bench',
    });
    await sleep(5_000);
    const applied = performance.now();
    await apply(cluster, {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioPolicy',
      metadata: { name: 'bench' },
      spec,
    });
    await waitUntilRegistered(inCluster.kubelet, inCluster.agent, { [resource]: deviceCount });
    const registered = performance.now() - applied;

    const sampled = Math.min(60, Math.floor(idle / 2));
    await sleep(Math.min(30_000, (idle - sampled) * 500));
    const from = proxy.seen.length;
    const idleSince = Date.now();
    await sleep(Math.max(0, (idle - sampled) * 1000 - 30_000));
    const agents = { 'policies from files': files.agent, 'on the API server': inCluster.agent };
    const samples = Object.keys(agents).map((): { resident: number; anonymous: number }[] => []);
    for (let second = 0; second < sampled; second += 1) {
      for (const [index, { process: child }] of Object.values(agents).entries())
        samples[index]?.push(readSample(child.pid ?? 0));
      await sleep(1000);
    }
    console.log(`${deviceCount} devices adopted; ${host.procNote}`);
    console.log(`\nfrom kubectl apply to kubelet knowing the resource   ${registered.toFixed(0)} ms, kubectl included`);
    console.log(`\nafter ${idle} s, over the last ${sampled} s (MiB, min / median / max)`);
    for (const [index, name] of Object.keys(agents).entries()) {
      const of = (field: 'resident' | 'anonymous') => spread((samples[index] ?? []).map((one) => one[field]));
      console.log(`${name.padEnd(24)}resident ${of('resident')}   anonymous ${of('anonymous')}`);
    }
    const asked = proxy.seen.slice(from).filter(({ userAgent }) => userAgent.startsWith('vfio-operator-agent/'));
    const hours = (Date.now() - idleSince) / 3_600_000;
    const reads = asked.filter(({ method }) => method === 'GET').length;
    console.log(
      `requests while idle: ${asked.length} in ${(hours * 60).toFixed(1)} min, ${(asked.length / hours).toFixed(0)} in an hour; ${asked.length - reads} of them writes`,
    );
    const stored = await cluster.admin.expect({ path: statePath });
    console.log(
      `node state of ${deviceCount} devices: ${JSON.stringify(stored).length} bytes as JSON, managedFields included`,
    );
  } finally {
    for (const end of ends) await end();
    await proxy.close();
    await cluster.stop();
    host.remove();
    rmSync(root, { recursive: true, force: true });
  }
}

async function apply(cluster: ControlPlane, object: object): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(object));
}

function spread(kilobytes: readonly number[]): string {
  const sorted = kilobytes.toSorted((a, b) => a - b);
  const mebibytes = (at: number) => ((sorted.at(at) ?? 0) / 1024).toFixed(1);
  return `${mebibytes(0)} / ${mebibytes(kilobytes.length >> 1)} / ${mebibytes(-1)}`;
}
