// The device nodes that VFIO has made: what a container can be given. Directories are listed, nodes are never opened.
import type { VfioNodes } from '../domain/build-pools.ts';
import type { Inventory } from '../domain/device.ts';
import type { Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs } from './sysfs.ts';

/** What lies in /dev/vfio and /dev/vfio/devices; empty while VFIO is not there. */
export function readVfioNodes(files: Files, paths: HostPaths): VfioNodes {
  const sysfs = createSysfs(files, () => {});
  const fixed = new Set(['vfio', 'devices']);
  return {
    groups: new Set((sysfs.listNames(paths.vfio) ?? []).filter((name) => !fixed.has(name))),
    cdevs: new Set(sysfs.listNames(paths.vfioCdevs) ?? []),
  };
}

/**
 * Names of the no-IOMMU group nodes by address. The kernel gives a device without IOMMU a group of its own while it is bound, whose
 * node is `noiommu-N` (drivers/vfio/group.c); the inventory counts that as no group.
 */
export function readNoIommuNodes(files: Files, paths: HostPaths, inventory: Inventory): ReadonlyMap<string, string> {
  const nodes = new Map<string, string>();
  if (!inventory.kernel.noIommuMode) return nodes;
  const sysfs = createSysfs(files, () => {});
  for (const device of inventory.devices.values()) {
    if (device.iommuGroup !== null || device.driver === null) continue;
    const group = sysfs.readLinkName(`${paths.device(device.bus, device.address)}/iommu_group`);
    if (group !== null) nodes.set(device.address, `noiommu-${group}`);
  }
  return nodes;
}
