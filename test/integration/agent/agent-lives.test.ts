// One agent after the other on the same simulated node: who may write, how one ends, and what it answers while it runs.
import { describe, expect, it } from 'vitest';
import { HostTaken } from '../../../src/agent/start-agent.ts';
import { demoAddresses as at, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import {
  AgentNode,
  diskPolicy,
  gpuPolicy,
  livingNode,
  nicPod,
  nicPolicy,
  nicResource,
  slowNode,
  verdictOn,
} from '../../support/agent-node.ts';

describe('who may write', () => {
  it('one agent at a time', async () => {
    const { node } = await livingNode([nicPolicy]);
    await expect(node.start()).rejects.toThrow(HostTaken);
  });

  it('the next one after a kill takes over without a write, and after a stop', async () => {
    const { node, life: first } = await livingNode([nicPolicy, diskPolicy, gpuPolicy]);
    first.kill();
    const before = node.writes.length;
    const second = await node.start();
    expect(node.writes.slice(before)).toEqual([]);
    expect([at.spareNic, at.spareDisk, at.gpu].map((address) => verdictOn(second, address))).toEqual([
      'Bound',
      'Bound',
      'Bound',
    ]);
    expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
    await node.when(second.agent.stop());
    const third = await node.start();
    expect(node.writes.slice(before)).toEqual([]);
    expect(verdictOn(third, at.spareNic)).toBe('Bound');
  });

  it('an agent that cannot start lets the next one', async () => {
    const node = new AgentNode(demoNode, [nicPolicy]);
    await node.boot();
    await node.kernel.files.makeDirectory('/var/lib/vfio-operator', 0o700);
    node.kernel.files.put('/var/lib/vfio-operator/journal', 'this is no journal\n{}\n{}\n');
    await expect(node.start()).rejects.toThrow(/journal/);
    await node.kernel.files.remove('/var/lib/vfio-operator/journal');
    expect(verdictOn(await node.start(), at.spareNic)).toBe('Bound');
  });
});

describe('after a reboot', () => {
  it('a device that was allocated just before is bound before kubelet is there', async () => {
    const { node, life } = await livingNode([nicPolicy]);
    await node.when(node.kubelet.run(nicPod));
    life.kill();
    await node.when(node.kubelet.stop());
    node.control.reboot();
    await node.clock.advance(1_000);
    expect(node.driverOf(at.spareNic)).not.toMatch(/vfio/);
    const next = await node.start();
    expect(verdictOn(next, at.spareNic)).toBe('Bound');
  });
});

describe('stopping', () => {
  it('in the middle of a transaction: the running step ends, and the next agent goes on', async () => {
    const { node, life } = await livingNode([]);
    let stopping: Promise<void> | null = null;
    node.beforeWrite = (path) => {
      if (path.endsWith('/unbind')) stopping ??= life.agent.stop();
    };
    await node.setPolicies([nicPolicy]);
    if (stopping === null) throw new Error('nothing was unbound');
    await node.when(stopping);
    expect(node.driverOf(at.spareNic)).toBeNull();
    const next = await node.start();
    expect(verdictOn(next, at.spareNic)).toBe('Bound');
  });

  it('waits for a release that a person asked for', async () => {
    const { node, life } = await livingNode([nicPolicy], slowNode);
    await node.setPolicies([{ ...nicPolicy, mode: 'DryRun' }]);
    let stopping: Promise<void> | null = null;
    node.beforeWrite = (path) => {
      if (path.endsWith('/unbind')) stopping ??= life.agent.stop();
    };
    const answer = await node.ask({ command: 'release', address: at.spareNic });
    expect(answer.ok).toBe(false);
    if (stopping === null) throw new Error('nothing was unbound');
    await node.when(stopping);
    expect(node.driverOf(at.spareNic)).toBeNull();
    // Begun and not ended: the next agent undoes it, since nobody asks it to go on.
    expect(verdictOn(await node.start(), at.spareNic)).toBe('Bound');
  });

  it('leaves every device as it is', async () => {
    const { node, life } = await livingNode([nicPolicy, diskPolicy]);
    const before = node.control.snapshot();
    await node.when(life.agent.stop());
    expect(node.control.snapshot()).toEqual(before);
    expect(node.kubelet.socket(nicResource)).toBeNull();
  });
});

describe('the control socket', () => {
  it('tells the status', async () => {
    const { node } = await livingNode([nicPolicy]);
    const answer = await node.ask({ command: 'status' });
    expect(answer).toMatchObject({
      ok: true,
      message: 'running',
      data: {
        taken: 1,
        holders: [],
        decisions: [{ address: at.spareNic, decision: 'Bound', policy: 'nics', driver: 'vfio-pci' }],
        resources: [{ resource: nicResource, registered: true, capacity: 1, healthy: 1 }],
      },
    });
  });

  it('releases what no policy in force wants, and says which does', async () => {
    const { node, life } = await livingNode([nicPolicy]);
    expect(await node.ask({ command: 'release', address: at.spareNic })).toEqual({
      ok: false,
      message: `policy nics (nics.yaml) wants ${at.spareNic}; change or delete it, or exclude the device`,
    });
    await node.setPolicies([{ ...nicPolicy, mode: 'DryRun' }]);
    expect([verdictOn(life, at.spareNic), node.offered(nicResource)]).toEqual(['Bound', { [at.spareNic]: 'Healthy' }]);
    expect(await node.ask({ command: 'release', address: at.spareNic })).toEqual({
      ok: true,
      message: `${at.spareNic} is released`,
    });
    expect(node.driverOf(at.spareNic)).toBe('e1000e');
    await node.clock.advance(60_000);
    expect(node.driverOf(at.spareNic)).toBe('e1000e');
  });

  it('says why a release failed', async () => {
    const { node } = await livingNode([nicPolicy]);
    await node.setPolicies([{ ...nicPolicy, mode: 'DryRun' }]);
    await node.when(node.kubelet.run(nicPod));
    expect((await node.ask({ command: 'release', address: at.spareNic })).message).toMatch(
      /is in use: pod default\/vm/,
    );
    expect(node.driverOf(at.spareNic)).toBe('vfio-pci');
  });
});
