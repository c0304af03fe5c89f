// Random histories of the agent on random nodes: policies change, devices are opened and closed, probes fail, the agent is killed and
// the power cut. Afterwards every machine is as it was, and nothing it lives on was ever touched. HISTORIES=400 runs more of them.
import { describe, expect, it } from 'vitest';
import type { Agent } from '../../src/agent/start-agent.ts';
import type { Fate } from '../../src/simulation/mortal-process.ts';
import { createRandomNode } from '../../src/simulation/nodes/random-node.ts';
import type { RandomNode } from '../../src/simulation/nodes/random-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import type { AgentProcess } from '../../src/simulation/simulated-kernel.ts';
import { aPolicy } from '../support/builders.ts';
import { SimulatedNode } from '../support/conformance/simulated-agent.ts';

const releases = ['6.1.0-56-amd64', '6.12.95-amd64', '6.18.15-amd64'];
const vfioDrivers = ['vfio-pci', 'e1000e-vfio', 'mlx5_vfio_pci', 'nvgrace_gpu_vfio_pci'];
const classes = [{ class: '02' }, { class: '0108' }, { class: '03' }, { class: '00' }];
const policies = [
  aPolicy({ name: 'all', devices: classes, iommuGroup: 'BindCompanions' }),
  aPolicy({ name: 'vfs', devices: [{ vendor: '15b3', device: '101d' }], virtualFunctions: 2, priority: 5 }),
];

/** What a history held, so that no kind of event is missing unnoticed. */
interface Tally {
  crashes: number;
  holders: number;
  bound: number;
}

/** One node's history. */
class History {
  private readonly random;
  private readonly machine: RandomNode;
  private readonly node: SimulatedNode;
  private readonly held: { close(): void }[] = [];
  private process: AgentProcess;
  private agent: Agent | null = null;
  private readonly tally: Tally;

  constructor(seed: number, tally: Tally) {
    this.random = createSeededRandom(seed);
    this.tally = tally;
    const release = this.random.pick(releases);
    this.machine = createRandomNode(this.random.fork(), { devices: 8, groups: 4, release });
    const killAt = 1 + this.random.below(400);
    const end = this.random.pick<Fate>(['killedBefore', 'killedAfter']);
    let calls = 0;
    const faults = { fate: (): Fate => ((calls += 1) === killAt ? end : 'live') };
    this.node = new SimulatedNode(this.machine.spec, policies, { seed, faults });
    this.process = this.node.kernel.agent;
  }

  async live(): Promise<void> {
    const { control } = this.node.kernel;
    const before = control.snapshot();
    this.agent = await this.node.start(this.process, 60_000);
    if (this.random.chance(0.3)) {
      const fault = this.random.chance(0.5) ? 'lie' : { errno: 'EIO' };
      control.failProbe(this.random.pick(this.machine.addresses), fault, 'vfio-pci');
    }
    for (let round = 0; round < 4; round += 1) await this.round();
    for (const holder of this.held) holder.close();
    for (const address of this.machine.addresses) control.failProbe(address, null, 'vfio-pci');
    await this.node.setPolicies(await this.living(), [], 900_000);
    await this.living();
    await this.node.clock.advance(900_000);
    expect(control.snapshot()).toEqual(before);
    expect(control.damage).toEqual([]);
  }

  private async round(): Promise<void> {
    const agent = await this.living();
    const { control } = this.node.kernel;
    const { drivers } = control.snapshot();
    const bound = this.machine.addresses.filter((address) => vfioDrivers.includes(drivers[address] ?? ''));
    this.tally.bound += bound.length;
    for (const address of this.machine.critical) expect(vfioDrivers).not.toContain(drivers[address]);
    if (bound.length > 0 && this.random.chance(0.5)) {
      const holder = control.openDevice(this.random.pick(bound));
      if ('close' in holder) {
        this.held.push(holder);
        this.tally.holders += 1;
      }
    }
    const next = this.random.pick([policies, policies, [], policies.slice(0, 1)]);
    await this.node.setPolicies(agent, next, 120_000);
    if (this.random.chance(0.5)) this.held.pop()?.close();
  }

  /** The running agent; the next one if the last was killed, perhaps after a power cut. */
  private async living(): Promise<Agent> {
    if (this.agent !== null && this.process.alive) return this.agent;
    this.tally.crashes += 1;
    this.process.kill();
    if (this.random.chance(0.3)) this.node.kernel.control.powerCut(this.node.random);
    this.process = this.node.kernel.startAgent();
    this.agent = await this.node.start(this.process, 120_000);
    if (this.agent === null) throw new Error('the next agent did not start');
    return this.agent;
  }
}

describe('random histories', () => {
  it('end as they began', { timeout: 3_600_000 }, async () => {
    const tally: Tally = { crashes: 0, holders: 0, bound: 0 };
    const histories = Number(process.env['HISTORIES'] ?? 30);
    for (let seed = 1; seed <= histories; seed += 1) {
      await new History(seed, tally).live().catch((error: unknown) => {
        throw new Error(`history of seed ${seed}`, { cause: error });
      });
    }
    expect(Math.min(tally.crashes, tally.holders, tally.bound)).toBeGreaterThan(histories / 4);
  });
});
