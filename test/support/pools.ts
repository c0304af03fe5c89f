// Advertised devices and pools for tests, healthy and complete unless said otherwise.
import type { AdvertisedDevice, AdvertisedFunction, ResourcePool } from '../../src/domain/resource-pool.ts';

/** A function bound to vfio-pci. */
export function aFunction(address: string, parts: Partial<AdvertisedFunction> = {}): AdvertisedFunction {
  return { address, driver: 'vfio-pci', selected: true, vfioDevice: null, ...parts };
}

/** A device whose only function is its id, alone in a group whose number comes from the id. */
export function anAdvertised(id: string, parts: Partial<AdvertisedDevice> = {}): AdvertisedDevice {
  const number = [...id].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 1_000_003, 0);
  const group = parts.iommuGroup === undefined ? number : parts.iommuGroup;
  return {
    id,
    healthy: true,
    unhealthyBecause: null,
    numaNode: null,
    iommuGroup: group,
    groupNode: group === null ? null : String(group),
    physicalFunction: null,
    functions: [aFunction(id)],
    ...parts,
  };
}

/** A pool with KubeVirt's variables and group nodes. */
export function aPool(devices: readonly AdvertisedDevice[], parts: Partial<ResourcePool> = {}): ResourcePool {
  return {
    resource: 'vfio-operator.dev/gpu',
    unit: 'Group',
    deviceNodes: 'Auto',
    allocation: 'Packed',
    environment: ['KubeVirt'],
    cdi: false,
    devices,
    ...parts,
  };
}
