// A virtual function in a virtual machine, full tier only (FULL_TIER=1): the agent makes it and binds the variant driver that the kernel's
// aliases name, kubelet gives it to a pod, QEMU there takes it with its regions, and it is clean and the next pod's afterwards.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf, kernelComplaints, onHost, onVfio } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { hypervisorImage } from './hypervisor-image.ts';
import { ENOUGH } from './hypervisor-pod.ts';
import { hypervisorStepsOn } from './hypervisor-steps.ts';
import type { Configuration, HypervisorSteps } from './hypervisor-steps.ts';
import { startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy } from './operator.ts';

const resource = 'vfio-operator.dev/vf';
const driver = 'igbvf_vfio_pci';

describe.runIf(process.env['FULL_TIER'] === '1')('a virtual function in a virtual machine', () => {
  let operator: OperatorOnNode;
  let steps: ClusterSteps;
  let machines: HypervisorSteps;
  let physical: string;
  let virtual: string;
  let used: Configuration;

  beforeAll(async () => {
    const image = await hypervisorImage();
    operator = await startOperatorOnNode({ topology: 'full' });
    const { cluster, node } = operator;
    steps = stepsOn(operator);
    physical = (await addressesOf(node.guest, ['igb'])).igb;
    await applyPolicy(cluster, 'vf', {
      devices: [{ addresses: [physical] }],
      sriov: { virtualFunctions: 1 },
      resource: { name: resource },
    });
    await node.importImage(image);
    await steps.waitForUnits(resource, 1);
    virtual = (await steps.virtualFunctionsOf(physical))[0] ?? '';
    machines = hypervisorStepsOn(operator, steps, { resource, address: virtual, driver });
    used = await machines.afterUse(await machines.readAtRest());
  });
  afterAll(async () => operator?.stop());

  test('is on the driver that its alias names, beside its PF on the host driver', async () => {
    const read = await steps.readNamed([physical, virtual]);
    expect(read[virtual]).toMatchObject(onVfio(driver));
    expect(read[physical]).toMatchObject({ ...onHost('igb'), virtualFunctions: 1 });
  });

  test('is realised by QEMU in a pod, with its regions', async () => {
    await machines.create({ name: 'vf-1', memoryMebibytes: 64, security: ENOUGH });
    const { address, devices } = await machines.made('vf-1');
    expect(address).toBe(virtual);
    const inside = devices?.find((device) => device.qdev_id === 'dut');
    expect(inside?.id).toMatchObject({ vendor: 0x8086, device: 0x10ca });
    const regions = await machines.regionsOfTheNode();
    expect(regions.length).toBeGreaterThan(1);
    expect(inside?.regions).toMatchObject(regions);
    expect(await machines.holders()).toEqual(['qemu-system-x86']);
    await steps.deletePod('vf-1');
    await machines.expectFree(used);
    const next = await steps.startHolder('vf-2', resource);
    expect(next.address).toBe(virtual);
    await steps.deletePod('vf-2');
    await machines.expectFree(used);
  }, 1_200_000);

  test('goes with its policy, and the kernel has nothing to complain of', async () => {
    const { cluster, node } = operator;
    await cluster.kubectl(['delete', 'vfiopolicy', 'vf']);
    await steps.wait(
      'no virtual function',
      () => steps.virtualFunctionsOf(physical),
      (left) => left.length === 0,
    );
    expect((await steps.readNamed([physical]))[physical]).toMatchObject({ ...onHost('igb'), virtualFunctions: 0 });
    expect(await kernelComplaints(node.guest)).toEqual([]);
    expect(await node.guest.run("dmesg | grep -i 'DMAR:.*fault' || true")).toBe('');
  });
});
