// A kernel write of the agent's own that does not return: somebody opens the device after the agent's last look and before its write.
// The device is Stuck, its group is left alone, everything else goes on, and once the holder lets go all ends as planned.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest, GuestProcess } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  holdDevice,
  kernelComplaints,
  onHost,
  onVfio,
  readDevices,
  readJournalInGuest,
} from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest, KubeletListing } from './support/kubelet-in-guest.ts';
import { setTrap } from './support/trap-in-guest.ts';
import { tierKernels } from './support/tier-kernels.ts';

const othersResource = 'vfio-operator.dev/others';
const pairResource = 'vfio-operator.dev/pair';
/** What is promised of everything that has to do with other devices. */
const promptly = 1000;

function countHealthy(listing: KubeletListing, resource: string): number {
  return listing[resource]?.filter(({ health }) => health === 'Healthy').length ?? 0;
}

describe.each(tierKernels)('kernel %s', (kernel) => {
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let holder: GuestProcess;
  let address: Readonly<Record<'pair0' | 'pair1' | 'nic' | 'hot', string>>;
  let since: number;

  beforeAll(async () => {
    guest = await bootGuest({ kernel, topology: 'small' });
    address = await addressesOf(guest, ['pair0', 'pair1', 'nic', 'hot']);
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, {
      kubelet: 'required',
      flags: ['--write-deadline', '4', '--interval', '2'],
    });
    http = await openHttpInGuest(guest);
    // The first question of all also loads the asker's HTTP client, which takes a second under emulation.
    await http.get('/healthz');
    await agent.putPolicy('others', others());
    await agent.putPolicy('pair', {
      devices: [{ addresses: [address.pair0] }],
      iommuGroup: 'BindCompanions',
      resource: { name: pairResource },
    });
    await kubelet.waitForListing(
      'all devices',
      (listing) => countHealthy(listing, othersResource) === 2 && countHealthy(listing, pairResource) === 1,
    );
    // The first Allocate of a process loads and compiles what serves it: two seconds under emulation, hang or no hang.
    await kubelet.admit('first', othersResource);
    await kubelet.startContainer('first');
    await kubelet.deletePod('first');
  });
  afterAll(async () => guest?.shutdown());

  const others = (): object => ({
    devices: [{ addresses: [address.nic, address.hot] }],
    resource: { name: othersResource },
  });

  /** What is asked of a living agent, with the milliseconds of each answer. */
  const expectPrompt = async (when: string, pod: string): Promise<void> => {
    const health = await http.get('/healthz');
    const allocate = await kubelet.admit(pod, othersResource);
    const start = await kubelet.startContainer(pod);
    const taken = [health, allocate, start].map(({ milliseconds }) => Math.round(milliseconds));
    process.stderr.write(
      `${when}: /healthz ${taken[0]} ms, Allocate ${taken[1]} ms, PreStartContainer ${taken[2]} ms\n`,
    );
    expect(health.status).toBe(200);
    expect(Math.max(...taken)).toBeLessThan(promptly);
  };

  /** Lines of the journal since its beginning. */
  const records = async (): Promise<readonly string[]> => (await guest.readText(`${agent.state}/journal`)).split('\n');

  test('a write that hangs keeps nobody waiting, neither before its deadline nor after', async () => {
    const { group } = (await readDevices(guest, address)).pair0;
    const trap = await setTrap(guest, agent, 'SIGSTOP', '"type":"StepBegun".*"kind":"Unbind"');
    since = agent.log().length;
    await agent.removePolicy('pair');
    await trap.sprung();
    holder = await holdDevice(guest, group, address.pair0);
    await agent.process.signal('SIGCONT');

    await expectPrompt('while the write is in the kernel', 'early');
    await agent.waitForDecisions({ [address.pair0]: 'Stuck', [address.pair1]: 'Held/Stuck' }, since);
    await expectPrompt('once it is stuck', 'late');
  });

  test('the worker is where the journal says, asleep in the kernel', async () => {
    const [open] = (await readJournalInGuest(guest)).open.values();
    const worker = open?.inFlight?.worker;
    expect(open).toMatchObject({ inFlight: { step: { kind: 'Unbind', address: address.pair0 } } });
    expect(await guest.readText(`/proc/${worker?.pid}/stack`)).toMatch(/vfio_unregister_group_dev/);
    expect((await http.get('/metrics')).body).toMatch(/^vfio_operator_\w*stuck\w* 1$/m);
  });

  test('nothing more is written to the group, and nothing said, however often the agent looks', async () => {
    // By then it has also seen the pods.
    await agent.waitForPass(http);
    const before = { records: await records(), lines: agent.log().length };
    await agent.waitForPass(http);
    expect({ records: await records(), lines: agent.log().length }).toEqual(before);
    const now = await readDevices(guest, address, 'links only');
    expect(now.pair1).toMatchObject({ driver: 'e1000e-vfio', groupNode: true });
    await expect(kubelet.admit('other', pairResource)).rejects.toThrow();
  });

  test('devices of other groups are released and taken meanwhile', async () => {
    const { nic, hot } = address;
    await kubelet.deletePod('early');
    await kubelet.deletePod('late');
    await agent.removePolicy('others');
    await agent.waitForDecisions({ [nic]: 'None', [hot]: 'None' }, since);
    expect(await readDevices(guest, { nic, hot })).toMatchObject({ nic: onHost('e1000e'), hot: onHost('e1000e') });
    await agent.putPolicy('others', others());
    await kubelet.waitForListing('them again', (listing) => countHealthy(listing, othersResource) === 2);
    const onVariant = onVfio('e1000e-vfio');
    expect(await readDevices(guest, { nic, hot })).toMatchObject({ nic: onVariant, hot: onVariant });
  });

  test('when the holder lets go the write returns, and all ends as planned', async () => {
    await holder.signal('SIGTERM');
    expect((await holder.ended).code).toBe(0);
    await agent.waitForDecisions({ [address.pair0]: 'None', [address.pair1]: 'None' }, since);
    expect(await readDevices(guest, address)).toMatchObject({
      pair0: onHost('e1000e'),
      pair1: onHost('e1000e'),
      nic: onVfio('e1000e-vfio'),
      hot: onVfio('e1000e-vfio'),
    });
    const journal = await readJournalInGuest(guest);
    expect([...journal.open.values()]).toEqual([]);
    expect([...journal.entries.keys()].sort()).toEqual([address.nic, address.hot].sort());
    expect((await http.get('/metrics')).body).toMatch(/^vfio_operator_\w*stuck\w* 0$/m);
  });

  test('and the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(guest)).toEqual([]);
  });
});
