// Other hands, on a live kernel: an administrator, driverctl or libvirt changes a device behind the agent's back. What the agent answers is
// seen at once, ends in one state, and is never a fight: at most one transaction answers one deed, and none while a driver_override says that
// somebody else claims the device.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Guest } from './lab/guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import { kernelComplaints, onVfio, readDevices, readJournalInGuest } from './support/devices-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { bootOfferedNic, resource, state } from './support/offered-nic.ts';
import type { OfferedNic } from './support/offered-nic.ts';
import { tierKernels } from './support/tier-kernels.ts';

const bus = '/sys/bus/pci';

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let at: OfferedNic['at'];

  beforeAll(async () => {
    ({ guest, kubelet, agent, http, at } = await bootOfferedNic(kernel));
  });
  afterAll(async () => guest?.shutdown());

  const nic = async (): Promise<object> => (await readDevices(guest, { nic: at.nic })).nic;
  /** What was applied; one that found the device changed again before it began is none. */
  const transactions = (since: number): readonly unknown[] =>
    agent
      .log()
      .slice(since)
      .filter((line) => line['outcome'] === 'Applied')
      .map((line) => line['kind']);
  /** Three looks of the agent, in which nothing more may be done. */
  const settle = async (): Promise<void> => {
    for (let passes = 0; passes < 2; passes += 1) await agent.waitForPass(http);
  };

  describe('on a device that is offered', () => {
    test('unbound and given to its host driver, as nodedev-reattach does: unhealthy at once, taken again once', async () => {
      const since = agent.log().length;
      await guest.run(`printf '\\n' > ${bus}/devices/${at.nic}/driver_override
        echo ${at.nic} > ${bus}/drivers/e1000e-vfio/unbind; echo ${at.nic} > ${bus}/drivers_probe`);
      await kubelet.waitForListing('that it is gone', (listing) => listing[resource]?.[0]?.health === 'Unhealthy');
      await kubelet.waitForListing('that it is back', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      await settle();
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
      expect(transactions(since)).toEqual(['Bind']);
    });

    test('moved to another VFIO driver, as driverctl set-override does: theirs until the override is gone, then taken back once', async () => {
      const since = agent.log().length;
      await guest.run(`modprobe vfio-pci; echo vfio-pci > ${bus}/devices/${at.nic}/driver_override
        echo ${at.nic} > ${bus}/drivers/e1000e-vfio/unbind; echo ${at.nic} > ${bus}/drivers_probe`);
      await kubelet.waitForListing('that it is gone', (listing) => listing[resource]?.[0]?.health === 'Unhealthy');
      await agent.waitForDecisions({ [at.nic]: 'Refused/NotOurs' }, since);
      await settle();
      expect(await nic()).toMatchObject(onVfio('vfio-pci'));
      expect(transactions(since)).toEqual([]);
      await guest.run(`printf '\\n' > ${bus}/devices/${at.nic}/driver_override`);
      await kubelet.waitForListing('that it is back', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      await settle();
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
      // Seen in between or not, it is one transaction.
      expect(transactions(since)).toHaveLength(1);
      const { entries } = await readJournalInGuest(guest, state);
      expect(entries.get(at.nic)).toMatchObject({ originalDriver: 'e1000e', originalOverride: null });
    });

    test('an override of somebody else on a bound device: it is said, and never written over', async () => {
      const since = agent.log().length;
      await guest.writeText(`${bus}/devices/${at.nic}/driver_override`, 'pci-stub');
      await agent.waitForDecisions({ [at.nic]: 'Refused/NotOurs' }, since);
      await settle();
      expect((await kubelet.listing())[resource]?.[0]?.health).toBe('Unhealthy');
      expect(await nic()).toMatchObject({ driver: 'e1000e-vfio', override: 'pci-stub' });
      expect(transactions(since)).toEqual([]);
      await guest.writeText(`${bus}/devices/${at.nic}/driver_override`, 'e1000e-vfio');
      await kubelet.waitForListing('that it is back', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
      expect(transactions(since)).toEqual([]);
    });

    test('given to its host driver by an override, as driverctl does: theirs, until it is unset', async () => {
      const since = agent.log().length;
      await guest.run(`echo e1000e > ${bus}/devices/${at.nic}/driver_override
        echo ${at.nic} > ${bus}/drivers/e1000e-vfio/unbind; echo ${at.nic} > ${bus}/drivers_probe`);
      await kubelet.waitForListing('that it is gone', (listing) => listing[resource]?.[0]?.health === 'Unhealthy');
      await agent.waitForDecisions({ [at.nic]: 'Refused/NotOurs' }, since);
      await settle();
      expect(await nic()).toMatchObject({ driver: 'e1000e', override: 'e1000e' });
      expect(transactions(since)).toEqual([]);
      await guest.run(`printf '\\n' > ${bus}/devices/${at.nic}/driver_override`);
      await kubelet.waitForListing('that it is back', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      await settle();
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
      expect(transactions(since)).toEqual(['Bind']);
    });

    test('bound to VFIO by somebody before a policy wants it: not ours', async () => {
      const since = agent.log().length;
      await guest.run(
        `echo vfio-pci > ${bus}/devices/${at.edu}/driver_override; echo ${at.edu} > ${bus}/drivers_probe`,
      );
      await agent.putPolicy('edu', { devices: [{ addresses: [at.edu] }] });
      await agent.waitForDecisions({ [at.edu]: 'Refused/NotOurs' }, since);
      expect(await readDevices(guest, { edu: at.edu })).toMatchObject({ edu: onVfio('vfio-pci') });
      await agent.removePolicy('edu');
      await guest.run(
        `printf '\\n' > ${bus}/devices/${at.edu}/driver_override; echo ${at.edu} > ${bus}/drivers/vfio-pci/unbind`,
      );
    });
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
