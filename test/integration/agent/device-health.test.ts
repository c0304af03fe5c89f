// A device that falls off its bus while it stays in sysfs: Unhealthy, and Healthy again once it answers.
import { expect, it } from 'vitest';
import { demoAddresses as at } from '../../../src/simulation/nodes/demo-node.ts';
import { livingNode, nicPod, nicPolicy, nicResource } from '../../support/agent-node.ts';

const config = `/sys/bus/pci/devices/${at.spareNic}/config`;

it('kubelet hears of a device that reads all ones, and of its recovery', async () => {
  const { node, life } = await livingNode([nicPolicy]);
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

it('a device in use that has fewer lanes than it could is noticed, and stays Healthy; its counters make no new notice', async () => {
  const { node, life } = await livingNode([nicPolicy]);
  const directory = node.kernel.files.realPath(`/sys/bus/pci/devices/${at.spareNic}`);
  const put = (name: string, text: string): void => node.kernel.files.put(`${directory}/${name}`, text);
  put('current_link_width', '2\n');
  put('max_link_width', '4\n');
  const notice = (): string | undefined => life.agent.report?.observation.notices.get(at.spareNic);
  await node.clock.advance(61_000);
  expect(notice()).toBeUndefined();
  // It sleeps until somebody opens it.
  const user = node.control.openDevice(at.spareNic);
  if ('errno' in user) throw new Error(user.errno);
  await node.clock.advance(61_000);
  expect(notice()).toBe('its PCIe link has 2 of 4 lanes');
  const notices = new Set<string | undefined>();
  for (const errors of [0, 3, 4, 9]) {
    put('aer_dev_fatal', `DLP ${errors}\nTOTAL_ERR_FATAL ${errors}\n`);
    await node.clock.advance(61_000);
    notices.add(notice());
  }
  expect([...notices]).toEqual([
    'its PCIe link has 2 of 4 lanes',
    'its PCIe link has 2 of 4 lanes; it has reported fatal PCIe errors since the agent began to look',
  ]);
  expect(node.offered(nicResource)).toEqual({ [at.spareNic]: 'Healthy' });
});
