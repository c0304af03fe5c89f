// The machines of the lab: which PCI functions a guest has, as QEMU arguments, each with a name that tests use.
// PCI addresses are QEMU's and the firmware's to give; ask the guest for them by these names.

/** Names of the PCI functions of the full machine that a test may touch; each is the device's id in QEMU. */
export type LabDevice =
  | 'edu'
  | 'nic'
  | 'display'
  | 'uplink'
  | 'nvme'
  | 'igb'
  | 'pair0'
  | 'pair1'
  | 'bridge'
  | 'legacy-nic'
  | 'legacy-edu'
  | 'hot'
  | 'faulty'
  | 'numa-edu'
  | 'numa-nic';

/** `full`: the whole lab host. `small`: quicker to boot, with `edu`, `nic`, `pair0`, `pair1`, `hot` and `uplink`. */
export type Topology = 'full' | 'small';

/** A disk on an NVMe controller of its own; `image` is a raw file of the test machine. */
export interface AttachedDisk {
  readonly name: string;
  readonly image: string;
}

/** Values of QEMU's -object, -device and other options, in an order in which buses precede their devices. */
export interface TopologyInput {
  readonly topology: Topology;
  readonly iommu: boolean;
  readonly memoryMebibytes: number;
  /** A blank raw file behind the SR-IOV NVMe of the full machine. */
  readonly nvmeImage: string;
  readonly disks: readonly AttachedDisk[];
}

/** The QEMU arguments of the machine, without the lab's own channels (root, executor, uplink's network). */
export function topologyArguments(input: TopologyInput): readonly string[] {
  const iommu = input.iommu ? ['-device', 'intel-iommu,intremap=on,caching-mode=on,device-iotlb=on'] : [];
  const devices = input.topology === 'full' ? [...common(), ...fullOnly(input.nvmeImage)] : common();
  return [
    '-nodefaults',
    '-no-user-config',
    ...'-display none -machine q35,kernel-irqchip=split'.split(' '),
    ...memory(input),
    ...iommu,
    ...devices.flatMap((device) => optionOf(device)),
    ...input.disks.flatMap((disk, index) => diskArguments(disk, index)),
  ];
}

/** A line is the value of -device, or an option and its value. */
function optionOf(line: string): readonly string[] {
  const space = line.indexOf(' ');
  return line.startsWith('-') ? [line.slice(0, space), line.slice(space + 1)] : ['-device', line];
}

function memory({ topology, memoryMebibytes }: TopologyInput): readonly string[] {
  if (topology === 'small') return ['-m', `${memoryMebibytes}M`];
  const half = Math.floor(memoryMebibytes / 2);
  return [
    ['-m', `${half * 2}M`],
    ['-object', `memory-backend-ram,id=memory0,size=${half}M`],
    ['-numa', 'node,nodeid=0,cpus=0,memdev=memory0'],
    ['-object', `memory-backend-ram,id=memory1,size=${half}M`],
    ['-numa', 'node,nodeid=1,memdev=memory1'],
  ].flat();
}

/** Root ports get a chassis number of their own: QEMU wants (chassis, slot) unique. */
function rootPort(id: string, chassis: number, place: string): string {
  return `pcie-root-port,id=${id},chassis=${chassis},slot=0,${place}`;
}

function common(): readonly string[] {
  return [
    // A function that no driver claims.
    'edu,id=edu,bus=pcie.0,addr=0x2',
    // A NIC alone in its group.
    'e1000e,id=nic,bus=pcie.0,addr=0x3,mac=52:54:00:00:00:03,romfile=',
    // Two functions that share a group: neither can prove that they are kept apart (no ACS).
    rootPort('pair-port', 1, 'bus=pcie.0,addr=0x8'),
    'e1000e,id=pair0,bus=pair-port,addr=0.0,multifunction=on,mac=52:54:00:00:08:00,romfile=',
    'e1000e,id=pair1,bus=pair-port,addr=0.1,mac=52:54:00:00:08:01,romfile=',
    // On a root port that can lose it: device_del of `hot`.
    rootPort('hot-port', 2, 'bus=pcie.0,addr=0x9'),
    'e1000e,id=hot,bus=hot-port,mac=52:54:00:00:09:00,romfile=',
  ];
}

function fullOnly(nvmeImage: string): readonly string[] {
  return [
    'bochs-display,id=display,bus=pcie.0,addr=0x4',
    // A conventional bus: the bridge and all behind it are one group. With MSI on the bridge a 6.12 guest stalls.
    rootPort('bridge-port', 3, 'bus=pcie.0,addr=0xa'),
    'pcie-pci-bridge,id=bridge,bus=bridge-port,msi=off',
    'e1000,id=legacy-nic,bus=bridge,addr=0x1,mac=52:54:00:00:0a:01,romfile=',
    'edu,id=legacy-edu,bus=bridge,addr=0x2',
    // SR-IOV: a NIC with 7 VFs and an NVMe controller with 4.
    rootPort('igb-port', 4, 'bus=pcie.0,addr=0xb'),
    'igb,id=igb,bus=igb-port,mac=52:54:00:00:0b:00,romfile=',
    rootPort('nvme-port', 5, 'bus=pcie.0,addr=0xc'),
    '-device nvme-subsys,id=nvme-subsystem',
    `-drive file=${nvmeImage.replaceAll(',', ',,')},if=none,id=nvme-drive,format=raw,cache=unsafe`,
    'nvme,id=nvme,serial=lab-sriov,bus=nvme-port,subsys=nvme-subsystem,sriov_max_vfs=4,sriov_vq_flexible=8,' +
      'sriov_vi_flexible=4,max_ioqpairs=10,msix_qsize=11',
    'nvme-ns,drive=nvme-drive,bus=nvme,nsid=1',
    // Its variant driver always fails to probe.
    rootPort('faulty-port', 6, 'bus=pcie.0,addr=0xd'),
    'vmxnet3,id=faulty,bus=faulty-port,mac=52:54:00:00:0d:00,romfile=',
    // Another NUMA node.
    'pxb-pcie,id=numa,bus_nr=64,numa_node=1,bus=pcie.0,addr=0xe',
    rootPort('numa-port0', 7, 'bus=numa,addr=0x0'),
    'edu,id=numa-edu,bus=numa-port0',
    rootPort('numa-port1', 8, 'bus=numa,addr=0x1'),
    'e1000e,id=numa-nic,bus=numa-port1,mac=52:54:00:00:40:01,romfile=',
  ];
}

function diskArguments(disk: AttachedDisk, index: number): readonly string[] {
  const slot = 0x10 + index;
  const port = `disk-port-${disk.name}`;
  return [
    ['-drive', `file=${disk.image.replaceAll(',', ',,')},if=none,id=drive-${disk.name},format=raw,cache=writeback`],
    ['-device', rootPort(port, 32 + index, `bus=pcie.0,addr=0x${slot.toString(16)}`)],
    ['-device', `nvme,id=${disk.name},serial=lab-${disk.name},bus=${port},drive=drive-${disk.name}`],
  ].flat();
}
