// VFIO's no-IOMMU mode: what it means, in the one sentence that every message about such a device carries, and which devices are in it.
import type { Decision } from './decision.ts';
import type { Device } from './device.ts';

/** Part of a sentence, after what is told of the device. */
export const withoutIommu = 'without an IOMMU: whoever has it reaches all memory of this node';

/** True for a device that is on VFIO and has no IOMMU group of its own. Before 6.1 only the driver's name tells of VFIO. */
export function isWithoutIommu(decision: Pick<Decision, 'role'>, device: Device): boolean {
  if (decision.role === 'PhysicalFunction' || device.iommuGroup !== null || device.driver === null) return false;
  return device.vfioDevice !== null || device.driver.includes('vfio');
}
