// A kubelet that restarts a thousand times, seen from outside: the built agent as a process of its own, with 64 devices adopted. After
// every restart kubelet must know all of them again; between the hundredth and the last restart the agent's anonymous memory must not
// grow by more than 5 %, nor its open files by one. Run as root: node bench/kubelet-restarts.ts [--restarts COUNT]
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
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
/** Memory goes up and down with collections: what is compared are medians over this many restarts. */
const window = 100;
const growthLimit = 0.05;
const build = join(fileURLToPath(new URL('..', import.meta.url)), 'dist');

const { values } = parseArgs({ options: { restarts: { type: 'string', default: '1000' } } });
const restarts = Number(values.restarts);
if (process.getuid?.() !== 0) {
  console.log('kubelet restarts: not measured. It needs root: else proofs are blind and no device is adopted.');
} else if (!existsSync(build)) {
  throw new Error(`${build} is missing; npm run build makes it`);
} else if (restarts < 3 * window) {
  throw new Error(`--restarts must be at least ${3 * window}`);
} else {
  await measure();
}

async function measure(): Promise<void> {
  const host = buildVfioHost(deviceCount, usualVfioAliases);
  const root = mkdtempSync(join(tmpdir(), 'kubelet-restarts-'));
  cpSync(build, join(root, 'dist'), { recursive: true });
  const spec = { devices: [{ vendor: '8086', class: '02' }], allow: ['NotOurs'], resource: { name: resource } };
  writePolicy(root, 'bench', spec);
  const place = { root, directory: join(root, 'agent'), hostRoot: host.path };
  mkdirSync(place.directory);
  const kubelet = createBenchKubelet(place);
  await kubelet.start();
  const agent = startBuiltAgent(recommendedFlags, place);
  try {
    await waitUntilRegistered(kubelet, agent, { [resource]: deviceCount });
    const pid = agent.process.pid ?? 0;
    const samples: { anonymous: number; files: number }[] = [];
    const begun = performance.now();
    for (let restart = 1; restart <= restarts; restart += 1) {
      await kubelet.stop();
      await sleep(restart % 7 === 0 ? 600 : 250);
      await kubelet.start();
      await waitUntilRegistered(kubelet, agent, { [resource]: deviceCount });
      samples.push({ anonymous: readSample(pid).anonymous, files: readdirSync(`/proc/${pid}/fd`).length });
      if (restart % window === 0) {
        const { anonymous, files } = medians(samples.slice(-window));
        console.log(
          `restarts ${restart - window + 1} to ${restart}: ${(anonymous / 1024).toFixed(1)} MiB anonymous, ${files} open files`,
        );
      }
    }
    const [early, late] = [medians(samples.slice(window, 2 * window)), medians(samples.slice(-window))];
    const growth = late.anonymous / early.anonymous - 1;
    const seconds = (performance.now() - begun) / 1000;
    console.log(
      `${restarts} restarts in ${seconds.toFixed(0)} s, all ${deviceCount} devices known after each; anonymous memory ${(100 * growth).toFixed(1)} %, open files ${late.files - early.files} since restarts ${window + 1} to ${2 * window}`,
    );
    const sockets = readdirSync(join(place.directory, 'device-plugins')).filter((name) => name.endsWith('.sock'));
    console.log(`sockets at the end: ${sockets.join(', ')}`);
    if (growth > growthLimit) throw new Error(`the agent grew by ${(100 * growth).toFixed(1)} %`);
    if (late.files > early.files) throw new Error(`${late.files - early.files} more files are open`);
  } finally {
    agent.process.kill('SIGTERM');
    await sleep(500);
    await kubelet.stop();
    host.remove();
    rmSync(root, { recursive: true, force: true });
  }
}

function medians(samples: readonly { readonly anonymous: number; readonly files: number }[]): {
  anonymous: number;
  files: number;
} {
  const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
  return { anonymous: median(samples.map((one) => one.anonymous)), files: median(samples.map((one) => one.files)) };
}
