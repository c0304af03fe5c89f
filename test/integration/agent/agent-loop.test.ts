// The agent whole, on the simulated kernel with the kubelet stand-in: what a node lives through, in virtual time.
import { beforeEach, describe, expect, it } from 'vitest';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';
import {
  type AgentLife,
  type AgentNode,
  decisionOn,
  diskPolicy,
  gpuPolicy,
  livingNode,
  nicPod,
  nicPolicy,
  nicResource,
  slowNode,
  verdictOn,
} from '../../support/agent-node.ts';
import { aResource } from '../../support/builders.ts';

describe('a device and a pod', () => {
  let node: AgentNode;
  let life: AgentLife;
  beforeEach(async () => {
    ({ node, life } = await livingNode([nicPolicy]));
  });

  it('is bound, registered, allocated; held when its policy goes; given back when the pod goes', async () => {
    expect(node.driverOf(at.spareNic)).toBe('vfio-pci');
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });

    const started = await node.when(node.kubelet.run(nicPod));
    const group = node.control.snapshot().groups[at.spareNic];
    expect(started.get('compute')?.envs).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_NIC': at.spareNic });
    expect(started.get('compute')?.devices.map((device) => device.hostPath)).toContain(`/dev/vfio/${group}`);

    await node.setPolicies([]);
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic)]).toEqual(['Held HeldByPod', 'vfio-pci']);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });

    await node.when(node.kubelet.deletePod('default', 'vm'));
    await node.clock.advance(10_000);
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic)]).toEqual(['None', 'e1000e']);
    expect(node.control.damage).toEqual([]);
    await node.when(life.agent.stop());
  });

  it('keeps its place in the old resource while a pod holds it, whatever the policy says', async () => {
    await node.when(node.kubelet.run(nicPod));
    const other = { ...nicPolicy, resource: aResource('vfio-operator.dev/other') };
    await node.setPolicies([other]);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });
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
      expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
    }
  });

  it('that is pulled is unhealthy, and healthy once it is back', async () => {
    node.control.unplug(at.spareNic);
    await node.clock.advance(5_000);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });
    node.control.plug(at.spareNic);
    await node.clock.advance(10_000);
    expect([node.offered(nicResource), node.driverOf(at.spareNic)]).toEqual([{ [at.spareNic]: 'Healthy' }, 'vfio-pci']);
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
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic)]).toEqual([
      'Held PodResourcesUnreadable',
      'vfio-pci',
    ]);
    node.kubelet.faults.podResources = null;
    await node.clock.advance(10_000);
    expect(node.driverOf(at.spareNic)).toBe('e1000e');
  });

  it('is not given back while the policies are not known', async () => {
    await node.setPolicies({ complete: false, policies: [], why: 'the directory is gone' });
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic)]).toEqual(['Bound', 'vfio-pci']);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
  });
});

it('a device is given to no pod any more from the moment its release begins', async () => {
  const { node } = await livingNode([nicPolicy], slowNode);
  let admitted: Promise<void> | null = null;
  node.beforeWrite = (path) => {
    if (!path.endsWith('/unbind') || admitted !== null) return;
    admitted = node.kubelet.admit(nicPod);
    admitted.catch(() => undefined);
  };
  await node.setPolicies([], 20_000);
  if (admitted === null) throw new Error('nothing was unbound');
  await expect(admitted).rejects.toThrow(/no healthy devices present/);
  expect(node.driverOf(at.spareNic)).toBe('e1000e');
});

describe('what goes wrong', () => {
  it('a disk that is mounted between plan and write is refused, and nothing was written to it', async () => {
    const { node, life } = await livingNode([]);
    let looks = 0;
    node.beforeLook = () => {
      looks += 1;
      if (looks === 2) node.control.mount({ number: '259:3', source: '/dev/nvme1n1', target: '/data', type: 'ext4' });
    };
    await node.setPolicies([diskPolicy]);
    expect(node.log.filter((line) => line.includes('Refused'))).toEqual([`warn Bind of ${at.spareDisk}: Refused`]);
    expect([verdictOn(life, at.spareDisk), node.driverOf(at.spareDisk)]).toEqual(['Refused RootStorage', 'nvme']);
    expect(node.writes).toEqual([]);
  });

  it('a module that is loaded first is no reason to look away from the device, nor for a second try', async () => {
    const { node, life } = await livingNode([]);
    await node.setPolicies([nicPolicy, diskPolicy]);
    expect([verdictOn(life, at.spareNic), verdictOn(life, at.spareDisk)]).toEqual(['Bound', 'Bound']);
    expect(node.log.filter((line) => line.startsWith('warn'))).toEqual([]);
  });

  it('a probe that fails is rolled back and tried ever more rarely; a mended policy at once', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, { errno: 'EIO' }, 'vfio-pci');
    const tries = () => node.writes.filter((write) => write === `drivers/vfio-pci/bind ${at.spareNic}`).length;
    await node.setPolicies([nicPolicy], 4_000);
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareNic), tries()]).toEqual(['Failed', 'e1000e', 1]);
    expect(decisionOn(life, at.spareNic)?.message).toMatch(/EIO/);
    await node.clock.advance(600_000);
    expect(tries()).toBeGreaterThan(4);
    expect(tries()).toBeLessThan(10);

    const before = tries();
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.setPolicies([{ ...nicPolicy, priority: 1 }], 2_000);
    expect([tries(), verdictOn(life, at.spareNic)]).toEqual([before + 1, 'Bound']);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
  });

  it('a write that does not return holds its device; the others go on; it is planned anew afterwards', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy, diskPolicy], 70_000);
    expect([verdictOn(life, at.spareNic), verdictOn(life, at.spareDisk)]).toEqual(['Stuck Stuck', 'Bound']);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });

    const [writes, passes, lines] = [node.writes.length, life.passes.length, node.log.length];
    await node.clock.advance(600_000);
    expect(node.writes.length).toBe(writes);
    expect(node.log.slice(lines)).toEqual([]);
    expect(life.passes.length - passes).toBeLessThan(25);

    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(10_000);
    expect(verdictOn(life, at.spareNic)).toBe('Bound');
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
    expect(node.control.damage).toEqual([]);
  });

  it('while a write runs, kubelet hears of what else happens', async () => {
    const disks = { ...diskPolicy, resource: aResource('x.io/disk') };
    const { node } = await livingNode([disks]);
    expect(node.offered('x.io/disk')).toEqual({ [at.spareDisk]: 'Healthy' });
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([disks, nicPolicy], 5_000);
    node.control.unplug(at.spareDisk);
    await node.clock.advance(5_000);
    expect(node.offered('x.io/disk')).toEqual({ [at.spareDisk]: 'Unhealthy' });
    expect(node.control.damage).toEqual([]);
  });

  it('a look that fails while a write runs does not take what runs for interrupted', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    node.beforeWrite = (path) => {
      if (path.endsWith('/bind'))
        node.beforeLook = () => {
          throw new Error('the host cannot be read');
        };
    };
    await node.setPolicies([nicPolicy], 4_000);
    expect([life.agent.problem, node.log.filter((line) => !line.startsWith('info'))]).toEqual([null, []]);
    const writes = node.writes.length;
    await node.clock.advance(46_000);
    expect([life.agent.problem, node.writes.length]).toEqual(['the host cannot be read', writes]);
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    node.beforeLook = () => undefined;
    await node.clock.advance(10_000);
    expect([verdictOn(life, at.spareNic), node.control.damage]).toEqual(['Bound', []]);
  });

  it('while a write hangs, other groups go on being planned, bound and given back', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy], 15_000);
    await node.setPolicies([nicPolicy, diskPolicy], 10_000);
    // Its deadline has not passed: it is being bound, and nobody calls that stuck.
    expect([verdictOn(life, at.spareNic), verdictOn(life, at.spareDisk)]).toEqual(['Bind', 'Bound']);
    expect((await node.ask({ command: 'release', address: at.spareNic })).ok).toBe(false);
    await node.setPolicies([nicPolicy], 10_000);
    expect([verdictOn(life, at.spareNic), node.driverOf(at.spareDisk)]).toEqual(['Bind', 'nvme']);
    const binds = node.writes.filter((write) => write === `drivers/vfio-pci/bind ${at.spareNic}`).length;
    await node.clock.advance(40_000);
    expect(verdictOn(life, at.spareNic)).toBe('Stuck Stuck');
    expect(node.writes.filter((write) => write === `drivers/vfio-pci/bind ${at.spareNic}`).length).toBe(binds);
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(10_000);
    expect([verdictOn(life, at.spareNic), node.control.damage]).toEqual(['Bound', []]);
  });

  it('a write that is slow, but returns, is no failure', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy], 40_000);
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(5_000);
    expect([verdictOn(life, at.spareNic), node.offered(nicResource)]).toEqual(['Bound', { [at.spareNic]: 'Healthy' }]);
    expect(node.log.filter((line) => line.startsWith('warn'))).toEqual([]);
  });

  it('a stop waits for a write that is slow', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy], 15_000);
    let stopped = false;
    const stop = life.agent.stop().then(() => (stopped = true));
    await node.clock.advance(5_000);
    expect(stopped).toBe(false);
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.when(stop);
    expect(node.log.filter((line) => line.startsWith('warn'))).toEqual([]);
    const second = await node.start();
    expect([verdictOn(second, at.spareNic), node.control.damage]).toEqual(['Bound', []]);
  });

  it('a stop does not wait for a write that hangs: the next agent finds it, waits for it, and others go on', async () => {
    const { node, life } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy], 15_000);
    let stopped = false;
    const stop = life.agent.stop().then(() => (stopped = true));
    await node.clock.advance(10_000);
    expect(stopped).toBe(true);
    await stop;
    expect(node.log).toContain('warn a kernel call goes on; the next agent finds it by the journal');
    life.kill();
    const second = await node.start();
    expect(verdictOn(second, at.spareNic)).toBe('Stuck Stuck');
    const binds = (): number => node.writes.filter((write) => write === `drivers/vfio-pci/bind ${at.spareNic}`).length;
    const before = binds();
    await node.setPolicies([nicPolicy, diskPolicy]);
    expect([verdictOn(second, at.spareDisk), binds()]).toEqual(['Bound', before]);
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(20_000);
    expect([verdictOn(second, at.spareNic), node.offered(nicResource), node.control.damage]).toEqual([
      'Bound',
      { [at.spareNic]: 'Healthy' },
      [],
    ]);
  });

  it('a stuck call of an agent that was killed is waited for by the next', async () => {
    const { node, life: first } = await livingNode([]);
    node.control.failProbe(at.spareNic, 'hang', 'vfio-pci');
    await node.setPolicies([nicPolicy], 70_000);
    first.kill();
    const second = await node.start();
    expect(verdictOn(second, at.spareNic)).toBe('Stuck Stuck');
    node.control.failProbe(at.spareNic, null, 'vfio-pci');
    await node.clock.advance(20_000);
    expect(verdictOn(second, at.spareNic)).toBe('Bound');
  });

  it('who takes a device back at once is not raced', async () => {
    const { node, life } = await livingNode([]);
    let bound = 0;
    node.beforeLook = () => {
      if (node.driverOf(at.spareNic) !== 'vfio-pci') return;
      bound += 1;
      void node.kernel.worker.lease().then(async (lease) => {
        await lease.write(`/sys/bus/pci/drivers/vfio-pci/unbind`, at.spareNic, 1_000);
        lease.release();
      });
    };
    await node.setPolicies([nicPolicy], 60_000);
    expect(bound).toBeGreaterThan(0);
    expect(bound).toBeLessThan(20);
    node.beforeLook = () => undefined;
    await node.clock.advance(60_000);
    expect(verdictOn(life, at.spareNic)).toBe('Bound');
  });
});

it('an idle agent writes nothing, says nothing and looks only now and then', async () => {
  const { node, life } = await livingNode([nicPolicy, diskPolicy, gpuPolicy]);
  await node.clock.advance(60_000);
  const [writes, passes, lines] = [node.writes.length, life.passes.length, node.log.length];
  await node.clock.advance(600_000);
  expect([node.writes.length, node.log.length]).toEqual([writes, lines]);
  expect(life.passes.length - passes).toBe(20);
});
