// Kernel writes that do not return, many at once. A holder that has a device mapped and no file of it open is not to be seen before; so
// the removal of virtual functions blocks, and then eight unbinds. The agent goes on answering, begins no ninth, leaves every group that
// hangs alone, stays within bounds, and when the holders let go everything ends as planned by itself.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest, GuestProcess } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const devices = '/sys/bus/pci/devices';
const resource = 'vfio-operator.dev/others';
/** Seconds for which eight unbinds hang, beside what the questions take anyway. */
const minute = process.env['FULL_TIER'] === '1' ? 60 : 0;
const names = ['igb', 'nic', 'hot', 'edu', 'numa-nic'] as const;

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let at: Readonly<Record<(typeof names)[number], string>>;
  let virtual: readonly string[];

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    at = await addressesOf(guest, names);
    virtual = Array.from({ length: 7 }, (_, index) =>
      at.igb.replace('00.0', `1${Math.floor(index / 4)}.${(index % 4) * 2}`),
    );
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, {
      kubelet: 'required',
      flags: ['--write-deadline', '4', '--interval', '2'],
    });
    http = await openHttpInGuest(guest);
    await http.get('/healthz');
    await agent.putPolicy('others', {
      devices: [{ addresses: [at.hot, at['numa-nic']] }],
      resource: { name: resource },
    });
    await agent.waitForDecisions({ [at.hot]: 'Bound', [at['numa-nic']]: 'Bound' });
    await kubelet.waitForListing('two devices', (listing) => healthy(listing[resource]) === 2);
  });
  afterAll(async () => guest?.shutdown());

  const each = <Value>(addresses: readonly string[], value: Value): Readonly<Record<string, Value>> =>
    Object.fromEntries(addresses.map((address) => [address, value]));
  const hold = async (address: string): Promise<GuestProcess> => {
    const { group } = (await readDevices(guest, { address }, 'links only')).address;
    const holder = await guest.spawn(`exec /lab/vfio-holder map ${group} ${address}`);
    await holder.waitFor('holding');
    return holder;
  };

  /** Asks everything that has to do with other devices twice and on for so many seconds, and says how long the answers took. */
  const askAround = async (when: string, seconds = 0): Promise<void> => {
    const until = Date.now() + seconds * 1000;
    const taken = { healthz: [] as number[], allocate: [] as number[], start: [] as number[], told: [] as number[] };
    const { group } = (await readDevices(guest, { hot: at.hot }, 'links only')).hot;
    for (let round = 0; round < 2 || Date.now() < until; round += 1) {
      const pod = `${when}-${round}`.replaceAll(' ', '-');
      taken.healthz.push((await http.get('/healthz')).milliseconds);
      taken.allocate.push((await kubelet.admit(pod, resource)).milliseconds);
      taken.start.push((await kubelet.startContainer(pod)).milliseconds);
      await kubelet.deletePod(pod);
      // Its node goes and comes back: kubelet is told each time.
      const [node] = await guest.files([{ op: 'stat', path: `/dev/vfio/${group}` }]);
      expect(node).toMatchObject({ ok: true, value: { kind: 'char' } });
      const numbers = await guest.run(`stat -c '%t %T' /dev/vfio/${group}`);
      const [major, minor] = numbers.split(' ').map((hex) => Number.parseInt(hex, 16));
      let begun = Date.now();
      await guest.run(`rm /dev/vfio/${group}`);
      taken.told.push(
        (await kubelet.waitForListing('one gone', (listing) => healthy(listing[resource]) === 1)) - begun,
      );
      begun = Date.now();
      await guest.run(`mknod -m 600 /dev/vfio/${group} c ${major} ${minor}`);
      taken.told.push((await kubelet.waitForListing('both', (listing) => healthy(listing[resource]) === 2)) - begun);
    }
    const words = Object.entries(taken).map(([what, all]) => `${what} ${tell(all)} ms`);
    process.stderr.write(`${kernel}, ${when}: ${words.join(', ')}\n`);
    expect((await http.get('/healthz')).status).toBe(200);
  };
  const figures = async (): Promise<{ readonly workers: number; readonly kibibytes: number }> => ({
    workers: Number(await guest.run('pgrep -fc kernel-worker.cjs || true')),
    kibibytes: Number(await guest.run(`awk '/^RssAnon/ {print $2}' /proc/${agent.process.pid}/status`)),
  });

  test('the removal of virtual functions blocks, and nobody waits for it', async () => {
    await askAround('before anything hangs');
    let since = agent.log().length;
    await agent.putPolicy('igb', { devices: [{ addresses: [at.igb] }], sriov: { virtualFunctions: 7 } });
    await agent.waitForDecisions(each([at.igb, ...virtual], 'Bound'), since);
    const holder = await hold(virtual[3] ?? '');
    since = agent.log().length;
    await agent.removePolicy('igb');
    await agent.waitForDecisions({ [at.igb]: 'Stuck' }, since);
    await askAround('while sriov_numvfs blocks');
    const journal = await guest.readText(`${agent.state}/journal`);
    await agent.waitForPass(http);
    expect(await guest.readText(`${agent.state}/journal`)).toBe(journal);
    await holder.signal('SIGTERM');
    await agent.waitForDecisions({ [at.igb]: 'None' }, since);
    expect(await readDevices(guest, { igb: at.igb })).toMatchObject({ igb: { driver: 'igb', virtualFunctions: 0 } });
    expect((await readJournalInGuest(guest)).open).toEqual(new Map());
  });

  test('eight unbinds hang, there is no ninth, and all end by themselves', async () => {
    await guest.writeText(`${devices}/${at.igb}/sriov_drivers_autoprobe`, '0');
    await guest.writeText(`${devices}/${at.igb}/sriov_numvfs`, '7');
    let since = agent.log().length;
    // VFs of others: each is given back on its own.
    await agent.putPolicy('igb', { devices: [{ addresses: [at.igb] }], sriov: { virtualFunctions: 7 } });
    await agent.putPolicy('nic', { devices: [{ addresses: [at.nic, at.edu] }] });
    await agent.waitForDecisions(each([at.nic, at.edu, ...virtual], 'Bound'), since);
    const hanging = [at.nic, ...virtual];
    const holders = await Promise.all(hanging.map((address) => hold(address)));
    const before = await figures();
    since = agent.log().length;
    await agent.putPolicy('nic', { devices: [{ addresses: [at.edu] }] });
    await agent.removePolicy('igb');
    await agent.waitForDecisions(each(hanging, 'Stuck'), since);
    const whileStuck = await figures();
    process.stderr.write(
      `${kernel}, workers ${before.workers} → ${whileStuck.workers}, the agent's anonymous memory ${before.kibibytes} → ${whileStuck.kibibytes} KiB\n`,
    );
    expect(whileStuck.workers).toBeLessThanOrEqual(8 + 6);

    await askAround('while eight hang', minute);
    const afterwards = await figures();
    process.stderr.write(`${kernel}, then: workers ${afterwards.workers}, ${afterwards.kibibytes} KiB\n`);
    expect(afterwards.workers).toBeLessThanOrEqual(8 + 6);
    // No ninth kernel call, neither a write nor a read that might block; the device stays as it is, and that is said.
    await agent.removePolicy('nic');
    await agent.waitForLine(
      'why edu waits',
      (line) => /kernel calls have not returned/.test(JSON.stringify(line)),
      since,
    );
    expect((await readDevices(guest, { edu: at.edu })).edu).toMatchObject({ groupNode: true });
    expect((await figures()).workers).toBeLessThanOrEqual(8 + 6);
    expect((await http.get('/healthz')).status).toBe(200);

    await Promise.all(holders.map((holder) => holder.signal('SIGTERM')));
    await agent.waitForDecisions(each([at.edu, ...hanging], 'None'), since, 120_000);
    expect(
      await readDevices(guest, {
        nic: at.nic,
        edu: at.edu,
        first: virtual[0] ?? '',
        last: virtual[6] ?? '',
        hot: at.hot,
      }),
    ).toMatchObject({
      nic: onHost('e1000e'),
      edu: onHost(null),
      first: onHost(null),
      last: onHost(null),
      hot: onVfio('e1000e-vfio'),
    });
    expect((await readJournalInGuest(guest)).open).toEqual(new Map());
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});

function healthy(listed: readonly { readonly health: string }[] | undefined): number {
  return listed?.filter(({ health }) => health === 'Healthy').length ?? 0;
}

/** The answers' milliseconds; of many, how many, their median and the longest. */
function tell(all: readonly number[]): string {
  const sorted = all.map((one) => Math.round(one)).sort((one, other) => one - other);
  if (sorted.length <= 4) return all.map((one) => Math.round(one)).join('/');
  return `${sorted[Math.floor(sorted.length / 2)]}, at most ${sorted.at(-1)} (${sorted.length})`;
}
