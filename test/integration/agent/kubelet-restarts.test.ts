// A kubelet that restarts again and again: every time the agent finds it and registers all it has. KUBELET_RESTARTS=1000 is the full tier.
import { expect, it } from 'vitest';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';
import { livingNode, nicPolicy, nicResource } from '../../support/agent-node.ts';

const restarts = Number(process.env['KUBELET_RESTARTS'] ?? 50);

it('loses no registration, leaves no socket behind, and writes nothing', { timeout: 900_000 }, async () => {
  const { node, life } = await livingNode([nicPolicy]);
  const writes = node.writes.length;
  for (let restart = 1; restart <= restarts; restart += 1) {
    await node.when(node.kubelet.stop());
    await node.clock.advance(restart % 7 === 0 ? 20_000 : 500);
    await node.when(node.kubelet.start());
    await node.clock.advance(15_000);
    expect(node.offered(nicResource), `after restart ${restart}`).toEqual({ [at.spareNic]: 'Healthy' });
    expect(life.agent.kubelet.resources.map(({ registered }) => registered)).toEqual([true]);
  }
  expect(node.writes.length).toBe(writes);
  // One socket: those of earlier registrations are gone.
  const sockets = node.kernel.files
    .list('/var/lib/kubelet/device-plugins')
    .filter((name) => /^vfio-operator.*\.sock$/.test(name));
  expect(sockets).toHaveLength(1);
});
