// The agent's real code, whole, on the simulated kernel: it takes what it may, leaves what it must, and gives everything back, all in
// virtual time.
import { describe, expect, it } from 'vitest';
import { noKubelet } from '../../src/agent/kubelet-side.ts';
import { startAgent } from '../../src/agent/start-agent.ts';
import type { Agent } from '../../src/agent/start-agent.ts';
import type { Policy, PolicySet } from '../../src/domain/policy.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createHostObserver } from '../../src/host/observe-host.ts';
import { createAgentMetrics } from '../../src/runtime/agent-metrics.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { demoAddresses, demoNode } from '../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../src/simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { AgentProcess } from '../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';
import { aPolicy } from '../support/builders.ts';

const at = demoAddresses;

const policies: readonly Policy[] = [
  aPolicy({ name: 'gpu', devices: [{ vendor: '10de', class: '03' }], iommuGroup: 'BindCompanions' }),
  aPolicy({ name: 'connectx', devices: [{ addresses: [at.connectX] }], virtualFunctions: 4 }),
  aPolicy({ name: 'disks', devices: [{ class: '0108' }] }),
  aPolicy({ name: 'nics', devices: [{ vendor: '8086', device: '10d3' }] }),
];

class Node {
  readonly random = createSeededRandom(1);
  readonly clock = createVirtualClock({ settle: settleByImmediate });
  readonly kernel = createSimulatedKernel({ spec: demoNode, clock: this.clock, random: this.random });
  readonly source = {
    current: { complete: true, policies, why: null } as PolicySet,
    close: () => Promise.resolve(),
  };

  start(process: AgentProcess): Promise<Agent> {
    const paths = hostPaths();
    const { random } = this;
    const { files, clock, worker, processes, sockets } = process;
    const proofs = {
      disks: createSimulatedDisks(this.kernel.files),
      nodeAddresses: [],
      endpoints: [],
      ownAddresses: () => [],
    };
    return startAgent({
      machine: { files, clock, random, processes, sockets, worker, paths },
      observer: createHostObserver({ files, paths, worker, clock, proofs, mayLoad: true, readDeadline: 5_000 }),
      node: { name: 'node-1', labels: {} },
      logger: createLogger('silent'),
      metrics: createAgentMetrics(),
      state: '/var/lib/vfio-operator',
      bootId: files.readText('/proc/sys/kernel/random/boot_id').trim(),
      interval: 30_000,
      writeDeadline: 60_000,
      openPolicies: () => Promise.resolve(this.source),
      openKubelet: () => Promise.resolve(noKubelet),
    });
  }

  async settled(agent: Agent): Promise<void> {
    await this.clock.advance(180_000);
    if (agent.problem !== null) throw new Error(agent.problem);
  }
}

describe("the agent on the demo's node", () => {
  it('takes what it may, leaves what it must, gives everything back', async () => {
    const node = new Node();
    const { control } = node.kernel;
    const before = control.snapshot();
    const starting = node.start(node.kernel.agent);
    await node.clock.settle();
    const agent = await starting;
    await node.settled(agent);

    const { drivers, overrides, virtualFunctions } = control.snapshot();
    expect(drivers).toMatchObject({
      [at.gpu]: 'vfio-pci',
      [at.gpuAudio]: 'vfio-pci',
      [at.spareDisk]: 'vfio-pci',
      [at.spareNic]: 'vfio-pci',
      [at.connectX]: 'mlx5_core',
      [at.rootDisk]: 'nvme',
      [at.uplink]: 'e1000e',
    });
    expect(virtualFunctions[at.connectX]).toBe(4);
    expect(at.connectXVirtualFunctions.map((address) => drivers[address])).toEqual(Array(4).fill('mlx5_vfio_pci'));
    expect(overrides[at.rootDisk]).toBe(null);
    const decisions = agent.report?.plan.decisions ?? [];
    const codeOf = (address: string) => decisions.find((decision) => decision.address === address)?.code;
    expect([codeOf(at.rootDisk), codeOf(at.uplink)]).toEqual(['RootStorage', 'PrimaryNetwork']);

    node.source.current = { complete: true, policies: [], why: null };
    agent.lookAgain('policies changed');
    await node.settled(agent);
    expect(control.snapshot()).toEqual(before);
    expect(control.damage).toEqual([]);
    await agent.stop();
  });

  it('waits for who has a device open, and carries on after a kill while the kernel holds a write back', async () => {
    const node = new Node();
    const { control } = node.kernel;
    const first = node.kernel.startAgent();
    const starting = node.start(first);
    await node.clock.settle();
    const agent = await starting;
    await node.settled(agent);
    const holder = control.openDevice(at.spareNic);
    node.source.current = { complete: true, policies: [], why: null };
    agent.lookAgain('policies changed');
    await node.settled(agent);
    expect(control.snapshot().drivers).toMatchObject({ [at.spareNic]: 'vfio-pci', [at.spareDisk]: 'nvme' });

    // What the agent never does: unbind beside the holder. The kernel keeps the write.
    const lease = await first.worker.lease();
    void lease.write('/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic, 1_000);
    await node.clock.advance(2_000);
    first.kill();
    const second = node.kernel.startAgent();
    const restarting = node.start(second);
    await node.clock.advance(1_000);
    const next = await restarting;
    await node.settled(next);
    if ('close' in holder) holder.close();
    await node.settled(next);
    expect(control.snapshot().drivers[at.spareNic]).toBe('e1000e');
    expect(control.damage).toEqual([]);
    await next.stop();
  });
});
