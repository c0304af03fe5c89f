// A kubelet that restarts again and again: every time the agent finds it, registers all it has, and keeps nothing of the last one.
// KUBELET_RESTARTS=1000 is the full tier: then the heap must be as large after the last restart as after the hundredth.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { PassReport } from '../../../src/agent/reconcile.ts';
import { demoAddresses as at, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { AgentNode, nicPolicy, nicResource } from '../../support/agent-node.ts';
import type { AgentLife } from '../../support/agent-node.ts';

const restarts = Number(process.env['KUBELET_RESTARTS'] ?? 50);
const settledAfter = 100;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of the heap, less what only this test keeps. */
function heapOf(node: AgentNode, life: AgentLife): number {
  node.log.length = 0;
  (life.passes as PassReport[]).length = 0;
  collect();
  return process.memoryUsage().heapUsed;
}

it('loses no registration, and nothing grows', { timeout: 900_000 }, async () => {
  const node = new AgentNode(demoNode, [nicPolicy]);
  await node.boot();
  const life = await node.start();
  const writes = node.writes.length;
  let settled = 0;
  for (let restart = 1; restart <= restarts; restart += 1) {
    await node.when(node.kubelet.stop());
    await node.clock.advance(restart % 7 === 0 ? 20_000 : 500);
    await node.when(node.kubelet.start());
    await node.clock.advance(15_000);
    expect(node.offered(nicResource), `after restart ${restart}`).toEqual({ [at.spareNic]: 'Healthy' });
    expect(life.agent.kubelet.resources.map(({ registered }) => registered)).toEqual([true]);
    if (restart === settledAfter) settled = heapOf(node, life);
  }
  expect(node.writes.length).toBe(writes);
  // One socket: those of earlier registrations are gone.
  const sockets = node.kernel.files
    .list('/var/lib/kubelet/device-plugins')
    .filter((name) => /^vfio-operator.*\.sock$/.test(name));
  expect(sockets).toHaveLength(1);
  if (restarts > settledAfter) expect(heapOf(node, life) / settled).toBeLessThan(1.05);
});
