// A machine as data: what is plugged in, which modules exist, what is mounted and routed. The simulated kernel makes a running
// machine of it, and makes it anew at every boot.
import type { Entry } from '../memory/entry.ts';
import type { KernelQuirks } from './quirks.ts';

/** A partition or whole block device. */
export interface BlockSpec {
  readonly name: string;
  /** `major:minor`. */
  readonly number: string;
  readonly partitions?: readonly BlockSpec[];
  /** `E:` properties udev keeps of it, e.g. `{ ID_FS_TYPE: 'ext4' }`; none: udev has seen no signature. */
  readonly udev?: Readonly<Record<string, string>>;
  /** First bytes of the disk, for those who look for signatures themselves. */
  readonly content?: () => Uint8Array | { readonly errno: string };
}

/** A network interface. */
export interface NetSpec {
  readonly name: string;
  readonly up?: boolean;
  readonly ipv4?: readonly string[];
  readonly ipv6?: readonly string[];
  /** Name of the bond, bridge or team it is enslaved to. */
  readonly master?: string;
  /** Interfaces on top of it that are no masters: VLANs, macvlans. */
  readonly uppers?: readonly string[];
  /** It was moved to another network namespace: the host's view shows none. */
  readonly elsewhere?: boolean;
}

/** What a device shows below itself while its own driver is bound. */
export type ChildSpec =
  | (NetSpec & { readonly kind: 'net' })
  | {
      readonly kind: 'nvme';
      readonly controller: string;
      readonly serial?: string;
      readonly model?: string;
      readonly namespaces: readonly BlockSpec[];
      /** Native multipath: namespaces lie under /devices/virtual/nvme-subsystem/NAME. */
      readonly subsystem?: string;
    }
  /** A disk at a path below the device, e.g. `ata1/host0/target0:0:0/0:0:0:0`. */
  | { readonly kind: 'disk'; readonly path: string; readonly block: BlockSpec; readonly serial?: string }
  | {
      readonly kind: 'drm';
      readonly card: string;
      readonly render?: string;
      /** The console's framebuffer, e.g. `fb0`. */
      readonly framebuffer?: string;
    }
  | { readonly kind: 'infiniband'; readonly name: string; readonly verbs: string }
  | { readonly kind: 'virtio'; readonly name: string; readonly children: readonly ChildSpec[] };

/** What a PF can make. */
interface SriovSpec {
  readonly total: number;
  /** Device id of the VFs, 4 hex digits. */
  readonly vfDevice: string;
  /** Routing id of VF i: the PF's plus offset plus i times stride. */
  readonly offset: number;
  readonly stride: number;
  /** How many the hardware really makes, however many are asked for. */
  readonly makes?: number;
  /** `own` (default): a group per VF; `shared`: all VFs in the PF's group. */
  readonly vfGroups?: 'own' | 'shared';
  /** Prefix of the interfaces VFs show on their own driver, e.g. `ens1v`; none: no interfaces. */
  readonly vfInterfaces?: string;
}

/** A PCI function. Ids are lower-case hexadecimal without `0x`. */
export interface PciSpec {
  readonly bus?: 'pci';
  readonly address: string;
  readonly vendor: string;
  readonly device: string;
  readonly subsystemVendor?: string;
  readonly subsystemDevice?: string;
  /** 6 digits. */
  readonly class: string;
  /** Address of the bridge it sits behind; none: the root bus. */
  readonly parent?: string;
  /** It is a bridge and has this bus behind it: header type 1. */
  readonly secondaryBus?: number;
  /** A bridge to a conventional bus: no PCIe port, so the port driver leaves it alone. */
  readonly conventional?: boolean;
  /** Devices with equal labels share a group; none: a group of its own; null: not behind the IOMMU. */
  readonly group?: string | null;
  readonly numaNode?: number;
  readonly sriov?: SriovSpec;
  readonly children?: readonly ChildSpec[];
  /** Lines of the group's reserved_regions. */
  readonly reservedRegions?: readonly string[];
  /** For VGA controllers, which all have the attribute; default false. */
  readonly bootVga?: boolean;
  readonly acpiIndex?: number;
  readonly slot?: string;
  /** PCIe device serial number, 16 hex digits. */
  readonly serialNumber?: string;
}

/** A device of a bus that has only a name and a modalias. */
interface NamedDeviceSpec {
  readonly bus: 'platform' | 'cdx' | 'fsl-mc';
  readonly address: string;
  readonly modalias: string;
  readonly group?: string | null;
  readonly numaNode?: number;
  readonly children?: readonly ChildSpec[];
}

export type DeviceSpec = PciSpec | NamedDeviceSpec;

/** Whether it is a PCI function. */
export const isPci = (spec: DeviceSpec): spec is PciSpec => spec.bus === undefined || spec.bus === 'pci';

/** A driver a module registers. */
export interface DriverSpec {
  readonly bus: 'pci' | 'platform' | 'cdx' | 'fsl-mc';
  readonly name: string;
  /** VFIO drivers hand the device to user space; all others are host drivers. */
  readonly vfio?: boolean;
  /** Patterns on the modalias that it takes by itself; default: the module's aliases that start with the bus's name. */
  readonly ids?: readonly string[];
  /** `driver_managed_dma`: bound, it does not spoil a group's viability. Always so for VFIO drivers. */
  readonly managesDma?: boolean;
  /** It can make VFs; `leavesVfs`: they survive its unbinding, as with nvme. */
  readonly sriov?: boolean;
  readonly leavesVfs?: boolean;
  /** Its probe fails with this errno, always or by device. */
  readonly probeErrno?: string | ((device: DeviceSpec) => string | null);
  /** How long probe and remove take, in milliseconds of virtual time; default 0. */
  readonly probeTakes?: number;
  readonly removeTakes?: number;
}

/** A kernel module, or a part of the kernel image when `builtin`. */
export interface ModuleSpec {
  readonly name: string;
  /** Path below /lib/modules/RELEASE; default kernel/drivers/NAME.ko. */
  readonly file?: string;
  readonly depends?: readonly string[];
  /** Modules loaded after it where kmod can (softdep post). */
  readonly post?: readonly string[];
  readonly aliases?: readonly string[];
  readonly drivers?: readonly DriverSpec[];
  readonly builtin?: boolean;
  /** Loaded at every boot, even when no device asks for it. */
  readonly atBoot?: boolean;
  /** The kernel refuses to load it, e.g. `ENOKEY`. */
  readonly loadErrno?: string;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** A line of mountinfo. `number` is major:minor as shown, `source` the device named. */
export interface MountSpec {
  readonly number: string;
  readonly source: string;
  readonly target: string;
  readonly type: string;
}

/** A route as the host's tables show it. Destinations in CIDR form; `default` for 0.0.0.0/0 or ::/0. */
export interface RouteSpec {
  readonly family: 4 | 6;
  readonly destination: string;
  readonly gateway?: string;
  readonly interface: string;
}

/** A block device made of others: LVM, dm-crypt, multipath, md, bcache, loop. */
export interface StackedBlockSpec extends BlockSpec {
  readonly slaves: readonly string[];
  /** /sys/block/dm-N/dm/uuid and name. */
  readonly dmUuid?: string;
  readonly dmName?: string;
}

/** The machine. */
export interface KernelSpec {
  /** `uname -r`; its version decides the quirks. */
  readonly release: string;
  readonly quirks?: Partial<KernelQuirks>;
  /** False: no IOMMU, so no groups. */
  readonly iommu?: boolean;
  readonly devices: readonly DeviceSpec[];
  readonly modules: readonly ModuleSpec[];
  /** Whether udev loads modules for devices that appear (default). */
  readonly udev?: boolean;
  readonly mounts?: readonly MountSpec[];
  /** Mounts seen by one process in a namespace of its own, by command name. */
  readonly otherMounts?: Readonly<Record<string, readonly MountSpec[]>>;
  readonly swaps?: readonly string[];
  readonly routes?: readonly RouteSpec[];
  /** Interfaces without a device: bridges, bonds, VLANs, each with what lies below. */
  readonly virtualInterfaces?: readonly (NetSpec & {
    readonly lowers: readonly string[];
    readonly type: 'bridge' | 'bond' | 'vlan' | 'macvlan';
  })[];
  readonly stackedBlocks?: readonly StackedBlockSpec[];
  /** Anything else on the disk or in /proc. */
  readonly files?: Readonly<Record<string, Entry>>;
}
