// Whether a device that was bound to a VFIO driver can really be handed out: the driver link, and the files this kernel makes of it.
// Nodes come from devtmpfs or udev a moment after the bind, so absence counts only after a while.
import type { Bus } from '../domain/device.ts';
import { FileError, type Clock, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs, type Sysfs } from './sysfs.ts';

/** Where to look, and how long to wait for nodes, in milliseconds. */
export interface VerifyHost {
  readonly files: Files;
  readonly paths: HostPaths;
  readonly clock: Clock;
  readonly nodeDeadline: number;
}

const firstPause = 5;
const longestPause = 200;

/** null when the device is on `driver` and its VFIO files are there; else a sentence that says what is missing. */
export async function verifyBound(host: VerifyHost, bus: Bus, address: string, driver: string): Promise<string | null> {
  const until = host.clock.monotonic() + host.nodeDeadline;
  for (let pause = firstPause; ; pause = Math.min(2 * pause, longestPause)) {
    const missing = findMissing(host, bus, address, driver);
    if (missing === null || host.clock.monotonic() >= until) return missing;
    await new Promise<void>((resolve) => void host.clock.after(pause, resolve));
  }
}

function findMissing({ files, paths }: VerifyHost, bus: Bus, address: string, driver: string): string | null {
  const sysfs = createSysfs(files, () => undefined);
  const directory = paths.device(bus, address);
  const bound = sysfs.readLinkName(`${directory}/driver`);
  if (bound !== driver) return `${address} has ${bound ?? 'no driver'} instead of ${driver}`;
  const group = sysfs.readLinkName(`${directory}/iommu_group`);
  if (group === null) return `${address} is on ${driver} and has no IOMMU group`;

  const cdev = cdevName(sysfs, directory);
  if (cdev !== null && !isNode(files, paths.vfioCdev(cdev))) {
    return `${address} is on ${driver}, and its device node ${paths.vfioCdev(cdev)} does not appear`;
  }
  const groupNodes = [`${paths.vfio}/${group}`, `${paths.vfio}/noiommu-${group}`];
  if (groupNodes.some((path) => isNode(files, path))) return null;
  // A kernel without CONFIG_VFIO_GROUP has cdevs alone, and no container node either.
  if (cdev !== null && !isNode(files, paths.vfioContainer)) return null;
  return `${address} is on ${driver}, and its group node ${groupNodes[0] ?? ''} does not appear`;
}

// Kernels from 6.1 on name the device in vfio-dev/; it has a node of its own where that name has a `dev` file (CONFIG_VFIO_DEVICE_CDEV).
function cdevName(sysfs: Sysfs, directory: string): string | null {
  const [name] = sysfs.listNames(`${directory}/vfio-dev`) ?? [];
  return name !== undefined && sysfs.exists(`${directory}/vfio-dev/${name}/dev`) ? name : null;
}

function isNode(files: Files, path: string): boolean {
  try {
    return files.stat(path).kind === 'char';
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}
