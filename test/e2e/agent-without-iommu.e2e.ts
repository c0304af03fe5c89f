// A machine without an IOMMU: no group, so no isolation, so nothing is taken.
import { expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import { addressesOf, onHost, readDevices } from './support/devices-in-guest.ts';

test('every device is refused and untouched, and the agent is well', async () => {
  await using guest = await bootGuest({ kernel: '6.1', topology: 'small', iommu: false });
  const at = await addressesOf(guest, ['nic', 'edu', 'pair0', 'pair1', 'hot']);
  const before = await readDevices(guest, at);
  const agent = await startAgentInGuest(guest);
  await agent.putPolicy('nics', { devices: [{ vendor: '8086', device: '10d3' }, { vendor: '1234' }] });
  const decisions = await agent.waitForDecisions(
    Object.fromEntries(Object.values(at).map((address) => [address, 'Refused/NoIommu'] as const)),
  );
  expect(decisions[at.nic]?.msg).toMatch(/intel_iommu=on/);
  const http = await openHttpInGuest(guest);
  expect(await http.get('/healthz')).toMatchObject({ status: 200 });
  expect(await http.get('/readyz')).toMatchObject({ status: 200 });
  await agent.waitForPass(http);
  expect(await readDevices(guest, at)).toEqual(before);
  expect(before).toMatchObject({ nic: { ...onHost('e1000e'), group: null }, edu: { ...onHost(null), group: null } });
  // Nothing was loaded for them either.
  expect(await guest.run('ls /sys/module | grep -c vfio || true')).toBe('0');
  await http.close();
  await agent.stop();
});
