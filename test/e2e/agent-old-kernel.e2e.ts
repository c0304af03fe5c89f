// Kernel 5.10: no vfio_pci aliases, and a host driver bound beside an open group is a BUG of the kernel. The generic driver serves
// and says so; while anybody has a group open nothing is written to any of its members.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import type { AgentInGuest } from './support/agent-in-guest.ts';
import { openHttpInGuest, program, startAgentInGuest } from './support/agent-in-guest.ts';
import { addressesOf, holdDevice, kernelComplaints, onHost, onVfio, readDevices } from './support/devices-in-guest.ts';

const names = ['edu', 'nic', 'pair0', 'pair1', 'hot', 'uplink'] as const;
let guest: Guest;
let agent: AgentInGuest;
let at: Readonly<Record<(typeof names)[number], string>>;
const read = (): ReturnType<typeof readDevices<(typeof names)[number]>> => readDevices(guest, at);

beforeAll(async () => {
  guest = await bootGuest({ kernel: '5.10', topology: 'small' });
  at = await addressesOf(guest, names);
  agent = await startAgentInGuest(guest);
});
afterAll(async () => guest?.shutdown());

test('without aliases vfio-pci serves, and the evidence calls it a fallback', async () => {
  const before = await read();
  await agent.putPolicy('nic', { devices: [{ addresses: [at.nic, at.edu] }] });
  await agent.waitForDecisions({ [at.nic]: 'Bound', [at.edu]: 'Bound' });
  expect(await read()).toMatchObject({
    ...before,
    nic: { ...onVfio('vfio-pci'), cdev: null },
    edu: { ...onVfio('vfio-pci'), cdev: null },
  });
  const match = JSON.parse(await guest.run(`node ${program} match ${at.nic} -o json`)) as object;
  expect(match).toMatchObject({ chosen: { module: 'vfio_pci', pattern: '' }, candidates: [], fallback: true });

  await agent.removePolicy('nic');
  await agent.waitForDecisions({ [at.nic]: 'None', [at.edu]: 'None' });
  expect(await read()).toEqual(before);
  expect(before.nic).toMatchObject(onHost('e1000e'));
});

test('nothing is written beside an open group, neither to bind nor to give back', async () => {
  // The sibling has no driver, so the group is viable with one function on VFIO.
  await guest.writeText('/sys/bus/pci/drivers/e1000e/unbind', at.pair1);
  const before = await read();
  await agent.putPolicy('pair', { devices: [{ addresses: [at.pair0] }] });
  await agent.waitForDecisions({ [at.pair0]: 'Bound' });
  const opened = await read();
  expect(opened).toMatchObject({ pair0: onVfio('vfio-pci'), pair1: onHostInGroup(null) });
  const holder = await holdDevice(guest, opened.pair0.group, at.pair0);
  const http = await openHttpInGuest(guest);

  await agent.putPolicy('pair', { devices: [{ addresses: [at.pair0, at.pair1] }] });
  const held = await agent.waitForDecisions({ [at.pair1]: 'Held/HeldByProcess' });
  expect(held[at.pair1]?.msg).toContain(String(holder.pid));
  await agent.waitForPass(http);
  expect(await read()).toEqual(opened);

  await agent.removePolicy('pair');
  await agent.waitForDecisions({ [at.pair0]: 'Held/HeldByProcess' });
  await agent.waitForPass(http);
  expect(await read()).toEqual(opened);
  expect(await kernelComplaints(guest)).toEqual([]);

  await holder.signal('SIGTERM');
  await agent.waitForDecisions({ [at.pair0]: 'None' });
  expect(await read()).toEqual(before);
  expect(before).toMatchObject({ pair0: onHost('e1000e'), pair1: onHost(null) });
  expect(await kernelComplaints(guest)).toEqual([]);
  await http.close();
  await agent.stop();
});

/** Without a hand of ours, in a group whose node is there because of a sibling. */
function onHostInGroup(driver: string | null): object {
  return { ...onHost(driver), groupNode: true };
}
