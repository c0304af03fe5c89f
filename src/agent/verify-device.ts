// Whether what is about to be handed out, or was handed out and is used again, still is what was offered. Between two looks at the host the
// kernel may have given the numbers of groups and cdevs to other devices, so driver, group and cdev are read at the moment they are needed.
import type { Ledger } from '../domain/ledger.ts';
import type { AdvertisedDevice, AdvertisedFunction } from '../domain/resource-pool.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { createSysfs } from '../host/sysfs.ts';
import type { VerifyDevice } from '../kubelet/ports.ts';
import type { Files } from '../runtime/ports.ts';

/** Reads the host now and compares it with what was offered: null, or the first difference as a sentence. */
export function createVerifyDevice(files: Files, paths: HostPaths, ledger: () => Ledger): VerifyDevice {
  return (fn: AdvertisedFunction, device: AdvertisedDevice) => {
    const bus = ledger().entries.get(fn.address)?.bus;
    if (bus === undefined) return `${fn.address} is not ours any more`;
    const sysfs = createSysfs(files, () => undefined);
    const directory = paths.device(bus, fn.address);
    const driver = sysfs.readLinkName(`${directory}/driver`);
    if (driver !== fn.driver) return `${fn.address} is on ${driver ?? 'no driver'} now, was on ${fn.driver}`;
    const group = sysfs.readLinkName(`${directory}/iommu_group`);
    // Without an IOMMU the node alone has the number of the group that VFIO made up.
    const wanted = device.iommuGroup?.toString() ?? device.groupNode?.replace('noiommu-', '') ?? null;
    if (wanted !== null && group !== wanted)
      return `${fn.address} is in IOMMU group ${group ?? 'none'} now, was in ${wanted}`;
    const cdev = sysfs.listNames(`${directory}/vfio-dev`)?.[0] ?? null;
    if (fn.vfioDevice !== null && cdev !== fn.vfioDevice)
      return `${fn.address} has the cdev ${cdev ?? 'none'} now, had ${fn.vfioDevice}`;
    return null;
  };
}
