// What a container gets for the devices it was allocated: variables and device nodes. Pure. The lines of the contract are KubeVirt's
// (pkg/virt-launcher/virtwrap/device/hostdevice: one address per unit, taken off one by one) and the SR-IOV network device plugin's.
import { compareAddresses } from './device.ts';
import type { AdvertisedDevice, ResourcePool } from './resource-pool.ts';

/** A node of the host that the container gets under the same path. */
export interface DeviceNode {
  readonly path: string;
  /** Letters of `mrw`: mknod, read, write. */
  readonly permissions: string;
}

/** What one container gets of one resource. */
export interface AllocationAnswer {
  readonly environment: Readonly<Record<string, string>>;
  /** Without duplicates, in a stable order. */
  readonly nodes: readonly DeviceNode[];
}

/** The ways to name variables after a resource. */
export type EnvironmentStyle = ResourcePool['environment'][number];

const vfioNode = '/dev/vfio/vfio';
const iommuNode = '/dev/iommu';

/** The variable that holds the addresses, e.g. `PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU`. */
export function variableName(style: EnvironmentStyle, resource: string): string {
  switch (style) {
    case 'KubeVirt':
      // virt-launcher looks for exactly this: only the slash and the dots change, a hyphen stays.
      return `PCI_RESOURCE_${resource.toUpperCase().replace(/[/.]/g, '_')}`;
    case 'SriovNetwork':
      return `PCIDEVICE_${resource.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
  }
}

/** All variables that a resource sets, sorted. Two resources that share one would hide each other's devices in a container. */
export function variableNames(resource: string, environment: readonly EnvironmentStyle[]): readonly string[] {
  return environment
    .flatMap((style) => {
      const name = variableName(style, resource);
      return style === 'SriovNetwork' ? [name, `${name}_INFO`] : [name];
    })
    .toSorted();
}

/**
 * The one address that stands for a device: the lowest selected one. Companions are never named, else the next entry of a virtual
 * machine would get the companion.
 */
export function namedAddress(device: AdvertisedDevice): string {
  const selected = device.functions.filter((fn) => fn.selected).map((fn) => fn.address);
  return selected.toSorted(compareAddresses)[0] ?? device.id;
}

/**
 * The nodes that `deviceNodes` gives for one device, or the sentence that says which the kernel lacks. Every selected function's cdev
 * is given: whoever holds the group holds them all.
 */
export function deviceNodes(
  device: AdvertisedDevice,
  wanted: ResourcePool['deviceNodes'],
): { readonly nodes: readonly DeviceNode[] } | { readonly missing: string } {
  const group = device.groupNode === null ? [] : [node(vfioNode), node(`/dev/vfio/${device.groupNode}`)];
  const selected = device.functions.filter((fn) => fn.selected);
  const cdevs = selected.flatMap((fn) => (fn.vfioDevice === null ? [] : [node(`/dev/vfio/devices/${fn.vfioDevice}`)]));
  const noGroup = `${device.id} has no group node under /dev/vfio`;
  const noCdev = `${selected.find((fn) => fn.vfioDevice === null)?.address ?? device.id} has no cdev under /dev/vfio/devices`;
  const haveCdevs = cdevs.length > 0 && cdevs.length === selected.length;
  switch (wanted) {
    case 'Auto':
      return group.length === 0 ? { missing: noGroup } : { nodes: [...group, ...cdevs] };
    case 'Group':
      return group.length === 0 ? { missing: noGroup } : { nodes: group };
    case 'Cdev':
      return haveCdevs ? { nodes: cdevs } : { missing: noCdev };
    case 'Iommufd':
      return haveCdevs ? { nodes: [node(iommuNode), ...cdevs] } : { missing: noCdev };
  }
}

/**
 * What a container gets for `devices` of `pool`, in the order kubelet asked, or the sentence that says what is missing. Exactly one
 * address per unit, separated by commas.
 */
export function buildAllocation(
  pool: ResourcePool,
  devices: readonly AdvertisedDevice[],
): AllocationAnswer | { readonly missing: string } {
  const nodes = new Map<string, DeviceNode>();
  for (const device of devices) {
    const found = deviceNodes(device, pool.deviceNodes);
    if ('missing' in found) return found;
    for (const entry of found.nodes) nodes.set(entry.path, entry);
  }
  const environment: Record<string, string> = {};
  for (const style of pool.environment) {
    const name = variableName(style, pool.resource);
    environment[name] = devices.map(namedAddress).join(',');
    if (style === 'SriovNetwork') environment[`${name}_INFO`] = sriovInfo(devices);
  }
  return { environment, nodes: [...nodes.values()] };
}

/** The SR-IOV network device plugin's additional information: by address what the device is and where its node is mounted. */
function sriovInfo(devices: readonly AdvertisedDevice[]): string {
  const info: Record<string, unknown> = {};
  for (const device of devices) {
    const address = namedAddress(device);
    const mounts = device.groupNode === null ? {} : { 'dev-mount': `/dev/vfio/${device.groupNode}` };
    info[address] = { generic: { deviceID: address }, vfio: { ...mounts, mount: vfioNode } };
  }
  return JSON.stringify(info);
}

function node(path: string): DeviceNode {
  return { path, permissions: 'mrw' };
}
