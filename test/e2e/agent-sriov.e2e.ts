// Virtual functions on live kernels: made for a policy, moved to their variant driver, offered to kubelet, and gone with the policy; those
// that were there before are used and left. What is true is read from the kernel.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import { kernelComplaints, onHost, onVfio, readDevices, readJournalInGuest } from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const devices = '/sys/bus/pci/devices';

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, { kubelet: 'required', flags: ['--interval', '2'] });
    http = await openHttpInGuest(guest);
  });
  afterAll(async () => guest?.shutdown());

  /** Addresses of a PF's VFs, as the kernel links them. */
  const virtualFunctionsOf = async (physical: string): Promise<readonly string[]> => {
    const links = await guest.run(`cd ${devices}/${physical}; for f in virtfn*; do readlink $f || true; done`);
    return links
      .split('\n')
      .filter((link) => link !== '')
      .map((link) => link.replace('../', ''));
  };

  const named = (addresses: readonly string[]): Readonly<Record<string, string>> =>
    Object.fromEntries(addresses.map((address) => [address, address]));

  const each = <Value>(addresses: readonly string[], value: Value): Readonly<Record<string, Value>> =>
    Object.fromEntries(addresses.map((address) => [address, value]));

  const autoprobe = (physical: string): Promise<string> =>
    guest.readText(`${devices}/${physical}/sriov_drivers_autoprobe`);

  const physicalFunction = async (physical: string): Promise<object> =>
    (await readDevices(guest, { physical })).physical;

  const cases = [
    { name: 'igb', count: 7, host: 'igb', variant: 'igbvf_vfio_pci', selector: { vendor: '8086', device: '10c9' } },
    {
      name: 'nvme',
      count: 4,
      host: 'nvme',
      variant: 'nvme-class-vfio',
      selector: { vendor: '1b36', device: '0010', function: 'Physical' },
    },
  ] as const;

  test.each(cases)('$name: $count made, on $variant, offered, and gone with the policy', async (one) => {
    const physical = await guest.pciAddress(one.name);
    const resource = `vfio-operator.dev/${one.name}-vf`;
    expect(await physicalFunction(physical)).toMatchObject({ ...onHost(one.host), virtualFunctions: 0 });
    const since = agent.log().length;
    await agent.putPolicy(one.name, {
      devices: [one.selector],
      sriov: { virtualFunctions: one.count },
      driver: { requireVariant: true },
      resource: { name: resource },
    });
    await kubelet.waitForListing(
      `${one.count} healthy VFs`,
      (listing) => listing[resource]?.filter(({ health }) => health === 'Healthy').length === one.count,
    );

    const virtual = await virtualFunctionsOf(physical);
    expect(virtual).toHaveLength(one.count);
    const bound = await readDevices(guest, named(virtual));
    expect(bound).toMatchObject(each(virtual, onVfio(one.variant)));
    expect(new Set(Object.values(bound).map(({ group }) => group)).size).toBe(one.count);
    expect(await physicalFunction(physical)).toMatchObject({ ...onHost(one.host), virtualFunctions: one.count });
    expect(await autoprobe(physical)).toBe('1\n');
    expect((await kubelet.listing())[resource]?.map(({ id }) => id).sort()).toEqual([...virtual].sort());
    // No host driver has had one in between, since autoprobe was off while they were made: the ledger knows of none.
    const { entries } = await readJournalInGuest(guest);
    expect(virtual.map((address) => entries.get(address)?.originalDriver)).toEqual(virtual.map(() => null));

    await agent.removePolicy(one.name);
    await agent.waitForDecisions({ [physical]: 'None' }, since);
    expect(await virtualFunctionsOf(physical)).toEqual([]);
    expect(await physicalFunction(physical)).toMatchObject({ ...onHost(one.host), virtualFunctions: 0 });
    expect(await autoprobe(physical)).toBe('1\n');
  });

  test('fewer VFs than wanted are refused and left alone', async () => {
    const physical = await guest.pciAddress('igb');
    await guest.writeText(`${devices}/${physical}/sriov_drivers_autoprobe`, '0');
    await guest.writeText(`${devices}/${physical}/sriov_numvfs`, '2');
    const virtual = await virtualFunctionsOf(physical);
    const since = agent.log().length;
    await agent.putPolicy('igb', { devices: [{ vendor: '8086', device: '10c9' }], sriov: { virtualFunctions: 7 } });
    const decisions = await agent.waitForDecisions({ [physical]: 'Refused/PfHasVfs' }, since);
    expect(decisions[physical]?.msg).toContain('it has 2 virtual functions, 7 are wanted');
    await agent.waitForPass(http);
    expect(await virtualFunctionsOf(physical)).toEqual(virtual);
    expect(await readDevices(guest, named(virtual))).toMatchObject(each(virtual, onHost(null)));
    expect(await physicalFunction(physical)).toMatchObject({ ...onHost('igb'), virtualFunctions: 2 });
    await agent.removePolicy('igb');
    await agent.waitForDecisions({ [physical]: 'None' }, since);
    await guest.writeText(`${devices}/${physical}/sriov_numvfs`, '0');
  });

  test('VFs that were there before are used, and stay when the policy goes', async () => {
    const physical = await guest.pciAddress('igb');
    await guest.writeText(`${devices}/${physical}/sriov_numvfs`, '4');
    const virtual = await virtualFunctionsOf(physical);
    expect(virtual).toHaveLength(4);
    const before = agent.log().length;
    await agent.putPolicy('igb', { devices: [{ vendor: '8086', device: '10c9' }], sriov: { virtualFunctions: 3 } });
    await agent.waitForDecisions(each([physical, ...virtual], 'Bound'), before);
    expect(await readDevices(guest, named(virtual))).toMatchObject(each(virtual, onVfio('igbvf_vfio_pci')));

    const since = agent.log().length;
    await agent.removePolicy('igb');
    await agent.waitForDecisions(each([physical, ...virtual], 'None'), since);
    expect(await virtualFunctionsOf(physical)).toEqual(virtual);
    expect(await readDevices(guest, named(virtual))).toMatchObject(each(virtual, onHost(null)));
    expect(await physicalFunction(physical)).toMatchObject({ ...onHost('igb'), virtualFunctions: 4 });
    await guest.writeText(`${devices}/${physical}/sriov_numvfs`, '0');
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
