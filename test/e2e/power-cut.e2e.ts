// The machine loses its power between two records of the journal, which lies on a disk that stays; what the kernel had not written there is
// gone. The next boot ends as planned, whatever was under way: a bind, a release, virtual functions. A disk that was ours is known again
// by its serial number, though it holds a virtual machine's data now; another one in its place is not.
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { DiskOption } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest } from './support/agent-in-guest.ts';
import { addressesOf, onHost, onVfio, readDevices, readJournalInGuest } from './support/devices-in-guest.ts';
import { setTrap } from './support/trap-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const kept = { policies: '/srv/state/policies', state: '/srv/state/vfio-operator' };
const full = process.env['FULL_TIER'] === '1';

/** Where a bind of the pair is cut; some in the everyday tier. */
const bindCuts = [
  '"type":"Begun"',
  '"kind":"LoadModule"',
  '"kind":"SetOverride"',
  '"kind":"Unbind"',
  '"kind":"Bind",',
  '"type":"Committed"',
];
const releaseCuts = [
  '"type":"Begun"',
  '"kind":"SetOverride"',
  '"kind":"Unbind"',
  '"kind":"Probe"',
  '"type":"Committed"',
];
const everyday = { bind: ['"kind":"Unbind"'], release: ['"kind":"Probe"'] };

describe.each(tierKernels)('kernel %s', (kernel) => {
  const images = mkdtempSync(join(tmpdir(), 'vfio-lab-power-'));
  const image = (name: string): string => join(images, `${name}.raw`);
  let guest: Guest;
  let agent: AgentInGuest;

  /** Powers the machine on again; `disk` is what the slot of the data disk holds. */
  const powerOn = async (disk = 'data', topology: 'small' | 'full' = 'small'): Promise<void> => {
    const disks: DiskOption[] = [
      { name: 'state', image: image('state'), mount: '/srv/state' },
      { name: disk, image: image('data') },
    ];
    const drivers = ['virtio_net', 'e1000e', 'nvme', ...(topology === 'full' ? ['igb'] : [])];
    guest = await bootGuest({ kernel, topology, disks, drivers });
    agent = await startAgentInGuest(guest, kept);
  };
  const journal = (): ReturnType<typeof readJournalInGuest> => readJournalInGuest(guest, kept.state);

  /** Makes the change and cuts the power when the journal says `record`. */
  const cutAt = async (record: string, change: () => Promise<void>): Promise<void> => {
    const trap = await setTrap(guest, agent, 'SIGSTOP', record);
    await change();
    // The policy itself is on the disk, as if it had been there for long.
    await guest.run('sync -f /srv/state/policies');
    await trap.sprung();
    await guest.kill();
  };

  afterEach(async () => guest?.kill());
  afterAll(() => rmSync(images, { recursive: true, force: true }));

  test.each(full ? bindCuts : everyday.bind)('in a bind, at %s: bound after the next boot', async (record) => {
    await powerOn();
    const pair = await addressesOf(guest, ['pair0', 'pair1']);
    await cutAt(record, () =>
      agent.putPolicy('pair', { devices: [{ addresses: [pair.pair0] }], iommuGroup: 'BindCompanions' }),
    );
    await powerOn();
    await agent.waitForDecisions({ [pair.pair0]: 'Bound', [pair.pair1]: 'Bound' });
    const onVariant = onVfio('e1000e-vfio');
    expect(await readDevices(guest, pair)).toMatchObject({ pair0: onVariant, pair1: onVariant });
    const { open, entries } = await journal();
    expect([...open.values()]).toEqual([]);
    // What is taken now is to go back to what it is now, not to what an earlier boot was in the middle of.
    expect(
      [...entries.values()].map(({ originalDriver, originalOverride }) => [originalDriver, originalOverride]),
    ).toEqual([
      ['e1000e', null],
      ['e1000e', null],
    ]);
    await agent.removePolicy('pair');
    await agent.waitForDecisions({ [pair.pair0]: 'None', [pair.pair1]: 'None' });
    expect(await readDevices(guest, pair)).toMatchObject({ pair0: onHost('e1000e'), pair1: onHost('e1000e') });
    await guest.shutdown();
  });

  test.each(full ? releaseCuts : everyday.release)(
    'in a release, at %s: with the host after the next boot',
    async (record) => {
      await powerOn();
      const { nic } = await addressesOf(guest, ['nic']);
      await agent.putPolicy('nic', { devices: [{ addresses: [nic] }] });
      await agent.waitForDecisions({ [nic]: 'Bound' });
      await cutAt(record, () => agent.removePolicy('nic'));
      await powerOn();
      await agent.putPolicy('other', { devices: [{ addresses: [(await addressesOf(guest, ['hot'])).hot] }] });
      await agent.waitForDecisions({ [(await addressesOf(guest, ['hot'])).hot]: 'Bound' });
      expect(await readDevices(guest, { nic })).toMatchObject({ nic: onHost('e1000e') });
      expect([...(await journal()).open.values()]).toEqual([]);
      expect((await journal()).entries.has(nic)).toBe(false);
      await agent.removePolicy('other');
      await guest.shutdown();
    },
  );

  test('in making virtual functions: made after the next boot', async () => {
    await powerOn('data', 'full');
    const { igb } = await addressesOf(guest, ['igb']);
    await cutAt('"type":"StepBegun".*"kind":"SetAutoprobe".*"value":true', () =>
      agent.putPolicy('igb', { devices: [{ addresses: [igb] }], sriov: { virtualFunctions: 2 } }),
    );
    await powerOn('data', 'full');
    const virtual = [igb.replace('00.0', '10.0'), igb.replace('00.0', '10.2')];
    await agent.waitForDecisions(Object.fromEntries([igb, ...virtual].map((address) => [address, 'Bound'] as const)));
    expect(await readDevices(guest, { igb })).toMatchObject({ igb: { driver: 'igb', virtualFunctions: 2 } });
    expect(await guest.readText(`/sys/bus/pci/devices/${igb}/sriov_drivers_autoprobe`)).toBe('1\n');
    await agent.removePolicy('igb');
    await agent.waitForDecisions({ [igb]: 'None' });
    expect(await readDevices(guest, { igb })).toMatchObject({ igb: { driver: 'igb', virtualFunctions: 0 } });
    await guest.shutdown();
  });

  test('a disk that was ours and holds data now is ours again; another in its place is refused', async () => {
    await powerOn();
    const { data } = await addressesOf(guest, ['data']);
    await agent.putPolicy('data', { devices: [{ addresses: [data] }] });
    await cutAt('"type":"Committed"', () => Promise.resolve());
    // What a virtual machine leaves on it: the magic number of an ext4 file system.
    const file = openSync(image('data'), 'r+');
    writeSync(file, Buffer.from([0x53, 0xef]), 0, 2, 0x438);
    closeSync(file);
    await powerOn();
    await agent.waitForDecisions({ [data]: 'Bound' });
    expect(await readDevices(guest, { data })).toMatchObject({ data: onVfio('nvme-class-vfio') });
    await guest.kill();

    await powerOn('other');
    const decisions = await agent.waitForDecisions({ [data]: 'Refused/StorageHasData' });
    expect(decisions[data]?.msg).toMatch(/nvme\d+n1 holds ext/);
    expect(await readDevices(guest, { data })).toMatchObject({ data: onHost('nvme') });
  });
});
