// A hypervisor in a pod: QEMU takes the device that kubelet gave the pod, passes it through, and a Linux inside drives it. What such a pod
// must be given is found by leaving it away, with the sentences that users then see; afterwards the device is clean, and the next pod's.
// The everyday tier makes the machine; the full tier (FULL_TIER=1) boots a Linux in it, in an emulation within an emulation.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf, kernelComplaints } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { hypervisorImage } from './hypervisor-image.ts';
import { ENOUGH, parseHypervisorLog } from './hypervisor-pod.ts';
import type { HypervisorPod } from './hypervisor-pod.ts';
import { hypervisorStepsOn } from './hypervisor-steps.ts';
import type { Configuration, HypervisorSteps } from './hypervisor-steps.ts';
import { NODE, startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy, readNodeState } from './operator.ts';
import { parseNicsInside, smallLinux } from './small-linux.ts';

const full = process.env['FULL_TIER'] === '1';
const resource = 'vfio-operator.dev/nic';
/** The lab's topology gives the NIC this address; only the NIC itself can tell it to a driver. */
const mac = '52:54:00:00:00:03';

let operator: OperatorOnNode;
let steps: ClusterSteps;
let machines: HypervisorSteps;
let nic: string;
/** The NIC's configuration space once it was bound, before anybody opened it. */
let asBound: Configuration;
let used: Configuration;

beforeAll(async () => {
  const image = await hypervisorImage();
  operator = await startOperatorOnNode({ topology: 'small' });
  const { cluster, node } = operator;
  steps = stepsOn(operator);
  nic = (await addressesOf(node.guest, ['nic'])).nic;
  await applyPolicy(cluster, 'nic', {
    devices: [{ addresses: [nic] }],
    driver: { name: 'vfio-pci' },
    resource: { name: resource },
  });
  await node.importImage(image);
  await steps.waitForUnits(resource, 1);
  machines = hypervisorStepsOn(operator, steps, { resource, address: nic, driver: 'vfio-pci' });
  asBound = await machines.readAtRest();
  used = await machines.afterUse(asBound);
});
afterAll(async () => operator?.stop());

async function expectQuietKernel(): Promise<void> {
  expect(await kernelComplaints(operator.node.guest)).toEqual([]);
  expect(await operator.node.guest.run("dmesg | grep -i 'DMAR:.*fault' || true")).toBe('');
}

interface PodStatus {
  readonly containerStatuses: readonly { readonly state: { readonly terminated?: { readonly reason: string } } }[];
}

/** A pod that QEMU gives up in, and why. */
interface TooLittle {
  readonly what: string;
  readonly pod: Omit<HypervisorPod, 'resource'>;
  readonly says: RegExp;
  readonly everyday?: true;
}

const tooLittle: readonly TooLittle[] = [
  {
    what: 'without CAP_IPC_LOCK: the memory of the machine is more than may be locked',
    pod: { name: 'no-capability', memoryMebibytes: 64 },
    says: /Cannot allocate memory/,
    everyday: true,
  },
  {
    what: 'as another user than root: the node of the group is not its',
    pod: { name: 'other-user', memoryMebibytes: 64, security: { ...ENOUGH, runAsUser: 107, runAsGroup: 107 } },
    says: /Permission denied/,
  },
];

describe('what a hypervisor in a pod cannot do without', () => {
  test.each(full ? tooLittle : tooLittle.filter(({ everyday }) => everyday))('$what', async ({ pod, says }) => {
    await machines.create(pod);
    const { phase, log } = await machines.ended(pod.name);
    process.stderr.write(`${log}\n`);
    expect(phase).toBe('Failed');
    expect(log).toMatch(says);
    expect(parseHypervisorLog(log)).toMatchObject({ address: nic, devices: undefined });
    await steps.deletePod(pod.name);
    await machines.expectFree(asBound);
  });

  test.runIf(full)('a memory limit below that of the machine: all of it is locked, so it is killed', async () => {
    await expectQuietKernel();
    await machines.create({ name: 'too-small', memoryMebibytes: 256, memoryLimitMebibytes: 160, security: ENOUGH });
    const { phase, log } = await machines.ended('too-small');
    process.stderr.write(`${log}\n`);
    expect(phase).toBe('Failed');
    expect(parseHypervisorLog(log).devices).toBeUndefined();
    const { body } = await operator.cluster.admin.request({ path: '/api/v1/namespaces/default/pods/too-small' });
    const { containerStatuses } = body['status'] as PodStatus;
    expect(containerStatuses[0]?.state.terminated?.reason).toBe('OOMKilled');
    await steps.deletePod('too-small');
    await machines.expectFree(asBound);
    // With such a kill the kernel writes a call trace, which is no complaint: its log goes on without this one. One of the whole node would be.
    const killed = 'Memory cgroup out of memory: Killed process [0-9]* (qemu-system-x86)';
    const { guest } = operator.node;
    await guest.run(`dmesg | grep '${killed}'`);
    const others = `dmesg -c | sed '/invoked oom-killer/,/${killed}/d' | grep -E 'Call Trace|\\] Out of memory' || true`;
    expect(await guest.run(others)).toBe('');
  });
});

describe('a virtual machine in a pod', () => {
  test('has the device that kubelet gave the pod, with its regions', async () => {
    const began = performance.now();
    await machines.create({ name: 'vm-1', memoryMebibytes: 64, security: ENOUGH });
    const { address, devices } = await machines.made('vm-1');
    process.stderr.write(`pod created to QEMU's answer: ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
    expect(address).toBe(nic);
    const inside = devices?.find((device) => device.qdev_id === 'dut');
    expect(inside?.id).toMatchObject({ vendor: 0x8086, device: 0x10d3 });
    const regions = await machines.regionsOfTheNode();
    expect(regions.length).toBeGreaterThan(2);
    expect(inside?.regions).toMatchObject(regions);
    expect(await machines.holders()).toEqual(['qemu-system-x86']);
    const told = await steps.waitForState('who has it', (found) => found[nic]?.heldBy !== undefined);
    expect(told[nic]?.heldBy).toContain('default/vm-1');
    const { resources } = await readNodeState(operator.cluster, NODE);
    expect(resources.find(({ name }) => name === resource)).toMatchObject({ capacity: 1, healthy: 1, allocated: 1 });
    expect(await steps.lifeOf('vm-1')).toMatchObject({ phase: 'Running', restarts: 0 });
  });

  test('ends, and the device is clean and goes to the next pod', async () => {
    await steps.deletePod('vm-1');
    await machines.expectFree(used);
    const next = await steps.startHolder('vm-2', resource);
    expect(next.address).toBe(nic);
    await steps.deletePod('vm-2');
    await machines.expectFree(used);
  });
});

describe.runIf(full)('a Linux in the virtual machine', () => {
  test("its own driver binds the NIC, reads the NIC's address and gets its interrupts", async () => {
    const linux = await smallLinux('e1000e');
    const began = performance.now();
    await machines.create({ name: 'vm-3', memoryMebibytes: 128, security: ENOUGH, linux });
    // Nothing is asked of the node meanwhile.
    const { phase, log } = await machines.ended('vm-3', 1200);
    const whole = ((performance.now() - began) / 1000).toFixed(1);
    process.stderr.write(
      `a Linux in the pod's machine: ${whole} s from the pod's creation to its end; since its first line:\n`,
    );
    await machines.tellTimes('vm-3');
    const [found, ...others] = parseNicsInside(log);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ id: '8086:10d3', driver: 'e1000e', mac });
    expect(found?.interrupts).toBeGreaterThan(0);
    expect(phase).toBe('Succeeded');
    // Free as soon as its pod has ended, deleted or not.
    await machines.expectFree(used);
    const next = await steps.startHolder('vm-4', resource);
    expect(next.address).toBe(nic);
    await steps.deletePod('vm-4');
    await steps.deletePod('vm-3');
  }, 2_400_000);
});

// The last one of the pods: the limit stays.
test.runIf(full)(
  'a higher limit of locked memory at the container runtime does instead of the capability',
  async () => {
    const { guest } = operator.node;
    await guest.run('prlimit --memlock=unlimited --pid "$(grep -lx containerd /proc/[0-9]*/comm | cut -d / -f 3)"');
    const security = { ...ENOUGH, capabilities: { drop: ['ALL'] } };
    await machines.create({ name: 'vm-5', memoryMebibytes: 64, security });
    const { devices } = await machines.made('vm-5');
    expect(devices?.map((device) => device.qdev_id)).toContain('dut');
    await steps.deletePod('vm-5');
    await machines.expectFree(used);
  },
);

test('the kernel has nothing to complain of', () => expectQuietKernel());
