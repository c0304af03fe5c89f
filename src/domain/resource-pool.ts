// What kubelet is offered: one pool per resource, each with its advertised devices.

/** One member function of an advertised device. */
export interface AdvertisedFunction {
  readonly address: string;
  readonly driver: string;
  /** True when it was selected; companions of the group are bound but never named in the environment. */
  readonly selected: boolean;
  /** Name of its cdev under /dev/vfio/devices; null when the kernel made no such node. */
  readonly vfioDevice: string | null;
}

/** One device as kubelet sees it. */
export interface AdvertisedDevice {
  /** Kubelet's device id: the lowest selected address of the group (unit Group) or the function's own address. Unique over all resources. */
  readonly id: string;
  readonly healthy: boolean;
  /** Why it is not healthy; null when it is. */
  readonly unhealthyBecause: string | null;
  /** null: none is told to kubelet. */
  readonly numaNode: number | null;
  /** The IOMMU group; null only in no-IOMMU mode. */
  readonly iommuGroup: number | null;
  /** Name of the node under /dev/vfio: `12`, or `noiommu-0`; null when the kernel has none. */
  readonly groupNode: string | null;
  /** PF of a VF, for the spreading allocation. */
  readonly physicalFunction: string | null;
  /** The functions behind the id, sorted by address: what Allocate verifies again. */
  readonly functions: readonly AdvertisedFunction[];
}

/** All devices of one resource, with how they are handed out. */
export interface ResourcePool {
  readonly resource: string;
  readonly unit: 'Group' | 'Function';
  readonly deviceNodes: 'Auto' | 'Group' | 'Cdev' | 'Iommufd';
  readonly allocation: 'Packed' | 'SpreadPhysicalFunctions';
  readonly environment: readonly ('KubeVirt' | 'SriovNetwork')[];
  readonly cdi: boolean;
  /** Sorted by id. */
  readonly devices: readonly AdvertisedDevice[];
}
