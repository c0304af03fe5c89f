// Tests of binding and giving back on a live kernel: the right VFIO driver for every device, IOMMU groups as wholes, roll back when a
// probe fails. Every claim is read from sysfs, /dev/vfio or the kernel's log.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AgentOnFullMachine } from './agent-on-full-machine.ts';
import { program } from './agent-in-guest.ts';
import { holdDevice, onHost, onVfio, readDevices, readJournalInGuest } from './devices-in-guest.ts';

/** Registers the tests; `machine` is asked when they run. */
export function testBinding(machine: () => AgentOnFullMachine): void {
  test('each device gets its most specific VFIO driver, is usable, and goes back when its policy goes', async () => {
    const { guest, agent, at, read } = machine();
    const before = await read();
    await agent.putPolicy('nics', { devices: [{ vendor: '8086', device: '10d3' }] });
    await agent.putPolicy('others', {
      devices: [
        { class: '0108' },
        { vendor: '1234', class: '0380' },
        { addresses: [at.edu] },
        { vendor: '8086', device: '10c9' },
      ],
    });
    const bound = ['nic', 'pair0', 'pair1', 'hot', 'numa-nic', 'nvme', 'display', 'edu', 'igb'] as const;
    await agent.waitForDecisions(Object.fromEntries(bound.map((name) => [at[name], 'Bound'])));

    // Two variants tie for edu: the one that depmod wrote first wins.
    const [first = ''] = (
      await guest.run("sed -n 's/^alias vfio_pci:v00001234d000011E8.* //p' /lib/modules/$(uname -r)/modules.alias")
    ).split('\n');
    const eduDriver = { edu_first_vfio_pci: 'edu_first_vfio_pci', edu_second_vfio_pci: 'edu-second-vfio' }[first];
    expect(await read()).toMatchObject({
      // Module e1000e_vfio_pci, driver e1000e-vfio.
      nic: onVfio('e1000e-vfio'),
      pair0: onVfio('e1000e-vfio'),
      pair1: onVfio('e1000e-vfio'),
      hot: onVfio('e1000e-vfio'),
      'numa-nic': onVfio('e1000e-vfio'),
      // A class pattern, and a pattern with some wildcards.
      nvme: onVfio('nvme-class-vfio'),
      display: onVfio('display-vfio'),
      edu: onVfio(eduDriver ?? 'no tie in modules.alias'),
      // No variant knows it.
      igb: onVfio('vfio-pci'),
      uplink: before.uplink,
      bridge: before.bridge,
      'legacy-nic': onHost('e1000'),
      'legacy-edu': onHost(null),
      faulty: onHost('vmxnet3'),
    });
    const match = JSON.parse(await guest.run(`node ${program} match ${at.edu} -o json`)) as object;
    expect(match).toMatchObject({ chosen: { module: first, origin: 'file' }, tie: true, fallback: false });

    // A virtual machine opens one of them; then the policies go.
    const { nic } = await read();
    const holder = await holdDevice(guest, nic.group, at.nic);
    const since = agent.log().length;
    await guest.run(`rm ${agent.policies}/*`);
    const others = bound.filter((name) => name !== 'nic');
    await agent.waitForDecisions(
      { ...Object.fromEntries(others.map((name) => [at[name], 'None'])), [at.nic]: 'Held/HeldByProcess' },
      since,
    );
    expect(await read()).toEqual({ ...before, nic });
    await holder.signal('SIGTERM');
    await agent.waitForDecisions({ [at.nic]: 'None' }, since);
    expect(await read()).toEqual(before);
    expect(before.nic).toMatchObject(onHost('e1000e'));
    expect((await readJournalInGuest(guest)).entries.size).toBe(0);
  });

  test('a probe that fails is rolled back, told in words, and tried again ever later', async () => {
    const { guest, agent, at } = machine();
    const probes = async (): Promise<number> =>
      Number(
        await guest.run(
          `dmesg | grep -cE '${at.faulty}.*failed with error -5|probe of ${at.faulty} failed with error -5' || true`,
        ),
      );
    await agent.putPolicy('faulty', { devices: [{ addresses: [at.faulty] }] });
    const decisions = await agent.waitForDecisions({ [at.faulty]: 'Failed' });
    expect(decisions[at.faulty]?.msg).toMatch(/EIO/);
    expect(await readDevices(guest, { faulty: at.faulty })).toMatchObject({ faulty: onHost('vmxnet3') });
    expect(await readJournalInGuest(guest)).toMatchObject({ entries: new Map(), open: new Map() });

    const attempts = (): readonly number[] =>
      agent
        .log()
        .filter((line) => line['outcome'] === 'RolledBack' && JSON.stringify(line['addresses']).includes(at.faulty))
        .map((line) => Date.parse(line.time));
    for (const deadline = Date.now() + 60_000; attempts().length < 2 && Date.now() < deadline;) await sleep(200);
    const [one = 0, two = 0] = attempts();
    // Never sooner than three quarters of the first wait of 5 s.
    expect(two - one).toBeGreaterThan(3_750);
    expect(await probes()).toBe(attempts().length);
    expect(await readDevices(guest, { faulty: at.faulty })).toMatchObject({ faulty: onHost('vmxnet3') });
    expect(await readJournalInGuest(guest)).toMatchObject({ entries: new Map(), open: new Map() });
  });

  test('two functions of one group: refused alone, and bound together when companions may come along', async () => {
    const { guest, agent, at, read } = machine();
    const before = await read();
    const since = agent.log().length;
    const spec = { devices: [{ addresses: [at.pair0] }], resource: { name: 'vfio-operator.dev/nic' } };
    await agent.putPolicy('pair', spec);
    const refused = await agent.waitForDecisions({ [at.pair0]: 'Refused/GroupNotViable' }, since);
    expect(refused[at.pair0]?.msg).toContain(at.pair1);
    expect(await read()).toEqual(before);

    await agent.putPolicy('pair', { ...spec, iommuGroup: 'BindCompanions' });
    const bound = await agent.waitForDecisions({ [at.pair0]: 'Bound', [at.pair1]: 'Bound' }, since);
    expect(await read()).toMatchObject({ pair0: onVfio('e1000e-vfio'), pair1: onVfio('e1000e-vfio') });
    // The companion is bound, and offered to nobody.
    expect([bound[at.pair0]?.['resource'], bound[at.pair1]?.['resource']]).toEqual(['vfio-operator.dev/nic', null]);
    const holder = await holdDevice(guest, before.pair0.group, at.pair0);
    await holder.signal('SIGTERM');
    await holder.ended;

    await agent.removePolicy('pair');
    await agent.waitForDecisions({ [at.pair0]: 'None', [at.pair1]: 'None' }, since);
    expect(await read()).toEqual(before);
  });

  test('a conventional bus: the bridge in the group stays where it is, the endpoints go together', async () => {
    const { guest, agent, at, read } = machine();
    const before = await read();
    const since = agent.log().length;
    await agent.putPolicy('legacy', { devices: [{ addresses: [at['legacy-edu']] }] });
    const refused = await agent.waitForDecisions({ [at['legacy-edu']]: 'Refused/GroupNotViable' }, since);
    expect(refused[at['legacy-edu']]?.msg).toContain(at['legacy-nic']);
    expect(await read()).toEqual(before);

    await agent.putPolicy('legacy', { devices: [{ addresses: [at['legacy-edu'], at['legacy-nic']] }] });
    await agent.waitForDecisions({ [at['legacy-edu']]: 'Bound', [at['legacy-nic']]: 'Bound' }, since);
    const now = await read();
    expect(now).toMatchObject({
      'legacy-nic': onVfio('vfio-pci'),
      'legacy-edu': { groupNode: true },
      bridge: { driver: before.bridge.driver, override: before.bridge.override },
    });
    expect(now['legacy-edu'].driver).toMatch(/^edu/);
    const holder = await holdDevice(guest, before.bridge.group, at['legacy-nic']);
    await holder.signal('SIGTERM');
    await holder.ended;

    await agent.removePolicy('legacy');
    await agent.waitForDecisions({ [at['legacy-edu']]: 'None', [at['legacy-nic']]: 'None' }, since);
    expect(await read()).toEqual(before);
  });
}
