// Tests of what must not be taken, on a live kernel: what the node lives on is refused with the path that proves it, and nothing is
// written. A device becomes free only when the kernel no longer shows the use.
import { expect, test } from 'vitest';
import type { AgentOnFullMachine } from './agent-on-full-machine.ts';
import { onHost, onVfio, readDevices } from './devices-in-guest.ts';

/** Registers the tests; `machine` is asked when they run. It has a disk `state`, mounted on /srv/data. */
export function testRefusals(machine: () => AgentOnFullMachine): void {
  test("the node's network, a mounted disk, and everything of class 06", async () => {
    const { guest, agent, at, read } = machine();
    const before = await read();
    const ofClass06 = (
      await guest.run(`cd /sys/bus/pci/devices; for d in *; do case $(cat $d/class) in 0x06*) echo $d; esac; done`)
    ).split('\n');
    const [ahci = ''] = (
      await guest.run(`cd /sys/bus/pci/devices; for d in *; do case $(cat $d/class) in 0x0106*) echo $d; esac; done`)
    ).split('\n');
    expect(ofClass06).toEqual(expect.arrayContaining([at.bridge, at['pair-port']]));
    const drivers = `cd /sys/bus/pci/devices; for d in *; do echo $d $(readlink $d/driver); done`;
    const allDrivers = await guest.run(drivers);
    const uplink = await guest.run(`basename /sys/bus/pci/devices/${at.uplink}/virtio*/net/*`);

    await agent.putPolicy('everything', {
      devices: [{ addresses: [at.uplink, at.state, ahci] }, { class: '06' }],
      // Whatever a policy allows: these have no override.
      allow: ['StorageHasData', 'NetworkInUse'],
    });
    const decisions = await agent.waitForDecisions({
      [at.uplink]: 'Refused/PrimaryNetwork',
      [at.state]: 'Refused/RootStorage',
      // No driver shows what its disks hold.
      [ahci]: 'Refused/Unproven',
      ...Object.fromEntries(ofClass06.map((address) => [address, 'Refused/Bridge'] as const)),
    });
    expect(decisions[at.uplink]?.msg).toContain(uplink);
    expect(decisions[at.state]?.msg).toMatch(/nvme\d+n1 is mounted on \/srv\/data/);
    expect(await read()).toEqual(before);
    expect(await guest.run(drivers)).toBe(allDrivers);
    // The disk is still written to, and the network still leads out.
    await guest.run('echo alive > /srv/data/note && sync && grep -q alive /srv/data/note');
    expect(await guest.run('ip route show default')).toContain(uplink);

    // With its driver it has no disks, and is still in one group with the host's LPC bridge.
    const since = agent.log().length;
    await guest.run('modprobe ahci');
    const grouped = await agent.waitForDecisions({ [ahci]: 'Refused/GroupHasCritical' }, since);
    expect(grouped[ahci]?.msg).toMatch(/0000:00:1f\.0/);
    expect(await readDevices(guest, { ahci })).toMatchObject({ ahci: onHost('ahci') });
  });

  test('a disk with data on it, mounted or not, until it is wiped', async () => {
    const { guest, agent, at } = machine();
    const since = agent.log().length;
    await agent.putPolicy('disk', { devices: [{ addresses: [at.state] }] });
    await agent.waitForDecisions({ [at.state]: 'Refused/RootStorage' }, since);

    // Mounted only where another process sees it.
    const other = await guest.spawn(`exec unshare --mount sh -c 'echo ready; exec sleep 1000'`);
    await other.waitFor('ready');
    await guest.run('umount /srv/data');
    await guest.writeText('/sys/class/mem/null/uevent', 'change');
    const elsewhere = await agent.waitForLine(
      'naming the process that has it mounted',
      (line) => line['code'] === 'RootStorage' && line.msg.includes(`/proc/${other.pid}/`),
      since,
    );
    expect(elsewhere.msg).toContain('/srv/data');
    await other.signal('SIGKILL');
    await other.ended;
    await guest.writeText('/sys/class/mem/null/uevent', 'change');
    const unmounted = await agent.waitForDecisions({ [at.state]: 'Refused/StorageHasData' }, since);
    expect(unmounted[at.state]?.msg).toMatch(/nvme\d+n1 holds ext/);
    expect(await readDevices(guest, { state: at.state })).toMatchObject({ state: onHost('nvme') });

    await guest.run(
      `d=/dev/$(ls /sys/bus/pci/devices/${at.state}/nvme/nvme* | grep -o 'nvme[0-9]*c\\?[0-9]*n1' | sed 's/c[0-9]*n/n/' | head -1)
       dd if=/dev/zero of=$d bs=1M count=1 conv=fsync`,
    );
    await guest.writeText('/sys/class/mem/null/uevent', 'change');
    await agent.waitForDecisions({ [at.state]: 'Bound' }, since);
    expect(await readDevices(guest, { state: at.state })).toMatchObject({ state: onVfio('nvme-class-vfio') });
    await agent.removePolicy('disk');
    await agent.waitForDecisions({ [at.state]: 'None' }, since);
    expect(await readDevices(guest, { state: at.state })).toMatchObject({ state: onHost('nvme') });
  });
}
