// The agent's real code, whole, on the simulated kernel: it takes what it may, leaves what it must, gives everything back, and a kill
// or a power cut at any await changes none of that. All in virtual time.
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../src/domain/policy.ts';
import type { Fate } from '../../src/simulation/mortal-process.ts';
import { demoAddresses, demoNode } from '../../src/simulation/nodes/demo-node.ts';
import { aPolicy } from '../support/builders.ts';
import { SimulatedNode } from '../support/conformance/simulated-agent.ts';

const at = demoAddresses;
const [firstVf, secondVf] = at.connectXVirtualFunctions;

const gpu = aPolicy({ name: 'gpu', devices: [{ vendor: '10de', class: '03' }], iommuGroup: 'BindCompanions' });
const connectX = aPolicy({ name: 'connectx', devices: [{ addresses: [at.connectX] }], virtualFunctions: 2 });
const everything: readonly Policy[] = [
  gpu,
  connectX,
  aPolicy({ name: 'disks', devices: [{ class: '0108' }] }),
  aPolicy({ name: 'nics', devices: [{ vendor: '8086', device: '10d3' }] }),
];

describe("the agent on the demo's node", () => {
  it('takes what it may, leaves what it must, gives everything back', async () => {
    const node = new SimulatedNode(demoNode, everything);
    const { control } = node.kernel;
    const before = control.snapshot();
    const agent = await node.start(node.kernel.agent);
    if (agent === null) throw new Error('the agent did not start');

    const { drivers, overrides, virtualFunctions } = control.snapshot();
    expect(drivers).toMatchObject({
      [at.gpu]: 'vfio-pci',
      [at.gpuAudio]: 'vfio-pci',
      [at.spareDisk]: 'vfio-pci',
      [at.spareNic]: 'vfio-pci',
      [at.connectX]: 'mlx5_core',
      [firstVf]: 'mlx5_vfio_pci',
      [secondVf]: 'mlx5_vfio_pci',
      [at.rootDisk]: 'nvme',
      [at.uplink]: 'e1000e',
    });
    expect([virtualFunctions[at.connectX], overrides[at.rootDisk]]).toEqual([2, null]);
    const decisions = agent.report?.plan.decisions ?? [];
    const codeOf = (address: string) => decisions.find((decision) => decision.address === address)?.code;
    expect([codeOf(at.rootDisk), codeOf(at.uplink)]).toEqual(['RootStorage', 'PrimaryNetwork']);

    await node.setPolicies(agent, []);
    expect(control.snapshot()).toEqual(before);
    expect(control.damage).toEqual([]);
    await agent.stop();
  });

  it('waits for who has a device open, and carries on after a kill while the kernel holds a write back', async () => {
    const node = new SimulatedNode(demoNode, everything);
    const { control, agent: process } = node.kernel;
    const agent = await node.start(process);
    if (agent === null) throw new Error('the agent did not start');
    const holder = control.openDevice(at.spareNic);
    await node.setPolicies(agent, []);
    expect(control.snapshot().drivers).toMatchObject({ [at.spareNic]: 'vfio-pci', [at.spareDisk]: 'nvme' });

    // What the agent never does: unbind beside the holder. The kernel keeps the write.
    const lease = await process.worker.lease();
    void lease.write('/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic, 1_000);
    await node.clock.advance(2_000);
    process.kill();
    const next = await node.start();
    if ('close' in holder) holder.close();
    await node.clock.advance(180_000);
    expect(control.snapshot().drivers[at.spareNic]).toBe('e1000e');
    expect(control.damage).toEqual([]);
    await next?.stop();
  });
});

it('lives the same history twice from the same seed, to the byte of the journal', async () => {
  const live = async (seed: number): Promise<string> => {
    const operations: string[] = [];
    const fate = (operation: string): Fate => {
      operations.push(operation);
      return 'live';
    };
    const node = new SimulatedNode(demoNode, everything, { seed, faults: { fate } });
    await node.start(node.kernel.agent);
    const journal = node.kernel.files.readText('/var/lib/vfio-operator/journal');
    return [...operations, journal, JSON.stringify(node.kernel.control.snapshot())].join('\n');
  };
  expect(await live(5)).toBe(await live(5));
  expect(await live(5)).not.toBe(await live(6));
});

/** One life that ends at that call, a second one; what it comes to. */
async function history(killAt: number, fate: Exclude<Fate, 'live'>, powerCut: boolean): Promise<number> {
  let calls = 0;
  const fateOf = (): Fate => ((calls += 1) === killAt ? fate : 'live');
  const policies = [gpu, connectX];
  const node = new SimulatedNode(demoNode, policies, { seed: killAt, faults: { fate: fateOf } });
  const { control, agent: process } = node.kernel;
  const before = control.snapshot();
  const first = await node.start(process, 60_000);
  if (process.alive && first !== null) await node.setPolicies(first, [], 60_000);
  if (process.alive) return calls;
  if (powerCut) control.powerCut(node.random);
  const second = await node.start();
  if (second === null) throw new Error('the second agent did not start');
  await node.setPolicies(second, policies);
  expect(control.snapshot()).toMatchObject({
    drivers: {
      [at.gpu]: 'vfio-pci',
      [at.gpuAudio]: 'vfio-pci',
      [firstVf]: 'mlx5_vfio_pci',
      [secondVf]: 'mlx5_vfio_pci',
    },
    virtualFunctions: { [at.connectX]: 2 },
  });
  await node.setPolicies(second, []);
  expect(control.snapshot()).toEqual(before);
  expect(control.damage).toEqual([]);
  return calls;
}

describe('killed at an await, before the call or before its answer', () => {
  // Every call is tried by running with STEP=1; here each phase of both lives is hit.
  const step = Number(process.env['STEP'] ?? 13);
  it.each([
    ['killedBefore', false],
    ['killedAfter', false],
    ['killedBefore', true],
    ['killedAfter', true],
  ] as const)('%s, power cut: %s', { timeout: 600_000 }, async (fate, powerCut) => {
    const calls = await history(Number.MAX_SAFE_INTEGER, fate, powerCut);
    expect(calls).toBeGreaterThan(100);
    for (let killAt = 1; killAt <= calls; killAt += step) await history(killAt, fate, powerCut);
  });
});
