// What a node of the lab needs beside its full machine to have NICs on both of its NUMA nodes: the machine has one on node 1, and
// everything on its first host bridge is on none. The firmware tells the kernel of a node by the bridge (_PXM of a pxb).

/** QEMU's ids of the NICs added, both on NUMA node 0. */
export const NODE_0_NICS = ['zero0', 'zero1'] as const;

/** Arguments of QEMU for a host bridge on NUMA node 0 with these NICs, each alone in its IOMMU group. */
export const NUMA_QEMU: readonly string[] = [
  'pxb-pcie,id=numa-zero,bus_nr=128,numa_node=0,bus=pcie.0,addr=0xf',
  ...NODE_0_NICS.flatMap((id, index) => [
    `pcie-root-port,id=${id}-port,chassis=${20 + index},slot=0,bus=numa-zero,addr=0x${index}`,
    `e1000e,id=${id},bus=${id}-port,mac=52:54:00:00:80:0${index},romfile=`,
  ]),
].flatMap((device) => ['-device', device]);
