// A hypervisor in a pod: QEMU takes the device that kubelet gave the pod, passes it through, and a Linux inside drives it. What such a pod
// must be given is found by leaving it away, with the sentences that users then see; afterwards the device is clean, and the next pod's.
// The everyday tier makes the machine; the full tier (FULL_TIER=1) boots a Linux in it, in an emulation within an emulation.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf, kernelComplaints, onVfio } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { hypervisorImage } from './hypervisor-image.ts';
import { ENOUGH, hypervisorPod, parseHypervisorLog, parseLogTimes } from './hypervisor-pod.ts';
import type { HypervisorLog, HypervisorPod } from './hypervisor-pod.ts';
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
let nic: string;
let group: string;

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
  group = (await steps.readNamed([nic]))[nic]?.group ?? '';
});
afterAll(async () => operator?.stop());

/** Processes of the node that have the group's node open. */
async function holders(): Promise<readonly string[]> {
  // A process that ends meanwhile is no matter.
  const found = await operator.node.guest.run(
    `for fd in $(find /proc/[0-9]*/fd -lname /dev/vfio/${group} 2> /dev/null); do cat "$\{fd%/fd/*}/comm"; done; true`,
  );
  return found.split('\n').filter((line) => line !== '');
}

const logOf = (pod: string): Promise<string> => operator.node.podLog('default', pod, 'main');

/** Waits until QEMU in the pod has made its machine. The node has one processor, so it is asked seldom. */
async function made(pod: string): Promise<HypervisorLog> {
  const read = async (): Promise<HypervisorLog> => {
    await sleep(1000);
    return parseHypervisorLog(await logOf(pod));
  };
  return steps.wait(`QEMU's answer from pod ${pod}`, read, (log) => log.devices !== undefined);
}

async function create(pod: Omit<HypervisorPod, 'resource'>): Promise<void> {
  await operator.cluster.kubectl(['create', '-f', '-'], JSON.stringify(hypervisorPod({ ...pod, resource })));
}

/** Waits until the pod has ended, and returns how, with its log. */
async function ended(pod: string, seconds?: number): Promise<{ readonly phase: string; readonly log: string }> {
  const { phase } = await steps.wait(
    `the end of pod ${pod}`,
    () => steps.lifeOf(pod),
    (life) => life.phase === 'Failed' || life.phase === 'Succeeded',
    seconds,
  );
  return { phase, log: await logOf(pod) };
}

/** Waits until the node state has nobody on the device, and holds kernel and kubelet against it. */
async function expectFreeAndClean(): Promise<void> {
  await steps.wait(
    'the device told as free',
    async () => {
      const { devices, resources } = await readNodeState(operator.cluster, NODE);
      return { device: devices.find(({ address }) => address === nic), resource: resources[0] };
    },
    (told) =>
      told.device?.decision === 'Bound' &&
      told.device.heldBy === undefined &&
      told.device.health === 'Healthy' &&
      told.resource?.allocated === 0,
  );
  expect((await steps.readNamed([nic]))[nic]).toMatchObject({ ...onVfio('vfio-pci'), group });
  expect(await holders()).toEqual([]);
}

/** Memory and I/O regions by number and size, as the kernel of the node read them from the device. */
async function regionsOfTheNode(): Promise<readonly object[]> {
  const text = await operator.node.guest.readText(`/sys/bus/pci/devices/${nic}/resource`);
  return text
    .split('\n')
    .slice(0, 6)
    .map((line, bar) => {
      const [start = 0n, end = 0n, flags = 0n] = line.split(' ').map(BigInt);
      // IORESOURCE_IO of include/linux/ioport.h.
      return { bar, type: (flags & 0x100n) === 0n ? 'memory' : 'io', size: Number(end - start + 1n), used: end > 0n };
    })
    .filter(({ used }) => used)
    .map(({ bar, type, size }) => ({ bar, type, size }));
}

interface PodStatus {
  readonly containerStatuses: readonly { readonly state: { readonly terminated?: { readonly reason: string } } }[];
}

/** A pod that QEMU gives up in, and why. */
interface TooLittle {
  readonly what: string;
  readonly pod: Omit<HypervisorPod, 'name' | 'resource'>;
  readonly says: RegExp;
  readonly everyday?: true;
}

const tooLittle: readonly TooLittle[] = [
  {
    what: 'without CAP_IPC_LOCK: the memory of the machine is more than may be locked',
    pod: { memoryMebibytes: 64 },
    says: /Cannot allocate memory/,
    everyday: true,
  },
  {
    what: 'as another user than root: the node of the group is not its',
    pod: { memoryMebibytes: 64, security: { ...ENOUGH, runAsUser: 107, runAsGroup: 107 } },
    says: /Permission denied/,
  },
];

describe('what a hypervisor in a pod cannot do without', () => {
  test.each(full ? tooLittle : tooLittle.filter(({ everyday }) => everyday))('$what', async ({ pod, says }) => {
    await create({ ...pod, name: 'too-little' });
    const { phase, log } = await ended('too-little');
    process.stderr.write(`${log}\n`);
    expect(phase).toBe('Failed');
    expect(log).toMatch(says);
    expect(parseHypervisorLog(log)).toMatchObject({ address: nic, devices: undefined });
    await steps.deletePod('too-little');
    await expectFreeAndClean();
  });

  test.runIf(full)('a memory limit below that of the machine: all of it is locked, so it is killed', async () => {
    await create({ name: 'too-small', memoryMebibytes: 256, memoryLimitMebibytes: 160, security: ENOUGH });
    const { phase, log } = await ended('too-small');
    process.stderr.write(`${log}\n`);
    expect(phase).toBe('Failed');
    expect(parseHypervisorLog(log).devices).toBeUndefined();
    const { body } = await operator.cluster.admin.request({ path: '/api/v1/namespaces/default/pods/too-small' });
    const { containerStatuses } = body['status'] as PodStatus;
    expect(containerStatuses[0]?.state.terminated?.reason).toBe('OOMKilled');
    await steps.deletePod('too-small');
    await expectFreeAndClean();
  });
});

describe('a virtual machine in a pod', () => {
  test('has the device that kubelet gave the pod, with its regions', async () => {
    const began = performance.now();
    await create({ name: 'vm-1', memoryMebibytes: 64, security: ENOUGH });
    const { address, devices } = await made('vm-1');
    process.stderr.write(`pod created to QEMU's answer: ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
    expect(address).toBe(nic);
    const inside = devices?.find((device) => device.qdev_id === 'dut');
    expect(inside?.id).toMatchObject({ vendor: 0x8086, device: 0x10d3 });
    const regions = await regionsOfTheNode();
    expect(regions.length).toBeGreaterThan(2);
    expect(inside?.regions).toMatchObject(regions);
    expect(await holders()).toEqual(['qemu-system-x86']);
    const told = await steps.waitForState('who has it', (found) => found[nic]?.heldBy !== undefined);
    expect(told[nic]?.heldBy).toContain('default/vm-1');
    const { resources } = await readNodeState(operator.cluster, NODE);
    expect(resources.find(({ name }) => name === resource)).toMatchObject({ capacity: 1, healthy: 1, allocated: 1 });
    expect(await steps.lifeOf('vm-1')).toMatchObject({ phase: 'Running', restarts: 0 });
  });

  test('ends, and the device is clean and goes to the next pod', async () => {
    await steps.deletePod('vm-1');
    await expectFreeAndClean();
    const next = await steps.startHolder('vm-2', resource);
    expect(next.address).toBe(nic);
    await steps.deletePod('vm-2');
    await expectFreeAndClean();
  });
});

describe.runIf(full)('a Linux in the virtual machine', () => {
  test("its own driver binds the NIC, reads the NIC's address and gets its interrupts", async () => {
    const linux = await smallLinux();
    const began = performance.now();
    await create({ name: 'vm-3', memoryMebibytes: 128, security: ENOUGH, linux });
    // Nothing is asked of the node meanwhile.
    const { phase, log } = await ended('vm-3', 1200);
    const whole = ((performance.now() - began) / 1000).toFixed(1);
    const times = parseLogTimes(await operator.node.guest.run('cat /var/log/pods/default_vm-3_*/main/*.log'));
    process.stderr.write(
      `a Linux in the pod's machine: ${whole} s from the pod's creation to its end; since its first line:\n`,
    );
    for (const { seconds, line } of times)
      process.stderr.write(`${seconds.toFixed(1).padStart(7)} ${line.slice(0, 160)}\n`);
    const [found, ...others] = parseNicsInside(log);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ id: '8086:10d3', driver: 'e1000e', mac });
    expect(found?.interrupts).toBeGreaterThan(0);
    expect(phase).toBe('Succeeded');
    // Free as soon as its pod has ended, deleted or not.
    await expectFreeAndClean();
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
    await create({ name: 'vm-5', memoryMebibytes: 64, security });
    const { devices } = await made('vm-5');
    expect(devices?.map((device) => device.qdev_id)).toContain('dut');
    await steps.deletePod('vm-5');
    await expectFreeAndClean();
  },
);

test('the kernel has nothing to complain of', async () => {
  expect(await kernelComplaints(operator.node.guest)).toEqual([]);
  expect(await operator.node.guest.run("dmesg | grep -i 'DMAR:.*fault' || true")).toBe('');
});
