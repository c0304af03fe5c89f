// The agent's real code on a simulated node, without a kubelet: start it, let time pass, change the policies, kill it, start another.
import { noKubelet } from '../../../src/agent/kubelet-side.ts';
import { startAgent } from '../../../src/agent/start-agent.ts';
import type { Agent } from '../../../src/agent/start-agent.ts';
import type { Policy, PolicySet } from '../../../src/domain/policy.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createHostObserver } from '../../../src/host/observe-host.ts';
import { createAgentMetrics } from '../../../src/runtime/agent-metrics.ts';
import { createLogger } from '../../../src/runtime/logger.ts';
import type { KernelSpec } from '../../../src/simulation/kernel/spec.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import type { SeededRandom } from '../../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../../src/simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import type { AgentFaults, AgentProcess, SimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../../src/simulation/virtual-clock.ts';

/** A node with agents on it, one life after the other. */
export class SimulatedNode {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly kernel: SimulatedKernel;
  private readonly policies: { current: PolicySet; close(): Promise<void> };

  constructor(spec: KernelSpec, policies: readonly Policy[], options: { seed?: number; faults?: AgentFaults } = {}) {
    this.clock = createVirtualClock({ settle: settleByImmediate });
    this.random = createSeededRandom(options.seed ?? 1);
    const faults = options.faults ?? {};
    this.kernel = createSimulatedKernel({ spec, clock: this.clock, random: this.random, faults });
    this.policies = { current: { complete: true, policies, why: null }, close: () => Promise.resolve() };
  }

  /** Starts the agent in that process and lets `milliseconds` pass; null when it was killed before it was up. */
  async start(process: AgentProcess = this.kernel.startAgent(), milliseconds = 180_000): Promise<Agent | null> {
    let agent: Agent | null = null;
    let failure: unknown = null;
    this.begin(process).then(
      (started) => (agent = started),
      (error: unknown) => (failure = error),
    );
    await this.clock.advance(milliseconds);
    if (failure !== null) throw failure;
    return agent;
  }

  /** Changes the policies and lets time pass. */
  async setPolicies(agent: Agent, policies: readonly Policy[], milliseconds = 180_000): Promise<void> {
    this.policies.current = { complete: true, policies, why: null };
    agent.lookAgain('policies changed');
    await this.clock.advance(milliseconds);
    if (agent.problem !== null) throw new Error(agent.problem);
  }

  private begin({ files, clock, worker, processes, sockets }: AgentProcess): Promise<Agent> {
    const paths = hostPaths();
    const disks = createSimulatedDisks(this.kernel.files);
    const proofs = { disks, nodeAddresses: [], endpoints: [], ownAddresses: () => [] };
    return startAgent({
      machine: { files, clock, random: this.random, processes, sockets, worker, paths },
      observer: createHostObserver({ files, paths, worker, clock, proofs, mayLoad: true, readDeadline: 5_000 }),
      node: { name: 'node-1', labels: {} },
      logger: createLogger('silent'),
      metrics: createAgentMetrics(),
      state: '/var/lib/vfio-operator',
      bootId: files.readText('/proc/sys/kernel/random/boot_id').trim(),
      interval: 30_000,
      writeDeadline: 60_000,
      openPolicies: () => Promise.resolve(this.policies),
      openKubelet: () => Promise.resolve(noKubelet),
    });
  }
}
