// The agent's own files, on a live kernel: its disk is full or read-only, its journal damaged or of a newer release, its lock somebody else's.
// Nothing is written to a device then, nothing is lost, and it goes on by itself once it can.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Guest } from './lab/guest.ts';
import { program, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import {
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readEventCount,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { bootOfferedNic, options, resource, state } from './support/offered-nic.ts';
import type { OfferedNic } from './support/offered-nic.ts';
import { tierKernels } from './support/tier-kernels.ts';

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
    expect(agent.log().filter((line) => line['outcome'] === 'Applied')).toEqual([]);
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

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
