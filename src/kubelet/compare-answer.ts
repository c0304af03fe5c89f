// Whether what a container was promised once still is what the host has. Kubelet repeats its answer at every restart of the container
// and after a reboot, and the kernel gives group and cdev numbers to others: the number alone may lead to somebody else's device.
import { namedAddress, variableName } from '../domain/allocation.ts';
import type { AdvertisedDevice, ResourcePool } from '../domain/resource-pool.ts';
import type { AllocationRecord } from './allocation-record.ts';
import type { CheckpointedAnswer } from './kubelet-checkpoint.ts';

/** The first difference between our record and the device now, as a sentence; null: none. */
export function compareRecord(record: AllocationRecord, device: AdvertisedDevice): string | null {
  const [address] = [record.functions[0]?.address ?? record.id];
  if (record.group !== device.iommuGroup || record.groupNode !== device.groupNode) {
    return `${address} is in IOMMU group ${groupName(device.iommuGroup, device.groupNode)} now, was ${groupName(record.group, record.groupNode)}`;
  }
  for (const was of record.functions) {
    const now = device.functions.find((fn) => fn.address === was.address);
    if (now === undefined) return `${was.address} was handed out with ${device.id} and is no part of it any more`;
    if (now.driver !== was.driver) return `${was.address} is on driver ${now.driver} now, was on ${was.driver}`;
    if (now.vfioDevice !== was.cdev) {
      return `${was.address} has the cdev ${now.vfioDevice ?? 'none'} now, had ${was.cdev ?? 'none'}`;
    }
  }
  return null;
}

/**
 * The same by kubelet's own memory of our answer, for the devices it was for: no node in it may be one that these devices do not have
 * now, and the addresses must be theirs.
 */
export function compareCheckpoint(
  pool: ResourcePool,
  { answer }: CheckpointedAnswer,
  devices: readonly AdvertisedDevice[],
): string | null {
  const theirs = new Set([
    '/dev/vfio/vfio',
    '/dev/iommu',
    ...devices.map((device) => `/dev/vfio/${device.groupNode}`),
    ...devices.flatMap((device) => device.functions.map((fn) => `/dev/vfio/devices/${fn.vfioDevice}`)),
  ]);
  const names = devices.map((device) => device.id).join(', ');
  const foreign = answer.devices.find((device) => !theirs.has(device.hostPath));
  if (foreign !== undefined) return `${foreign.hostPath} was handed out for ${names} and is not its node any more`;
  const addresses = devices.map(namedAddress).toSorted(compareText).join(',');
  for (const style of pool.environment) {
    const value = answer.envs[variableName(style, pool.resource)];
    if (value === undefined) continue;
    const were = value.split(',').toSorted(compareText).join(',');
    if (were !== addresses) return `${were} was handed out for ${names}, which is ${addresses} now`;
  }
  return null;
}

function groupName(group: number | null, node: string | null): string {
  return node ?? (group === null ? 'none' : String(group));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
