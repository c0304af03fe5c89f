// VFIO's no-IOMMU mode, on a machine without IOMMU: nothing is taken unless the policy and the kernel both say so; then the device is bound
// and offered by the nodes that mode makes, they open for real, and log and node state say loudly what that means.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Guest } from './lab/guest.ts';
import { openHttpInGuest, startAgentInGuest } from './support/agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './support/agent-in-guest.ts';
import { addressesOf, onHost, readDevices } from './support/devices-in-guest.ts';
import { startKubeletInGuest } from './support/kubelet-in-guest.ts';
import type { KubeletInGuest } from './support/kubelet-in-guest.ts';
import { bootOwnKernel, describeOnOwnKernel } from './support/on-own-kernel.ts';
import type { OwnKernelGuest } from './support/on-own-kernel.ts';

const mode = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
const names = ['nic', 'hot', 'edu'] as const;
type Name = (typeof names)[number];
const resourceOf = (name: Name): string => `vfio-operator.dev/${name}`;

interface NodeState {
  readonly status: {
    readonly kernel: object;
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
}

describeOnOwnKernel('no-IOMMU mode', () => {
  let own: OwnKernelGuest;
  let guest: Guest;
  let kubelet: KubeletInGuest;
  let agent: AgentInGuest;
  let http: HttpInGuest;
  let address: Readonly<Record<Name, string>>;

  const putPolicy = (name: Name, parts: object, nodes = 'Auto'): Promise<void> =>
    agent.putPolicy(name, {
      devices: [{ addresses: [address[name]] }],
      resource: { name: resourceOf(name), deviceNodes: nodes },
      ...parts,
    });
  const nodeState = async (): Promise<NodeState['status']> =>
    (JSON.parse(await guest.readText(`${agent.state}/node-state.json`)) as NodeState).status;
  const isolated = async (): Promise<object | undefined> =>
    (await nodeState()).conditions.find(({ type }) => type === 'Isolated');
  const nodesOf = async (pod: string, name: Name): Promise<readonly string[]> => {
    await kubelet.admit(pod, resourceOf(name));
    const { value: created } = await kubelet.startContainer(pod);
    return created.devices.map(({ hostPath }) => hostPath).toSorted();
  };

  beforeAll(async () => {
    own = await bootOwnKernel({ topology: 'small', iommu: false });
    guest = own.guest;
    address = await addressesOf(guest, names);
    kubelet = await startKubeletInGuest(guest);
    agent = await startAgentInGuest(guest, { kubelet: 'required', flags: ['--interval', '5'] });
    http = await openHttpInGuest(guest);
  });
  afterAll(async () => guest?.shutdown());

  test('the policy alone does not do', async () => {
    const before = await readDevices(guest, address);
    await putPolicy('nic', { allow: ['NoIommu'] });
    await putPolicy('hot', {});
    const refused = await agent.waitForDecisions({
      [address.nic]: 'Refused/NoIommu',
      [address.hot]: 'Refused/NoIommu',
    });
    expect(refused[address.nic]?.msg).toMatch(/enable_unsafe_noiommu_mode is not Y/);
    expect(refused[address.hot]?.msg).toMatch(/this machine has no IOMMU/);
    await guest.run('modprobe vfio');
    expect(await guest.readText(mode)).toBe('N\n');
    await agent.waitForPass(http);
    expect(await readDevices(guest, address)).toEqual(before);
    expect(await isolated()).toBeUndefined();
  });

  test('nor does the kernel alone; both do, and it is told loudly', async () => {
    const since = agent.log().length;
    await guest.writeText(mode, 'Y');
    const decisions = await agent.waitForDecisions({ [address.nic]: 'Bound' }, since);
    expect(decisions[address.nic]).toMatchObject({
      level: 'warn',
      msg: expect.stringMatching(/without an IOMMU: whoever has it reaches all memory of this node/) as string,
    });
    await agent.waitForPass(http);
    const now = await readDevices(guest, address);
    expect(now.nic).toMatchObject({ driver: 'e1000e-vfio', override: 'e1000e-vfio' });
    expect(now.nic.cdev).toMatch(/^noiommu-vfio\d+$/);
    expect(now).toMatchObject({ hot: onHost('e1000e'), edu: onHost(null) });
    expect(await isolated()).toMatchObject({
      status: 'False',
      message: expect.stringContaining(`${address.nic} is on e1000e-vfio for policy nic, without an IOMMU`) as string,
    });
    expect((await nodeState()).kernel).toMatchObject({ iommu: false, noIommuMode: true });
    expect(await guest.run(`dmesg | grep -c 'kernel taint for vfio-noiommu'`)).not.toBe('0');
  });

  test('a pod gets the nodes of that mode, and they open', async () => {
    await kubelet.waitForListing('the device', (listing) => listing[resourceOf('nic')]?.[0]?.health === 'Healthy');
    const { nic } = await readDevices(guest, address);
    expect(await nodesOf('pod-nic', 'nic')).toEqual(
      ['/dev/vfio/vfio', `/dev/vfio/noiommu-${nic.group}`, `/dev/vfio/devices/${nic.cdev}`].toSorted(),
    );
    const holder = await own.holdCdev('noiommu', `noiommu-${nic.group}`, address.nic);
    expect(holder.said).toBe('holding 8086:10d3');

    // It is held like any other. A pod that no look has seen would count as allocated for five minutes more.
    await agent.waitForPass(http);
    await kubelet.deletePod('pod-nic');
    const since = agent.log().length;
    await agent.removePolicy('nic');
    const held = await agent.waitForDecisions({ [address.nic]: 'Held/HeldByProcess' }, since);
    expect(held[address.nic]?.msg).toMatch(new RegExp(`vfio-cdev \\(${holder.process.pid}\\)`));
    await holder.process.signal('SIGTERM');
    await agent.waitForDecisions({ [address.nic]: 'None' }, since);
    expect((await readDevices(guest, address)).nic).toMatchObject({ ...onHost('e1000e'), group: null });
  });

  test('by iommufd too, where the kernel gives a cdev without IOMMU', async () => {
    const since = agent.log().length;
    await putPolicy('edu', { allow: ['NoIommu'] }, 'Iommufd');
    await agent.waitForDecisions({ [address.edu]: 'Bound' }, since);
    await kubelet.waitForListing('the device', (listing) => listing[resourceOf('edu')]?.[0]?.health === 'Healthy');
    const { edu } = await readDevices(guest, address);
    expect(await nodesOf('pod-edu', 'edu')).toEqual(['/dev/iommu', `/dev/vfio/devices/${edu.cdev}`]);
    const holder = await own.holdCdev('iommufd', edu.cdev ?? '');
    expect(holder.said).toBe('holding 1234:11e8');
    await holder.process.signal('SIGTERM');
    await holder.process.ended;
    await agent.waitForPass(http);
    await kubelet.deletePod('pod-edu');
    await agent.removePolicy('edu');
    await agent.waitForDecisions({ [address.edu]: 'None' }, since);
    await agent.waitForPass(http);
    expect(await isolated()).toBeUndefined();
    await agent.stop();
    expect(await readDevices(guest, address)).toMatchObject({
      nic: onHost('e1000e'),
      hot: onHost('e1000e'),
      edu: onHost(null),
    });
  });
});
