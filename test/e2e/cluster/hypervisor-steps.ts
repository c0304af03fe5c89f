// What scenarios with a hypervisor in a pod do again and again: make the pod, wait for QEMU's answer or the pod's end, and hold the device
// against what kernel, kubelet and node state must show once nobody has it.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { onVfio } from '../support/devices-in-guest.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { hypervisorPod, parseHypervisorLog, parseLogTimes } from './hypervisor-pod.ts';
import type { HypervisorLog, HypervisorPod } from './hypervisor-pod.ts';
import { NODE } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { readNodeState } from './operator.ts';

/** The one device that pods of these scenarios get. */
export interface PassedDevice {
  readonly resource: string;
  readonly address: string;
  /** The VFIO driver it is on. */
  readonly driver: string;
}

/** Configuration space, byte by offset, in hexadecimal; all of what root may read. */
export type Configuration = Readonly<Record<string, string>>;

export interface Region {
  readonly bar: number;
  readonly type: 'memory' | 'io';
  readonly size: number;
}

export interface PodEnd {
  readonly phase: string;
  readonly log: string;
}

export interface HypervisorSteps {
  create(pod: Omit<HypervisorPod, 'resource'>): Promise<void>;
  /** Waits until QEMU in the pod has made its machine. */
  made(pod: string): Promise<HypervisorLog>;
  /** Waits until the pod has ended, and returns how, with its log. */
  ended(pod: string, seconds?: number): Promise<PodEnd>;
  /** Tells on stderr what the pod wrote, each line with the seconds since its first. */
  tellTimes(pod: string): Promise<void>;
  /** Processes of the node that have the device's cdev or the node of its group open. */
  holders(): Promise<readonly string[]>;
  /** Memory and I/O regions by number and size, as the kernel of the node read them from the device. */
  regionsOfTheNode(): Promise<readonly Region[]>;
  /** vfio-pci puts a device that nobody has open to sleep (D3hot): waits for that, as its power state is part of what is compared. */
  readAtRest(): Promise<Configuration>;
  /**
   * What the configuration space must be once somebody had the device. The kernel resets the device and restores what it saved when it was
   * opened (vfio_pci_core_disable() of drivers/vfio/pci/vfio_pci_core.c). That never has the right to DMA: vfio_pci_core_enable() clears Bus
   * Master before. It has the decoding of the regions there are: pci_enable_device() of drivers/pci/pci.c.
   */
  afterUse(before: Configuration): Promise<Configuration>;
  /** Waits until the node state has nobody on the device, and holds kernel and kubelet against it. */
  expectFree(configuration: Configuration): Promise<void>;
}

export function hypervisorStepsOn(
  { cluster, node: { guest, podLog } }: OperatorOnNode,
  steps: ClusterSteps,
  { resource, address, driver }: PassedDevice,
): HypervisorSteps {
  const path = `/sys/bus/pci/devices/${address}`;
  const logOf = (pod: string): Promise<string> => podLog('default', pod, 'main');
  const holders = async (): Promise<readonly string[]> => {
    // A process that ends meanwhile is no matter.
    const found = await guest.run(
      `group=$(readlink ${path}/iommu_group); cdev=$(ls ${path}/vfio-dev 2> /dev/null || true)
      opened=$(find /proc/[0-9]*/fd -lname /dev/vfio/\${group##*/} -o -lname /dev/vfio/devices/\${cdev:-none} 2> /dev/null || true)
      for fd in $opened; do cat "\${fd%/fd/*}/comm"; done; true`,
    );
    return found.split('\n').filter((line) => line !== '');
  };
  const readAtRest = async (): Promise<Configuration> => {
    await steps.wait(
      'the device asleep',
      () => guest.readText(`${path}/power/runtime_status`),
      (status) => status === 'suspended\n',
    );
    const bytes = (await guest.run(`od -An -v -tx1 ${path}/config`)).trim().split(/\s+/);
    return Object.fromEntries(bytes.map((byte, offset) => [offset.toString(16), byte]));
  };
  const regionsOfTheNode = async (): Promise<readonly Region[]> =>
    parseRegions(await guest.readText(`${path}/resource`));
  return {
    holders,
    readAtRest,
    regionsOfTheNode,
    afterUse: async (before) => {
      // The low byte of the command register: I/O Space, Memory Space, Bus Master.
      const decoded = (await regionsOfTheNode()).map(({ type }) => (type === 'io' ? 0x1 : 0x2));
      const command = decoded.reduce((bits, bit) => bits | bit, Number.parseInt(before['4'] ?? '', 16) & ~0x4);
      return { ...before, 4: command.toString(16).padStart(2, '0') };
    },
    create: async (pod) => {
      await cluster.kubectl(['create', '-f', '-'], JSON.stringify(hypervisorPod({ ...pod, resource })));
    },
    made: (pod) => {
      // The node has one processor, so it is asked seldom.
      const read = async (): Promise<HypervisorLog> => {
        await sleep(1000);
        return parseHypervisorLog(await logOf(pod));
      };
      return steps.wait(`QEMU's answer from pod ${pod}`, read, (log) => log.devices !== undefined);
    },
    ended: async (pod, seconds) => {
      const over = new Set(['Failed', 'Succeeded']);
      const { phase } = await steps.wait(
        `the end of pod ${pod}`,
        () => steps.lifeOf(pod),
        (life) => over.has(life.phase),
        seconds,
      );
      return { phase, log: await logOf(pod) };
    },
    tellTimes: async (pod) => {
      const times = parseLogTimes(await guest.run(`cat /var/log/pods/default_${pod}_*/main/*.log`));
      for (const { seconds, line } of times)
        process.stderr.write(`${seconds.toFixed(1).padStart(7)} ${line.slice(0, 160)}\n`);
    },
    expectFree: async (configuration) => {
      await steps.wait(
        'the device told as free',
        async () => {
          const { devices, resources } = await readNodeState(cluster, NODE);
          return {
            device: devices.find((device) => device.address === address),
            resource: resources.find(({ name }) => name === resource),
          };
        },
        (told) =>
          told.device?.decision === 'Bound' &&
          told.device.heldBy === undefined &&
          told.device.health === 'Healthy' &&
          told.resource?.allocated === 0,
      );
      expect((await steps.readNamed([address]))[address]).toMatchObject(onVfio(driver));
      expect(await holders()).toEqual([]);
      expect(await readAtRest()).toEqual(configuration);
    },
  };
}

/** Of a device's `resource` file; an unused region is all zeros there. */
function parseRegions(text: string): readonly Region[] {
  return text
    .split('\n')
    .slice(0, 6)
    .flatMap((line, bar): Region[] => {
      const [start = 0n, end = 0n, flags = 0n] = line.split(' ').map(BigInt);
      // IORESOURCE_IO of include/linux/ioport.h.
      const type = (flags & 0x100n) === 0n ? 'memory' : 'io';
      return end === 0n ? [] : [{ bar, type, size: Number(end - start + 1n) }];
    });
}
