// A device becomes critical after it was planned and before it is touched: somebody mounts the disk, the node's default route moves to the
// interface. The agent looks again after its modules are loaded and before each group's first write, and refuses.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { openTraps } from './support/trap-in-guest.ts';
import type { TrapKeeper } from './support/trap-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const names = ['edu', 'nic', 'pair0', 'pair1', 'hot', 'disk'] as const;

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let agent: AgentInGuest;
  let traps: TrapKeeper;
  let at: Readonly<Record<(typeof names)[number], string>>;
  let disk: string;

  beforeAll(async () => {
    guest = await bootGuest({
      kernel,
      topology: 'small',
      disks: [{ name: 'disk' }],
      drivers: ['virtio_net', 'e1000e', 'nvme', 'ext4'],
    });
    at = await addressesOf(guest, names);
    disk = await guest.run('for i in $(seq 100); do ls /dev/nvme*n1 2>/dev/null && break; sleep 0.1; done');
    agent = await startAgentInGuest(guest);
    traps = await openTraps(guest);
    await guest.run('mkdir -p /srv/late');
  });
  afterEach(async () => {
    await guest.run(
      `rm -f ${agent.policies}/*; umount /srv/late 2>/dev/null; dd if=/dev/zero of=${disk} bs=1M count=1 || true`,
    );
    const idle = async (): Promise<boolean> => (await readJournalInGuest(guest)).entries.size === 0;
    for (const deadline = Date.now() + 180_000; !(await idle()) && Date.now() < deadline;) await sleep(200);
  });
  afterAll(async () => guest?.shutdown());

  /** Stops the agent at `record` of what `spec` begins, lets `happen`, and lets the agent go on. */
  const meanwhile = async (record: string, spec: object, happen: string): Promise<number> => {
    const since = agent.log().length;
    const trap = await traps.set(agent, 'SIGSTOP', record);
    await agent.putPolicy('race', spec);
    await trap.sprung();
    await guest.run(happen);
    await agent.process.signal('SIGCONT');
    return since;
  };
  const mount = (): string => `mkfs.ext4 -q ${disk} && mount -t ext4 ${disk} /srv/late && echo alive > /srv/late/note`;

  const route = (): string =>
    `n=$(ls /sys/bus/pci/devices/${at.nic}/net); ip addr add 10.77.0.2/24 dev $n; ip link set $n up; ip route add default via 10.77.0.1 dev $n metric 50`;

  test('a disk that is mounted while modules load', async () => {
    const since = await meanwhile('"kind":"LoadModule"', { devices: [{ addresses: [at.disk] }] }, mount());
    const outcome = await agent.waitForLine('how it ended', (line) => line['outcome'] !== undefined, since);
    expect(outcome).toMatchObject({ kind: 'Bind', outcome: 'Refused', code: 'RootStorage' });
    expect(outcome['proof']).toMatch(/nvme\d+n1 is mounted on \/srv\/late/);
    await agent.waitForDecisions({ [at.disk]: 'Refused/RootStorage' }, since);
    expect(await readDevices(guest, { disk: at.disk })).toMatchObject({ disk: onHost('nvme') });
    expect(await readJournalInGuest(guest)).toMatchObject({ entries: new Map(), open: new Map() });
    await guest.run('sync -f /srv/late && grep -q alive /srv/late/note');
  });

  test('an interface that gets the default route while modules load', async () => {
    const since = await meanwhile('"kind":"LoadModule"', { devices: [{ addresses: [at.nic] }] }, route());
    await agent.waitForLine(
      'that it is refused',
      ({ code, outcome }) => outcome === 'Refused' && code === 'PrimaryNetwork',
      since,
    );
    await agent.waitForDecisions({ [at.nic]: 'Refused/PrimaryNetwork' }, since);
    expect(await readDevices(guest, { nic: at.nic })).toMatchObject({ nic: onHost('e1000e') });
    // First the policy: else it takes the interface as soon as it is free.
    await agent.removePolicy('race');
    await agent.waitForDecisions({ [at.nic]: 'None' }, since);
    await guest.run(
      `ip addr flush dev $(ls /sys/bus/pci/devices/${at.nic}/net); ip link set $(ls /sys/bus/pci/devices/${at.nic}/net) down`,
    );
  });

  test('an interface that gets the default route while groups before it are bound', async () => {
    // At most four groups at a time, in the order of their keys as text; the last is looked at again when its turn comes.
    const spec = { devices: [{ addresses: [at.edu, at.nic, at.pair0, at.pair1, at.hot, at.disk] }] };
    const groups = await readDevices(guest, at);
    const order = (['edu', 'nic', 'pair0', 'hot', 'disk'] as const).toSorted((a, b) =>
      `group:${groups[a].group}` < `group:${groups[b].group}` ? -1 : 1,
    );
    expect(order.at(-1)).toBe('nic');
    const since = await meanwhile('"type":"Begun"', spec, route());
    const refused = await agent.waitForLine('that it is refused', ({ outcome }) => outcome === 'Refused', since);
    expect(refused).toMatchObject({ addresses: [at.nic], code: 'PrimaryNetwork' });
    await agent.waitForDecisions(
      {
        [at.nic]: 'Refused/PrimaryNetwork',
        [at.edu]: 'Bound',
        [at.disk]: 'Bound',
        [at.pair0]: 'Bound',
        [at.hot]: 'Bound',
      },
      since,
    );
    expect(await readDevices(guest, at)).toMatchObject({ nic: onHost('e1000e'), hot: onVfio('e1000e-vfio') });
    expect(await guest.run('ip route show default')).toContain(
      await guest.run(`ls /sys/bus/pci/devices/${at.nic}/net`),
    );
    await agent.removePolicy('race');
    await agent.waitForDecisions({ [at.nic]: 'None', [at.hot]: 'None' }, since);
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
