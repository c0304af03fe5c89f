// The node of the demo: a GPU with its audio function, a ConnectX whose VFs have a variant driver of their own, an NVMe that the
// machine runs from, a NIC with the default route, a management display, and the bridges above them.
import type { KernelSpec, PciSpec } from '../kernel/spec.ts';
import { hostModules, variantModule, vfioModules } from './modules.ts';

/** PCI addresses of the devices by what they are. */
export const demoAddresses = {
  gpu: '0000:01:00.0',
  gpuAudio: '0000:01:00.1',
  connectX: '0000:41:00.0',
  connectXVirtualFunctions: ['0000:41:00.1', '0000:41:00.2', '0000:41:00.3', '0000:41:00.4'],
  rootDisk: '0000:02:00.0',
  spareDisk: '0000:42:00.0',
  uplink: '0000:03:00.0',
  spareNic: '0000:43:00.0',
  display: '0000:05:00.0',
} as const;

/** A PCIe root port with one bus behind it. */
export function rootPort(address: string, secondaryBus: number, numaNode = 0): PciSpec {
  return { address, vendor: '8086', device: '3420', class: '060400', secondaryBus, numaNode };
}

const devices: readonly PciSpec[] = [
  { address: '0000:00:00.0', vendor: '8086', device: '3406', class: '060000', numaNode: 0 },
  rootPort('0000:00:01.0', 0x01),
  rootPort('0000:00:02.0', 0x02),
  rootPort('0000:00:03.0', 0x03),
  rootPort('0000:00:05.0', 0x05),
  { address: '0000:00:1f.0', vendor: '8086', device: '2918', class: '060100', group: 'southbridge', numaNode: 0 },
  { address: '0000:00:1f.3', vendor: '8086', device: '2930', class: '0c0500', group: 'southbridge', numaNode: 0 },
  rootPort('0000:40:01.0', 0x41, 1),
  rootPort('0000:40:02.0', 0x42, 1),
  rootPort('0000:40:03.0', 0x43, 1),
  {
    address: demoAddresses.gpu,
    vendor: '10de',
    device: '2204',
    subsystemVendor: '10de',
    subsystemDevice: '1467',
    class: '030000',
    parent: '0000:00:01.0',
    group: 'gpu',
    numaNode: 0,
    slot: '1',
    bootVga: false,
    children: [{ kind: 'drm', card: 'card1', render: 'renderD128' }],
  },
  {
    address: demoAddresses.gpuAudio,
    vendor: '10de',
    device: '1aef',
    subsystemVendor: '10de',
    subsystemDevice: '1467',
    class: '040300',
    parent: '0000:00:01.0',
    group: 'gpu',
    numaNode: 0,
  },
  {
    address: demoAddresses.rootDisk,
    vendor: '144d',
    device: 'a808',
    subsystemVendor: '144d',
    subsystemDevice: 'a801',
    class: '010802',
    parent: '0000:00:02.0',
    numaNode: 0,
    children: [
      {
        kind: 'nvme',
        controller: 'nvme0',
        serial: 'S4EVNX0R100001',
        model: 'Samsung SSD 970 EVO Plus 1TB',
        namespaces: [
          {
            name: 'nvme0n1',
            number: '259:0',
            partitions: [
              { name: 'nvme0n1p1', number: '259:1', udev: { ID_FS_USAGE: 'filesystem', ID_FS_TYPE: 'vfat' } },
              { name: 'nvme0n1p2', number: '259:2', udev: { ID_FS_USAGE: 'filesystem', ID_FS_TYPE: 'ext4' } },
            ],
          },
        ],
      },
    ],
  },
  {
    address: demoAddresses.uplink,
    vendor: '8086',
    device: '10d3',
    subsystemVendor: '8086',
    subsystemDevice: 'a01f',
    class: '020000',
    parent: '0000:00:03.0',
    numaNode: 0,
    acpiIndex: 1,
    children: [{ kind: 'net', name: 'eno1', up: true, ipv4: ['10.0.2.15/24'], ipv6: ['fe80::5054:ff:fe00:1/64'] }],
  },
  {
    address: demoAddresses.display,
    vendor: '1a03',
    device: '2000',
    class: '030000',
    parent: '0000:00:05.0',
    numaNode: 0,
    bootVga: true,
    children: [{ kind: 'drm', card: 'card0', framebuffer: 'fb0' }],
  },
  {
    address: demoAddresses.connectX,
    vendor: '15b3',
    device: '101d',
    subsystemVendor: '15b3',
    subsystemDevice: '0016',
    class: '020000',
    parent: '0000:40:01.0',
    numaNode: 1,
    slot: '4',
    serialNumber: '506b4b0300c3f21a',
    sriov: { total: 8, vfDevice: '101e', offset: 1, stride: 1, vfInterfaces: 'ens4v' },
    children: [
      { kind: 'net', name: 'ens4np0', up: true },
      { kind: 'infiniband', name: 'mlx5_0', verbs: 'uverbs0' },
    ],
  },
  {
    address: demoAddresses.spareDisk,
    vendor: '8086',
    device: '0a54',
    subsystemVendor: '8086',
    subsystemDevice: '4702',
    class: '010802',
    parent: '0000:40:02.0',
    numaNode: 1,
    children: [
      {
        kind: 'nvme',
        controller: 'nvme1',
        serial: 'PHLJ000200A31P0FGN',
        model: 'INTEL SSDPE2KX010T8',
        namespaces: [{ name: 'nvme1n1', number: '259:3' }],
      },
    ],
  },
  {
    address: demoAddresses.spareNic,
    vendor: '8086',
    device: '10d3',
    subsystemVendor: '8086',
    subsystemDevice: 'a01f',
    class: '020000',
    parent: '0000:40:03.0',
    numaNode: 1,
    children: [{ kind: 'net', name: 'ens6' }],
  },
];

/** The demo's node. */
export const demoNode: KernelSpec = {
  release: '6.12.95-amd64',
  devices,
  modules: [
    ...hostModules,
    ...vfioModules,
    variantModule('mlx5_vfio_pci', ['vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*'], {
      depends: ['mlx5_core'],
      file: 'kernel/drivers/vfio/pci/mlx5/mlx5-vfio-pci.ko',
    }),
  ],
  mounts: [
    { number: '259:2', source: '/dev/nvme0n1p2', target: '/', type: 'ext4' },
    { number: '259:1', source: '/dev/nvme0n1p1', target: '/boot/efi', type: 'vfat' },
    { number: '0:21', source: 'proc', target: '/proc', type: 'proc' },
    { number: '0:22', source: 'sysfs', target: '/sys', type: 'sysfs' },
    { number: '0:23', source: 'tmpfs', target: '/run', type: 'tmpfs' },
  ],
  routes: [
    { family: 4, destination: 'default', gateway: '10.0.2.2', interface: 'eno1' },
    { family: 4, destination: '10.0.2.0/24', interface: 'eno1' },
  ],
  files: {
    '/etc/modprobe.d/blacklist.conf': 'blacklist pcspkr\n',
    '/var/lib/kubelet/device-plugins': { directory: {} },
  },
};
