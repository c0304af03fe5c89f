// The agent whole, on the simulated kernel with the kubelet stand-in: what a node lives through, in virtual time.
import { beforeEach, describe, expect, it } from 'vitest';
import type { Policy } from '../../../src/domain/policy.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { HostTaken } from '../../../src/agent/start-agent.ts';
import { demoAddresses as at, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { type AgentLife, AgentNode } from '../../support/agent-node.ts';
import { aPolicy, aResource } from '../../support/builders.ts';

const resource = 'vfio-operator.dev/nic';
const nics = aPolicy({ name: 'nics', devices: [{ addresses: [at.spareNic] }], resource: aResource(resource) });
const disks = aPolicy({ name: 'disks', devices: [{ addresses: [at.spareDisk] }] });
const gpu = aPolicy({ name: 'gpu', devices: [{ addresses: [at.gpu] }], iommuGroup: 'BindCompanions' });
const pod = {
  namespace: 'default',
  name: 'vm',
  containers: [{ name: 'compute', limits: { [resource]: 1 } }],
};

let node: AgentNode;
const driverOf = (address: string): string | null | undefined => node.control.snapshot().drivers[address];
const decisionOn = ({ agent }: AgentLife, address: string): Decision | undefined =>
  agent.report?.plan.decisions.find((decision) => decision.address === address);
const verdict = (life: AgentLife, address: string): string => {
  const decision = decisionOn(life, address);
  return [decision?.kind ?? 'None', ...(decision?.code == null ? [] : [decision.code])].join(' ');
};

async function nodeWith(policies: readonly Policy[]): Promise<AgentLife> {
  node = new AgentNode(demoNode, policies);
  await node.boot();
  return node.start();
}

describe('a device and a pod', () => {
  let life: AgentLife;
  beforeEach(async () => {
    life = await nodeWith([nics]);
  });

  it('is bound, registered, allocated; held when its policy goes; given back when the pod goes', async () => {
    expect(driverOf(at.spareNic)).toBe('vfio-pci');
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });

    const started = await node.when(node.kubelet.run(pod));
    const group = node.control.snapshot().groups[at.spareNic];
    expect(started.get('compute')?.envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_NIC': at.spareNic });
    expect(started.get('compute')?.devices.map((device) => device.hostPath)).toContain(`/dev/vfio/${group}`);

    await node.setPolicies([]);
    expect([verdict(life, at.spareNic), driverOf(at.spareNic)]).toEqual(['Held HeldByPod', 'vfio-pci']);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Unhealthy' });

    await node.when(node.kubelet.deletePod('default', 'vm'));
    await node.clock.advance(10_000);
    expect([verdict(life, at.spareNic), driverOf(at.spareNic)]).toEqual(['None', 'e1000e']);
    expect(node.control.damage).toEqual([]);
    await node.when(life.agent.stop());
  });

  it('keeps its place in the old resource while a pod holds it, whatever the policy says', async () => {
    await node.when(node.kubelet.run(pod));
    const other = { ...nics, resource: aResource('vfio-operator.dev/other') };
    await node.setPolicies([other]);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Unhealthy' });
    expect(node.offered('vfio-operator.dev/other')).toEqual({});
    await node.when(node.kubelet.deletePod('default', 'vm'));
    await node.clock.advance(10_000);
    expect(node.offered('vfio-operator.dev/other')).toEqual({ [at.spareNic]: 'Healthy' });
    expect(life.agent.kubelet.resources.map((one) => one.resource)).toEqual(['vfio-operator.dev/other']);
  });

  it('is registered again after every restart of kubelet', async () => {
    for (let restart = 0; restart < 3; restart += 1) {
      await node.when(node.kubelet.restart());
      await node.clock.advance(20_000);
      expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });
    }
  });

  it('that is pulled is unhealthy, and healthy once it is back', async () => {
    node.control.unplug(at.spareNic);
    await node.clock.advance(5_000);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Unhealthy' });
    node.control.plug(at.spareNic);
    await node.clock.advance(10_000);
    expect([node.offered(resource), driverOf(at.spareNic)]).toEqual([{ [at.spareNic]: 'Healthy' }, 'vfio-pci']);
  });

  it('that is pulled for good is forgotten once its policy goes', async () => {
    node.control.unplug(at.spareNic);
    await node.clock.advance(5_000);
    await node.setPolicies([], 40_000);
    expect(life.agent.kubelet.resources).toEqual([]);
    expect((await node.ask({ command: 'status' })).data).toMatchObject({ taken: 0 });
  });

  it('is held while PodResources cannot be read', async () => {
    node.kubelet.faults.podResources = new GrpcError('Unavailable', 'out of order');
    await node.setPolicies([]);
    expect([verdict(life, at.spareNic), driverOf(at.spareNic)]).toEqual(['Held PodResourcesUnreadable', 'vfio-pci']);
    node.kubelet.faults.podResources = null;
    await node.clock.advance(10_000);
    expect(driverOf(at.spareNic)).toBe('e1000e');
  });

  it('is not given back while the policies are not known', async () => {
    await node.setPolicies({ complete: false, policies: [], why: 'the directory is gone' });
    expect([verdict(life, at.spareNic), driverOf(at.spareNic)]).toEqual(['Bound', 'vfio-pci']);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });
  });
});

describe('who may write', () => {
  it('one agent at a time', async () => {
    await nodeWith([nics]);
    await expect(node.start()).rejects.toThrow(HostTaken);
  });

  it('the next one after a kill takes over without a write, and after a stop', async () => {
    const first = await nodeWith([nics, disks, gpu]);
    first.kill();
    const before = node.writes.length;
    const second = await node.start();
    expect(node.writes.slice(before)).toEqual([]);
    expect([at.spareNic, at.spareDisk, at.gpu].map((address) => verdict(second, address))).toEqual([
      'Bound',
      'Bound',
      'Bound',
    ]);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });
    await node.when(second.agent.stop());
    const third = await node.start();
    expect(node.writes.slice(before)).toEqual([]);
    expect(verdict(third, at.spareNic)).toBe('Bound');
  });

  it('an agent that cannot start lets the next one', async () => {
    node = new AgentNode(demoNode, [nics]);
    await node.boot();
    await node.kernel.files.makeDirectory('/var/lib/vfio-operator', 0o700);
    node.kernel.files.put('/var/lib/vfio-operator/journal', 'this is no journal\n{}\n{}\n');
    await expect(node.start()).rejects.toThrow(/journal/);
    await node.kernel.files.remove('/var/lib/vfio-operator/journal');
    expect(verdict(await node.start(), at.spareNic)).toBe('Bound');
  });
});

describe('what goes wrong', () => {
  it('a disk that is mounted between plan and write is refused, and nothing was written to it', async () => {
    const life = await nodeWith([]);
    let looks = 0;
    node.beforeLook = () => {
      looks += 1;
      if (looks === 2) node.control.mount({ number: '259:3', source: '/dev/nvme1n1', target: '/data', type: 'ext4' });
    };
    await node.setPolicies([disks]);
    expect(node.log.filter((line) => line.includes('Refused'))).toEqual([`warn Bind of ${at.spareDisk}: Refused`]);
    expect([verdict(life, at.spareDisk), driverOf(at.spareDisk)]).toEqual(['Refused RootStorage', 'nvme']);
    expect(node.writes).toEqual([]);
  });

  it('a probe that fails is rolled back and tried ever more rarely; a mended policy at once', async () => {
    const life = await nodeWith([]);
    node.control.failProbe(at.spareNic, { errno: 'EIO' }, 'vfio-pci');
    const tries = () => node.writes.filter((write) => write === `drivers/vfio-pci/bind ${at.spareNic}`).length;
    await node.setPolicies([nics], 4_000);
    expect([verdict(life, at.spareNic), driverOf(at.spareNic), tries()]).toEqual(['Failed', 'e1000e', 1]);
    expect(decisionOn(life, at.spareNic)?.message).toMatch(/EIO/);
    await node.clock.advance(600_000);
    expect(tries()).toBeGreaterThan(4);
    expect(tries()).toBeLessThan(10);

    const before = tries();
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.setPolicies([{ ...nics, priority: 1 }], 2_000);
    expect([tries(), verdict(life, at.spareNic)]).toEqual([before + 1, 'Bound']);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });
  });

  it('a write that does not return holds its device; the others go on; it is planned anew afterwards', async () => {
    const life = await nodeWith([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nics, disks], 70_000);
    expect([verdict(life, at.spareNic), verdict(life, at.spareDisk)]).toEqual(['Stuck Stuck', 'Bound']);
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Unhealthy' });

    const [writes, passes, lines] = [node.writes.length, life.passes.length, node.log.length];
    await node.clock.advance(600_000);
    expect(node.writes.length).toBe(writes);
    expect(node.log.slice(lines)).toEqual([]);
    expect(life.passes.length - passes).toBeLessThan(25);

    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(10_000);
    expect(verdict(life, at.spareNic)).toBe('Bound');
    expect(node.offered(resource)).toEqual({ [at.spareNic]: 'Healthy' });
    expect(node.control.damage).toEqual([]);
  });

  it('a stuck call of an agent that was killed is waited for by the next', async () => {
    const first = await nodeWith([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nics], 70_000);
    first.kill();
    const second = await node.start();
    expect(verdict(second, at.spareNic)).toBe('Stuck Stuck');
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(20_000);
    expect(verdict(second, at.spareNic)).toBe('Bound');
  });

  it('who takes a device back at once is not raced', async () => {
    const life = await nodeWith([]);
    let bound = 0;
    node.beforeLook = () => {
      if (driverOf(at.spareNic) !== 'vfio-pci') return;
      bound += 1;
      void node.kernel.worker.lease().then(async (lease) => {
        await lease.write(`/sys/bus/pci/drivers/vfio-pci/unbind`, at.spareNic, 1_000);
        lease.release();
      });
    };
    await node.setPolicies([nics], 60_000);
    expect(bound).toBeGreaterThan(0);
    expect(bound).toBeLessThan(20);
    node.beforeLook = () => undefined;
    await node.clock.advance(60_000);
    expect(verdict(life, at.spareNic)).toBe('Bound');
  });
});

describe('stopping', () => {
  it('in the middle of a transaction: the running step ends, and the next agent goes on', async () => {
    const life = await nodeWith([]);
    let stopping: Promise<void> | null = null;
    node.beforeWrite = (path) => {
      if (path.endsWith('/unbind')) stopping ??= life.agent.stop();
    };
    await node.setPolicies([nics]);
    if (stopping === null) throw new Error('nothing was unbound');
    await node.when(stopping);
    expect(driverOf(at.spareNic)).toBeNull();
    const next = await node.start();
    expect(verdict(next, at.spareNic)).toBe('Bound');
  });

  it('waits for a release that a person asked for', async () => {
    const life = await nodeWith([nics]);
    await node.setPolicies([{ ...nics, mode: 'DryRun' }]);
    let stopping: Promise<void> | null = null;
    node.beforeWrite = (path) => {
      if (path.endsWith('/unbind')) stopping ??= life.agent.stop();
    };
    const answer = await node.ask({ command: 'release', address: at.spareNic });
    expect(answer.ok).toBe(false);
    if (stopping === null) throw new Error('nothing was unbound');
    await node.when(stopping);
    const next = await node.start();
    // Begun and not ended: the next agent undoes it, since nobody asks it to go on.
    expect(verdict(next, at.spareNic)).toBe('Bound');
  });

  it('leaves every device as it is', async () => {
    const life = await nodeWith([nics, disks]);
    const before = node.control.snapshot();
    await node.when(life.agent.stop());
    expect(node.control.snapshot()).toEqual(before);
    expect(node.kubelet.socket(resource)).toBeNull();
  });
});

describe('the control socket', () => {
  it('tells the status', async () => {
    await nodeWith([nics]);
    const answer = await node.ask({ command: 'status' });
    expect(answer).toMatchObject({
      ok: true,
      message: 'running',
      data: {
        taken: 1,
        holders: [],
        decisions: [{ address: at.spareNic, decision: 'Bound', policy: 'nics', driver: 'vfio-pci' }],
        resources: [{ resource, registered: true, capacity: 1, healthy: 1 }],
      },
    });
  });

  it('releases what no policy in force wants, and says which does', async () => {
    const life = await nodeWith([nics]);
    expect(await node.ask({ command: 'release', address: at.spareNic })).toEqual({
      ok: false,
      message: `policy nics (nics.yaml) wants ${at.spareNic}; change or delete it, or exclude the device`,
    });
    await node.setPolicies([{ ...nics, mode: 'DryRun' }]);
    expect([verdict(life, at.spareNic), node.offered(resource)]).toEqual(['Bound', { [at.spareNic]: 'Healthy' }]);
    expect(await node.ask({ command: 'release', address: at.spareNic })).toEqual({
      ok: true,
      message: `${at.spareNic} is released`,
    });
    expect(driverOf(at.spareNic)).toBe('e1000e');
    await node.clock.advance(60_000);
    expect(driverOf(at.spareNic)).toBe('e1000e');
  });

  it('says why a release failed', async () => {
    await nodeWith([nics]);
    await node.setPolicies([{ ...nics, mode: 'DryRun' }]);
    await node.when(node.kubelet.run(pod));
    expect((await node.ask({ command: 'release', address: at.spareNic })).message).toMatch(
      /is in use: pod default\/vm/,
    );
    expect(driverOf(at.spareNic)).toBe('vfio-pci');
  });
});

it('an idle agent writes nothing, says nothing and looks only now and then', async () => {
  const life = await nodeWith([nics, disks, gpu]);
  await node.clock.advance(60_000);
  const [writes, passes, lines] = [node.writes.length, life.passes.length, node.log.length];
  await node.clock.advance(600_000);
  expect([node.writes.length, node.log.length]).toEqual([writes, lines]);
  expect(life.passes.length - passes).toBe(20);
});
