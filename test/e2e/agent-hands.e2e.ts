// Other hands, on a live kernel: an administrator, driverctl or libvirt changes a device behind the agent's back, and something happens to
// the agent's own files. What the agent answers is seen at once, ends in one state, and is never a fight: at most one transaction answers
// one deed, and none while a driver_override says that somebody else claims the device.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, program, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readEventCount,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const bus = '/sys/bus/pci';
const resource = 'vfio-operator.dev/nic';
const names = ['nic', 'edu'] as const;
const state = '/srv/state';
const options = { kubelet: 'required', state, flags: ['--interval', '2'] } as const;

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let at: Readonly<Record<(typeof names)[number], string>>;

  beforeAll(async () => {
    guest = await bootGuest({ kernel, topology: 'small' });
    at = await addressesOf(guest, names);
    kubelet = await startKubeletInGuest(guest);
    await guest.run(`mkdir -p ${state}; mount -t tmpfs -o size=512k none ${state}`);
    agent = await startAgentInGuest(guest, options);
    http = await openHttpInGuest(guest);
    await agent.putPolicy('nic', { devices: [{ addresses: [at.nic] }], resource: { name: resource } });
    await agent.waitForDecisions({ [at.nic]: 'Bound' });
    await kubelet.waitForListing('the nic', (listing) => listing[resource]?.[0]?.health === 'Healthy');
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

  /**
   * Fills the disk until the journal takes no record. No file can be made any more either: one that takes another's place would give the
   * other's pages back. The journal's last page takes some records even then, so changes of the ledger alone use it up.
   */
  const fillDisk = async (): Promise<void> => {
    await guest.run(`touch ${state}/filler
      mount -o remount,size=64k,nr_inodes=$(stat -f -c '%c %d' ${state} | awk '{ print $1 - $2 }') ${state}
      cat /dev/zero > ${state}/filler 2> /dev/null || true`);
    for (let turn = 0; turn < 20; turn += 1) {
      const since = agent.log().length;
      const onDelete = turn % 2 === 0 ? 'Retain' : 'Restore';
      await agent.putPolicy('nic', { devices: [{ addresses: [at.nic] }], resource: { name: resource }, onDelete });
      const isEnd = (end: unknown): boolean => end === 'Applied' || end === 'NotBegun';
      const line = await agent.waitForLine('what became of it', (one) => isEnd(one['outcome']), since);
      if (line['outcome'] === 'NotBegun') return;
    }
    throw new Error('the journal took every record on a full disk');
  };
  const giveRoom = (): Promise<unknown> =>
    guest.run(`mount -o remount,size=512k,nr_inodes=1000 ${state}; rm ${state}/filler`);

  describe('on the state directory', () => {
    test('a disk that is full: nothing is written to a device, the rest goes on, and it heals', async () => {
      await fillDisk();
      const since = agent.log().length;
      await agent.putPolicy('edu', { devices: [{ addresses: [at.edu] }] });
      await agent.waitForLine('what is wrong', (line) => /ENOSPC/.test(JSON.stringify(line)), since);
      await agent.waitForPass(http);
      expect(await readDevices(guest, { edu: at.edu })).toMatchObject({ edu: onHost(null) });
      expect((await http.get('/healthz')).status).toBe(200);
      expect((await kubelet.listing())[resource]?.[0]?.health).toBe('Healthy');
      await giveRoom();
      await agent.putPolicy('nic', { devices: [{ addresses: [at.nic] }], resource: { name: resource } });
      await agent.waitForDecisions({ [at.edu]: 'Bound' }, since);
      await agent.removePolicy('edu');
      await agent.waitForDecisions({ [at.edu]: 'None' }, since);
    });

    test('a disk that is read-only: no agent starts, and no device is touched', async () => {
      await agent.stop();
      const bound = await nic();
      const before = await readEventCount(guest);
      await guest.run(`mount -o remount,ro ${state}`);
      const flags = `--policies ${agent.policies} --state ${state} --kubelet=none`;
      const started = await guest.exec(`node ${program} agent ${flags}`, { timeoutMs: 60_000 });
      expect({ code: started.code, timedOut: started.timedOut }).toEqual({ code: 1, timedOut: false });
      expect(started.stdout).toContain('EROFS');
      expect(await nic()).toEqual(bound);
      expect(await readEventCount(guest)).toBe(before);
      await guest.run(`mount -o remount,rw ${state}`);
      agent = await startAgentInGuest(guest, options);
      await kubelet.waitForListing('the nic', (listing) => listing[resource]?.[0]?.health === 'Healthy');
    });

    test('a journal that is damaged, or of a newer release: no agent starts, no device is touched, nothing is lost', async () => {
      await agent.stop();
      const journal = await guest.readText(`${state}/journal`);
      const bound = await nic();
      const before = await readEventCount(guest);
      const flip = (index: number): string =>
        journal.slice(0, index) + String.fromCharCode(journal.charCodeAt(index) ^ 1) + journal.slice(index + 1);
      const middle = Math.floor(journal.length / 2);
      const cases: readonly (readonly [string, RegExp])[] = [
        [journal.replace(/^vfio-operator journal \d+/, 'vfio-operator journal 99'), /format 99/],
        [flip(3), /damaged in line 1/],
        [flip(middle), /damaged in line \d+/],
        [journal.split('\n').toSpliced(1, 1).join('\n'), /damaged in line \d+/],
      ];
      for (const [text, message] of cases) {
        await guest.createFile(`${state}/journal`, text);
        const flags = `--policies ${agent.policies} --state ${state} --kubelet=none`;
        const started = await guest.exec(`node ${program} agent ${flags}`, { timeoutMs: 60_000 });
        expect({ code: started.code, timedOut: started.timedOut }).toEqual({ code: 1, timedOut: false });
        expect(started.stdout).toMatch(message);
        expect(await guest.readText(`${state}/journal`)).toBe(text);
      }
      expect(await nic()).toEqual(bound);
      expect(await readEventCount(guest)).toBe(before);
      await guest.createFile(`${state}/journal`, journal);
      agent = await startAgentInGuest(guest, options);
      await kubelet.waitForListing('the nic', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      expect(transactions(0)).toEqual([]);
    });

    test('release beside the agent asks it; beside a killed one it takes the lock itself; the next agent takes it back', async () => {
      const release = (): ReturnType<Guest['exec']> =>
        guest.exec(`node ${program} release ${at.nic} --policies ${agent.policies} --state ${state} --kubelet=none`);
      const refused = await release();
      expect(refused.code).not.toBe(0);
      expect(refused.stderr + refused.stdout).toMatch(/policy nic|nic wants it/);
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
      await agent.kill();
      await guest.run(`mv ${agent.policies}/nic.json /tmp/nic.json`);
      const done = await release();
      expect({ code: done.code, said: done.stdout + done.stderr }).toMatchObject({ code: 0 });
      expect(await nic()).toMatchObject(onHost('e1000e'));
      expect((await readJournalInGuest(guest, state)).entries.size).toBe(0);
      await guest.run(`mv /tmp/nic.json ${agent.policies}/nic.json`);
      agent = await startAgentInGuest(guest, options);
      await kubelet.waitForListing('the nic', (listing) => listing[resource]?.[0]?.health === 'Healthy');
      expect(await nic()).toMatchObject(onVfio('e1000e-vfio'));
    });
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
