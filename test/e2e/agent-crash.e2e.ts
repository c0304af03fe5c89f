// The agent killed at the records of its journal, before and after the kernel write that a record announces, and started again: the
// machine ends as it does without a kill, whatever was under way. And two agents at once: one writer.
import { setTimeout as sleep } from 'node:timers/promises';
import { tierKernels } from './support/tier-kernels.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { policyDocument, program } from './support/agent-in-guest.ts';
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
import { openKillSweep, sweep } from './support/kill-sweep.ts';
import type { Change, KillSweep, MachineState } from './support/kill-sweep.ts';

const names = ['nic', 'pair0', 'pair1', 'faulty', 'igb'] as const;

function step(kind: string, address: string): string {
  return `"type":"StepBegun".*"kind":"${kind}".*"address":"${address}"`;
}

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kills: KillSweep;
  let at: Readonly<Record<(typeof names)[number], string>>;
  let original: MachineState;

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    at = await addressesOf(guest, names);
    kills = await openKillSweep(guest);
    original = await kills.state();
  });
  afterAll(async () => {
    for (const [name, count] of kills?.kills ?? []) process.stderr.write(`${kernel}: ${name}: ${count} kills\n`);
    await guest?.shutdown();
  });

  /** A policy comes, or changes; its devices end on VFIO. */
  const put = (
    name: string,
    policy: string,
    spec: () => object,
    bound: () => readonly string[],
    unload = '',
  ): Change => ({
    name,
    make: (agent) => agent.putPolicy(policy, spec()),
    finished: (agent, since) =>
      agent.waitForDecisions(Object.fromEntries(bound().map((address) => [address, 'Bound'] as const)), since),
    ...(unload === '' ? {} : { before: `rmmod ${unload} 2>/dev/null || true` }),
  });
  const remove = (name: string, policy: string, devices: () => readonly string[]): Change => ({
    name,
    make: (agent) => agent.removePolicy(policy),
    finished: (agent, since) =>
      agent.waitForDecisions(Object.fromEntries(devices().map((address) => [address, 'None'] as const)), since),
  });
  const virtualFunctions = (): readonly string[] => [
    at.igb.replace(/00\.0$/, '10.0'),
    at.igb.replace(/00\.0$/, '10.2'),
  ];

  /** Until the journal has nothing open, and so many entries. */
  const settled = async (entries: number): Promise<void> => {
    for (const deadline = Date.now() + 180_000; ; await sleep(300)) {
      const journal = await readJournalInGuest(guest);
      if (journal.open.size === 0 && journal.entries.size === entries) return;
      if (Date.now() > deadline) expect([...journal.open.values()]).toBe(`${entries} settled`);
    }
  };

  test('a bind that loads its module, and the release', async () => {
    await sweep(
      kills,
      put(
        'bind',
        'nic',
        () => ({ devices: [{ addresses: [at.nic] }] }),
        () => [at.nic],
        'e1000e_vfio_pci',
      ),
      remove('release', 'nic', () => [at.nic]),
      { there: 5, back: 5 },
    );
    expect(await kills.state()).toEqual(original);
  });

  test('a bind with companions, and their release', async () => {
    const pair = (): readonly string[] => [at.pair0, at.pair1];
    await sweep(
      kills,
      put('companions', 'pair', () => ({ devices: [{ addresses: [at.pair0] }], iommuGroup: 'BindCompanions' }), pair),
      remove('release of companions', 'pair', pair),
      { there: 5, back: 5 },
    );
    expect(await kills.state()).toEqual(original);
  });

  test('a bind whose probe fails, and its roll back', async () => {
    const failed = (agent: AgentInGuest, since = 0): Promise<unknown> =>
      agent.waitForDecisions({ [at.faulty]: 'Failed' }, since);
    await sweep(
      kills,
      {
        ...put(
          'failing probe',
          'faulty',
          () => ({ devices: [{ addresses: [at.faulty] }] }),
          () => [],
          'faulty_vfio_pci',
        ),
        finished: failed,
        again: failed,
      },
      remove('giving up on it', 'faulty', () => [at.faulty]),
      { there: 5, back: 0 },
    );
    expect(await kills.state()).toEqual(original);
  });

  test('virtual functions made, and removed', async () => {
    const all = (): readonly string[] => [at.igb, ...virtualFunctions()];
    await sweep(
      kills,
      put(
        'VF creation',
        'igb',
        () => ({ devices: [{ addresses: [at.igb] }], sriov: { virtualFunctions: 2 } }),
        all,
        'igbvf_vfio_pci',
      ),
      remove('VF removal', 'igb', all),
      { there: 5, back: 5 },
    );
    expect(await kills.state()).toEqual(original);
  });

  test('a policy that changes the driver, there and back', async () => {
    const spec = { devices: [{ addresses: [at.nic] }] };
    await kills.agent.putPolicy('nic', spec);
    await kills.agent.waitForDecisions({ [at.nic]: 'Bound' });
    expect(await readDevices(guest, { nic: at.nic })).toMatchObject({ nic: onVfio('e1000e-vfio') });
    const onDriver = (driver: string, change: Change): Change => ({
      ...change,
      async finished() {
        for (const deadline = Date.now() + 180_000; Date.now() < deadline; await sleep(100)) {
          const { nic } = await readDevices(guest, { nic: at.nic });
          if (nic.driver === driver && (await readJournalInGuest(guest)).open.size === 0) return;
        }
        throw new Error(`${at.nic} has not come to ${driver} in 180 s`);
      },
    });
    await sweep(
      kills,
      onDriver(
        'vfio-pci',
        put(
          'driver change',
          'nic',
          () => ({ ...spec, driver: { name: 'vfio-pci' } }),
          () => [at.nic],
          'vfio_pci',
        ),
      ),
      onDriver(
        'e1000e-vfio',
        put(
          'driver change back',
          'nic',
          () => spec,
          () => [at.nic],
        ),
      ),
      { there: 3, back: 2 },
    );
    await kills.agent.removePolicy('nic');
    for (const deadline = Date.now() + 180_000; (await kills.state()).join() !== original.join(); await sleep(200))
      if (Date.now() > deadline) expect(await kills.state()).toEqual(original);
  });

  test('a bind is undone by an agent that dies over it, and by the next', async () => {
    const pair = { pair0: at.pair0, pair1: at.pair1 };
    await kills.dieOnce(step('Bind', at.pair1), (agent) =>
      agent.putPolicy('pair', { devices: [{ addresses: [at.pair0] }], iommuGroup: 'BindCompanions' }),
    );
    await kills.dieOnce('"type":"StepBegun".*"direction":"Back".*"kind":"Bind"', () => Promise.resolve());
    await settled(2);
    expect(await readDevices(guest, pair)).toMatchObject({
      pair0: onVfio('e1000e-vfio'),
      pair1: onVfio('e1000e-vfio'),
    });
    await kills.agent.removePolicy('pair');
    await settled(0);
    expect(await kills.state()).toEqual(original);
  });

  test('a release that an agent died over is finished where undoing it would take what the host has put to use', async () => {
    const pair = { pair0: at.pair0, pair1: at.pair1 };
    const inUse = `n=$(ls /sys/bus/pci/devices/${at.pair0}/net); ip addr add 10.78.0.2/24 dev $n; ip link set $n up`;
    await kills.agent.putPolicy('pair', { devices: [{ addresses: [at.pair0] }], iommuGroup: 'BindCompanions' });
    await settled(2);
    expect(await readDevices(guest, pair)).toMatchObject({
      pair0: onVfio('e1000e-vfio'),
      pair1: onVfio('e1000e-vfio'),
    });
    await kills.dieOnce(
      step('Unbind', at.pair1),
      (agent) => agent.removePolicy('pair'),
      () => guest.run(inUse),
    );
    await settled(0);
    expect(await readDevices(guest, pair)).toMatchObject({ pair0: onHost('e1000e'), pair1: onHost('e1000e') });
    // It has never left the host: a device that comes back comes without an address.
    expect(await guest.run(`ip -4 -o addr show dev $(ls /sys/bus/pci/devices/${at.pair0}/net)`)).toContain('10.78.0.2');
    await guest.run(`n=$(ls /sys/bus/pci/devices/${at.pair0}/net); ip addr flush dev $n; ip link set $n down`);
    expect(await kills.state()).toEqual(original);
  });

  test('a second agent on the host leaves at once, says who is there, and writes nothing', async () => {
    const { agent } = kills;
    const look = async () => ({ events: await readEventCount(guest), state: await guest.run(`ls -il ${agent.state}`) });
    // The first agent may still have to tell what the last change came to.
    let before = await look();
    for (let told = { ...before, state: '' }; told.state !== before.state; before = await look()) {
      told = before;
      await sleep(10_000);
    }
    const policies = '/etc/other-policies';
    await guest.run(`mkdir -p ${policies}`);
    const document = policyDocument('nic', { devices: [{ addresses: [at.nic] }] });
    await guest.createFile(`${policies}/nic.json`, JSON.stringify(document));
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
    expect(await look()).toEqual(before);
    expect(await kills.state()).toEqual(original);
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
