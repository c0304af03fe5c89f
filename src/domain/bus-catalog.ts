// The generic VFIO driver of each bus: what serves a device where no alias names a better one.
import type { Bus } from './device.ts';

/** A bus's generic VFIO driver. The module (in modules.alias, for modprobe) and the driver (in driver_override) differ in spelling. */
export interface GenericDriver {
  readonly module: string;
  readonly driver: string;
}

/** Names from drivers/vfio in the kernel's tree. The driver's name is evidence for people; binding reads it from /sys/module. */
export const genericDrivers: Readonly<Record<Bus, GenericDriver>> = {
  pci: { module: 'vfio_pci', driver: 'vfio-pci' },
  platform: { module: 'vfio_platform', driver: 'vfio-platform' },
  cdx: { module: 'vfio_cdx', driver: 'vfio-cdx' },
  'fsl-mc': { module: 'vfio_fsl_mc', driver: 'vfio-fsl-mc' },
};

const genericModules: ReadonlySet<string> = new Set(Object.values(genericDrivers).map((generic) => generic.module));

/** Whether the module (underscore form) is a bus's generic VFIO driver, not a variant. */
export function isGenericModule(module: string): boolean {
  return genericModules.has(module);
}
