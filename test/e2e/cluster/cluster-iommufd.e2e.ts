// A hypervisor in a pod that gets /dev/iommu and the cdev of its device, and no group: on the lab's own kernel, so by hand alone. QEMU takes
// the device by them, with no more rights than by a group. The full tier (FULL_TIER=1) boots a Linux in the machine.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressesOf, kernelComplaints } from '../support/devices-in-guest.ts';
import { describeOnOwnKernel } from '../support/on-own-kernel.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { hypervisorImage } from './hypervisor-image.ts';
import { ENOUGH } from './hypervisor-pod.ts';
import { hypervisorStepsOn } from './hypervisor-steps.ts';
import type { Configuration, HypervisorSteps } from './hypervisor-steps.ts';
import { startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy } from './operator.ts';
import { parseNicsInside, smallLinux } from './small-linux.ts';

const resource = 'vfio-operator.dev/nic';

describeOnOwnKernel('a hypervisor in a pod by iommufd', () => {
  let operator: OperatorOnNode;
  let steps: ClusterSteps;
  let machines: HypervisorSteps;
  let nic: string;
  let used: Configuration;

  beforeAll(async () => {
    const image = await hypervisorImage();
    operator = await startOperatorOnNode({ kernel: '7.x', topology: 'small' });
    const { cluster, node } = operator;
    steps = stepsOn(operator);
    nic = (await addressesOf(node.guest, ['nic'])).nic;
    await applyPolicy(cluster, 'nic', {
      devices: [{ addresses: [nic] }],
      driver: { name: 'vfio-pci' },
      resource: { name: resource, deviceNodes: 'Iommufd' },
    });
    await node.importImage(image);
    await steps.waitForUnits(resource, 1);
    machines = hypervisorStepsOn(operator, steps, { resource, address: nic, driver: 'vfio-pci' });
    used = await machines.afterUse(await machines.readAtRest());
  });
  afterAll(async () => operator?.stop());

  test('has the device, with its regions, by the two nodes that the pod got', async () => {
    await machines.create({ name: 'vm-1', memoryMebibytes: 64, security: ENOUGH, iommufd: true });
    const { address, devices } = await machines.made('vm-1');
    expect(address).toBe(nic);
    const inside = devices?.find((device) => device.qdev_id === 'dut');
    expect(inside?.id).toMatchObject({ vendor: 0x8086, device: 0x10d3 });
    expect(inside?.regions).toMatchObject(await machines.regionsOfTheNode());
    expect(await machines.holders()).toEqual(['qemu-system-x86']);
    const { guest } = operator.node;
    const qemu = await guest.run('grep -lx qemu-system-x86 /proc/[0-9]*/comm | cut -d / -f 3');
    const opened = await guest.run(`readlink /proc/${qemu}/fd/* | grep -E '^/dev/(iommu|vfio)' | sort -u`);
    const { cdev } = (await steps.readNamed([nic]))[nic] ?? {};
    expect(opened.split('\n')).toEqual(['/dev/iommu', `/dev/vfio/devices/${cdev}`]);
    // All that the pod has of VFIO.
    const nodes = await guest.run(`cd /proc/${qemu}/root/dev; find iommu vfio ! -type d | sort`);
    expect(nodes.split('\n')).toEqual(['iommu', `vfio/devices/${cdev}`]);
    await steps.deletePod('vm-1');
    await machines.expectFree(used);
  });

  test('cannot do without CAP_IPC_LOCK either', async () => {
    await machines.create({ name: 'too-little', memoryMebibytes: 64, iommufd: true });
    const { phase, log } = await machines.ended('too-little');
    process.stderr.write(`${log}\n`);
    expect(phase).toBe('Failed');
    expect(log).toMatch(/Cannot allocate memory/);
    await steps.deletePod('too-little');
    await machines.expectFree(used);
  });

  test.runIf(process.env['FULL_TIER'] === '1')(
    'a Linux in it drives the NIC',
    async () => {
      const linux = await smallLinux('e1000e');
      await machines.create({ name: 'vm-2', memoryMebibytes: 128, security: ENOUGH, iommufd: true, linux });
      const { phase, log } = await machines.ended('vm-2', 1200);
      await machines.tellTimes('vm-2');
      expect(parseNicsInside(log)).toMatchObject([{ id: '8086:10d3', driver: 'e1000e', mac: '52:54:00:00:00:03' }]);
      expect(phase).toBe('Succeeded');
      await machines.expectFree(used);
      await steps.deletePod('vm-2');
    },
    2_400_000,
  );

  test('the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(operator.node.guest)).toEqual([]);
  });
});
