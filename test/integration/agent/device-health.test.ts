// A device that falls off its bus while it stays in sysfs: Unhealthy, and Healthy again once it answers.
import { expect, it } from 'vitest';
import { demoAddresses as at, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { AgentNode, nicPod, nicPolicy, nicResource } from '../../support/agent-node.ts';

const config = `/sys/bus/pci/devices/${at.spareNic}/config`;

it('kubelet hears of a device that reads all ones, and of its recovery', async () => {
  const node = new AgentNode(demoNode, [nicPolicy]);
  await node.boot();
  const life = await node.start();
  expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
  await node.when(node.kubelet.run(nicPod));
  // As a virtual machine does; nobody wakes an idle device up to ask it.
  const user = node.control.openDevice(at.spareNic);
  if ('errno' in user) throw new Error(user.errno);
  const bytes = node.kernel.files.readBytes(config, 0, 256);
  node.control.goDead(at.spareNic);
  await node.clock.advance(61_000);
  expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });
  const pool = life.agent.report?.pools.find(({ resource }) => resource === nicResource);
  expect(pool?.devices[0]?.unhealthyBecause).toBe(
    `${at.spareNic} does not answer: its configuration space reads all ones`,
  );
  node.control.kill(user.pid);
  await node.clock.advance(61_000);
  expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Unhealthy' });
  node.kernel.files.put(node.kernel.files.realPath(config), { file: bytes });
  await node.clock.advance(61_000);
  expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
});
