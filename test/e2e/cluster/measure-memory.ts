// Measures, by hand, what the agent's container takes of its node's memory once it has settled: the chart's pod on a real kubelet, 7 VFs of
// one card bound and offered, as the kernel accounts for its cgroup. Kernel workers are in a cgroup of their own and counted apart.
// Usage: node test/e2e/cluster/measure-memory.ts [SECONDS OF REST]   (60 unless told)
import { setTimeout as sleep } from 'node:timers/promises';
import { stepsOn } from './cluster-steps.ts';
import type { Node } from './node.ts';
import { startOperatorOnNode } from './operator-on-node.ts';
import { applyPolicy } from './operator.ts';

const resource = 'vfio-operator.dev/igb-vf';

interface Figures {
  /** memory.current less inactive_file: what kubelet and `kubectl top` call the working set. */
  readonly workingSet: number;
  readonly anonymous: number;
}

/** Reads a cgroup by its path; bytes. */
async function readCgroup(node: Node, path: string): Promise<Figures> {
  const text = await node.guest.run(`cd /sys/fs/cgroup${path} && cat memory.current memory.stat`);
  const stat = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
  return { workingSet: Number(text.split('\n')[0]) - stat('inactive_file'), anonymous: stat('anon') };
}

async function measure(rest: number): Promise<void> {
  const operator = await startOperatorOnNode({ topology: 'full' });
  try {
    const { cluster, node } = operator;
    const steps = stepsOn(operator);
    await applyPolicy(cluster, 'igb', {
      devices: [{ vendor: '8086', device: '10c9' }],
      sriov: { virtualFunctions: 7 },
      resource: { name: resource },
    });
    await steps.waitForUnits(resource, 7);
    await sleep(rest * 1000);
    const pid = await steps.agentProcess();
    const own = (await node.guest.readText(`/proc/${pid}/cgroup`)).trim().replace(/^0::/, '');
    const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
    const seen: Figures[] = [];
    for (let sample = 0; sample < 10; sample += 1) {
      seen.push(await readCgroup(node, own));
      await sleep(2_000);
    }
    const range = (pick: (one: Figures) => number): string => {
      const all = seen.map(pick).sort((a, b) => a - b);
      return [all.at(0), all.at(all.length / 2), all.at(-1)].map((one) => mebibytes(one ?? 0)).join(' / ');
    };
    const workers = await readCgroup(node, '/vfio-operator').catch(() => ({ workingSet: 0, anonymous: 0 }));
    const status = await node.guest.run(`grep -E '^(VmRSS|RssAnon|RssFile)' /proc/${pid}/status`);
    process.stdout.write(`agent's container, MiB, min / median / max of ten samples in 20 s:
  working set (memory.current less inactive_file) ${range(({ workingSet }) => workingSet)}
  anonymous (memory.stat anon) ${range(({ anonymous }) => anonymous)}
kernel workers' cgroup now: working set ${mebibytes(workers.workingSet)}, anonymous ${mebibytes(workers.anonymous)}
the agent's process:
${status}
`);
  } finally {
    await operator.stop();
  }
}

await measure(Number(process.argv[2] ?? 60));
