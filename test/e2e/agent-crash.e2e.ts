// The agent killed between the kernel writes of a bind and of a release, at each kind of record its journal can end with, and started
// again: the machine ends as planned, and a release leaves it as it was before the first of all.
import { setTimeout as sleep } from 'node:timers/promises';
import { tierKernels } from './support/tier-kernels.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { policyDocument, program, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readEventCount,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { setTrap } from './support/trap-in-guest.ts';

/** Where it dies, as a record of its journal; `first` and `second` are the group's functions. */
type Point = (addresses: { readonly first: string; readonly second: string }) => string;

function step(kind: string, address: string): string {
  return `"type":"StepBegun".*"kind":"${kind}".*"address":"${address}"`;
}

const bindPoints: readonly (readonly [string, Point])[] = [
  ['before its first write', () => '"type":"Begun".*"kind":"Bind"'],
  ['before the first driver_override', ({ first }) => step('SetOverride', first)],
  ['between driver_override and unbind', ({ first }) => step('Unbind', first)],
  ['before the last bind', ({ second }) => step('Bind', second)],
  ['once it is committed', () => '"type":"Committed"'],
];
const releasePoints: readonly (readonly [string, Point])[] = [
  ['before its first write', () => '"type":"Begun".*"kind":"Release"'],
  ['before the first driver_override is cleared', ({ first }) => step('SetOverride', first)],
  ['between driver_override and unbind', ({ first }) => step('Unbind', first)],
  ['before the last probe', ({ second }) => step('Probe', second)],
  ['once it is committed', () => '"type":"Committed"'],
];

/** What every PCI device has: driver, driver_override, VFs. */
function snapshot(guest: Guest): Promise<string> {
  return guest.run(
    'cd /sys/bus/pci/devices; for d in *; do echo $d $(basename $(readlink $d/driver || echo none)) $(cat $d/driver_override) $(cat $d/sriov_numvfs 2>/dev/null); done',
  );
}

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let agent: AgentInGuest;
  let pair: { readonly pair0: string; readonly pair1: string };
  let original: string;

  beforeAll(async () => {
    guest = await bootGuest({ kernel, topology: 'small' });
    pair = await addressesOf(guest, ['pair0', 'pair1']);
    original = await snapshot(guest);
    agent = await startAgentInGuest(guest);
  });
  afterAll(async () => guest?.shutdown());

  const policy = (): object => ({
    devices: [{ addresses: [pair.pair0] }],
    iommuGroup: 'BindCompanions',
  });

  /** Lets `change` begin a transaction, and the agent die at `point` of it. What it was at is left in the journal. */
  const dieAt = async (point: Point, change: () => Promise<void>): Promise<void> => {
    const trap = await setTrap(guest, agent, 'SIGKILL', point({ first: pair.pair0, second: pair.pair1 }));
    await change();
    await trap.sprung();
    expect((await agent.process.ended).signal).toBe('SIGKILL');
  };

  /** Waits until the journal says that all is settled and `entries` devices are ours. */
  const settled = async (entries: number): Promise<void> => {
    for (const deadline = Date.now() + 60_000; ; await sleep(300)) {
      const journal = await readJournalInGuest(guest);
      if (journal.open.size === 0 && journal.entries.size === entries) return;
      if (Date.now() > deadline)
        expect({ open: [...journal.open.values()], entries: journal.entries }).toBe(`${entries} settled`);
    }
  };

  /** Starts the next agent; resolves once it has taken the journal over (it writes it anew). */
  const again = async (): Promise<void> => {
    const inode = (): Promise<string> => guest.run(`ls -i ${agent.state}/journal`);
    const before = await inode();
    agent = await startAgentInGuest(guest);
    for (const deadline = Date.now() + 30_000; (await inode()) === before; await sleep(100))
      if (Date.now() > deadline) throw new Error('the next agent has not taken the journal over in 30 s');
  };

  const cycles = bindPoints.map(([bindWhen, bindPoint], index) => {
    const [releaseWhen, releasePoint] = releasePoints[index] ?? [bindWhen, bindPoint];
    return { bindWhen, bindPoint, releaseWhen, releasePoint };
  });

  test.each(cycles)(
    'killed in a bind $bindWhen, and in the release $releaseWhen',
    async ({ bindWhen, bindPoint, releaseWhen, releasePoint }) => {
      await dieAt(bindPoint, () => agent.putPolicy('pair', policy()));
      expect((await readJournalInGuest(guest)).open.size).toBe(bindWhen.startsWith('once') ? 0 : 1);
      await again();
      await settled(2);
      const bound = await readDevices(guest, pair);
      expect(bound).toMatchObject({ pair0: onVfio('e1000e-vfio'), pair1: onVfio('e1000e-vfio') });

      await dieAt(releasePoint, () => agent.removePolicy('pair'));
      expect((await readJournalInGuest(guest)).open.size).toBe(releaseWhen.startsWith('once') ? 0 : 1);
      await again();
      await settled(0);
      expect(await readDevices(guest, pair)).toMatchObject({ pair0: onHost('e1000e'), pair1: onHost('e1000e') });
      expect(await snapshot(guest)).toBe(original);
    },
  );

  test('a bind is undone by an agent that dies over it, and by the next', async () => {
    await dieAt(
      ({ second }) => step('Bind', second),
      () => agent.putPolicy('pair', policy()),
    );
    agent = await startAgentInGuest(guest);
    const trap = await setTrap(guest, agent, 'SIGKILL', '"type":"StepBegun".*"direction":"Back".*"kind":"Bind"');
    await trap.sprung();
    expect((await readJournalInGuest(guest)).open.size).toBe(1);
    await again();
    await settled(2);
    expect(await readDevices(guest, pair)).toMatchObject({
      pair0: onVfio('e1000e-vfio'),
      pair1: onVfio('e1000e-vfio'),
    });
    await agent.removePolicy('pair');
    await settled(0);
    expect(await snapshot(guest)).toBe(original);
  });

  test('a second agent on the host leaves at once, says who is there, and writes nothing', async () => {
    const before = { events: await readEventCount(guest), state: await guest.run(`ls -il ${agent.state}`) };
    const policies = '/etc/other-policies';
    await guest.run(`mkdir -p ${policies}`);
    await guest.createFile(`${policies}/pair.json`, JSON.stringify(policyDocument('pair', policy())));
    const start = (flags: string) =>
      guest.exec(`node ${program} agent --policies ${policies} --kubelet=none ${flags}`, { timeoutMs: 30_000 });
    const locked = await start('--listen 127.0.0.1:9809');
    expect(locked).toMatchObject({ code: 1, timedOut: false });
    expect(locked.stdout).toContain(
      `another writer is at work on this host: agent, process ${agent.process.pid}. One at a time`,
    );
    const clash = await start('');
    expect(clash).toMatchObject({ code: 1, timedOut: false, stderr: '' });
    expect(clash.stdout).toContain('cannot listen on 127.0.0.1:9808 (EADDRINUSE): another agent may be running here');
    expect({ events: await readEventCount(guest), state: await guest.run(`ls -il ${agent.state}`) }).toEqual(before);
    expect(await snapshot(guest)).toBe(original);
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
