// The machine of the live lab as the simulation shows it: the same devices under the same names, the same groups, the same
// ordinary and variant drivers, so that what is seen on one can be compared with the other.
import type { KernelSpec, PciSpec } from '../kernel/spec.ts';
import { rootPort } from './demo-node.ts';
import { hostModules, variantModule, vfioModules } from './modules.ts';

/** PCI addresses by the lab's names. */
export const labAddresses = {
  edu: '0000:00:02.0',
  nic: '0000:00:03.0',
  uplink: '0000:00:05.0',
  pair0: '0000:01:00.0',
  pair1: '0000:01:00.1',
  hot: '0000:02:00.0',
  bridge: '0000:03:00.0',
  'legacy-nic': '0000:04:01.0',
  'legacy-edu': '0000:04:02.0',
  igb: '0000:05:00.0',
  nvme: '0000:06:00.0',
  faulty: '0000:07:00.0',
  'numa-edu': '0000:41:00.0',
  'numa-nic': '0000:42:00.0',
} as const;

const at = labAddresses;

function e1000e(address: string, name: string, more: Partial<PciSpec> = {}): PciSpec {
  return {
    address,
    vendor: '8086',
    device: '10d3',
    subsystemVendor: '8086',
    subsystemDevice: '0000',
    class: '020000',
    children: [{ kind: 'net', name }],
    ...more,
  };
}

function edu(address: string, more: Partial<PciSpec> = {}): PciSpec {
  return {
    address,
    vendor: '1234',
    device: '11e8',
    subsystemVendor: '1af4',
    subsystemDevice: '1100',
    class: '00ff00',
    ...more,
  };
}

const behindBridge = { parent: at.bridge, group: 'bridge' };

const devices: readonly PciSpec[] = [
  { address: '0000:00:00.0', vendor: '8086', device: '29c0', class: '060000' },
  edu(at.edu),
  e1000e(at.nic, 'eth1'),
  {
    address: at.uplink,
    vendor: '1af4',
    device: '1041',
    subsystemVendor: '1af4',
    subsystemDevice: '1100',
    class: '020000',
    children: [
      {
        kind: 'virtio',
        name: 'virtio0',
        children: [{ kind: 'net', name: 'eth0', up: true, ipv4: ['10.0.2.15/24'] }],
      },
    ],
  },
  rootPort('0000:00:08.0', 0x01),
  rootPort('0000:00:09.0', 0x02),
  rootPort('0000:00:0a.0', 0x03),
  rootPort('0000:00:0b.0', 0x05),
  rootPort('0000:00:0c.0', 0x06),
  rootPort('0000:00:0d.0', 0x07),
  { address: '0000:00:1f.0', vendor: '8086', device: '2918', class: '060100', group: 'lpc' },
  { address: '0000:00:1f.2', vendor: '8086', device: '2922', class: '010601', group: 'lpc' },
  { address: '0000:00:1f.3', vendor: '8086', device: '2930', class: '0c0500', group: 'lpc' },
  rootPort('0000:40:00.0', 0x41, 1),
  rootPort('0000:40:01.0', 0x42, 1),
  e1000e(at.pair0, 'eth2', { parent: '0000:00:08.0', group: 'pair' }),
  e1000e(at.pair1, 'eth3', { parent: '0000:00:08.0', group: 'pair' }),
  e1000e(at.hot, 'eth4', { parent: '0000:00:09.0' }),
  {
    address: at.bridge,
    vendor: '1b36',
    device: '000e',
    class: '060400',
    parent: '0000:00:0a.0',
    secondaryBus: 4,
    conventional: true,
    group: 'bridge',
  },
  {
    address: at['legacy-nic'],
    vendor: '8086',
    device: '100e',
    class: '020000',
    children: [{ kind: 'net', name: 'eth5' }],
    ...behindBridge,
  },
  edu(at['legacy-edu'], behindBridge),
  {
    address: at.igb,
    vendor: '8086',
    device: '10c9',
    subsystemVendor: '8086',
    subsystemDevice: 'a02b',
    class: '020000',
    parent: '0000:00:0b.0',
    children: [{ kind: 'net', name: 'eth6' }],
    sriov: { total: 7, vfDevice: '10ca', offset: 128, stride: 2, vfInterfaces: 'vf' },
  },
  {
    address: at.nvme,
    vendor: '1b36',
    device: '0010',
    subsystemVendor: '1af4',
    subsystemDevice: '1100',
    class: '010802',
    parent: '0000:00:0c.0',
    children: [
      {
        kind: 'nvme',
        controller: 'nvme0',
        serial: 'lab-sriov',
        subsystem: 'nvme-subsys0',
        namespaces: [{ name: 'nvme0n1', number: '259:1' }],
      },
    ],
    sriov: { total: 4, vfDevice: '0010', offset: 1, stride: 1 },
  },
  {
    address: at.faulty,
    vendor: '15ad',
    device: '07b0',
    subsystemVendor: '15ad',
    subsystemDevice: '07b0',
    class: '020000',
    parent: '0000:00:0d.0',
    children: [{ kind: 'net', name: 'eth7' }],
  },
  edu(at['numa-edu'], { parent: '0000:40:00.0', numaNode: 1 }),
  e1000e(at['numa-nic'], 'eth8', { parent: '0000:40:01.0', numaNode: 1 }),
];

/** The lab's machine with that kernel. Variant drivers are there from 6.1 on, as in the lab. */
export function labNode(release: string): KernelSpec {
  const old = release.startsWith('5.');
  const edus = ['vfio_pci:v00001234d000011E8sv*sd*bc*sc*i*'];
  const variants = [
    variantModule('e1000e_vfio_pci', ['vfio_pci:v00008086d000010D3sv*sd*bc*sc*i*'], { driver: 'e1000e-vfio' }),
    variantModule('edu_first_vfio_pci', edus),
    variantModule('edu_second_vfio_pci', edus, { driver: 'edu-second-vfio' }),
    variantModule('igbvf_vfio_pci', ['vfio_pci:v00008086d000010CAsv*sd*bc*sc*i*']),
    variantModule('display_vfio_pci', ['vfio_pci:v00001234d*sv*sd*bc03sc*i*'], { driver: 'display-vfio' }),
    variantModule('nvme_class_vfio_pci', ['vfio_pci:v*d*sv*sd*bc01sc08i02*'], { driver: 'nvme-class-vfio' }),
    faultyModule(),
  ];
  return {
    release,
    devices,
    // The lab loads its ordinary drivers itself; it has no udev.
    udev: false,
    modules: [
      ...hostModules.map((module) => ({ ...module, atBoot: labDrivers.includes(module.name) })),
      {
        name: 'vmxnet3',
        atBoot: true,
        aliases: ['pci:v000015ADd000007B0sv*sd*bc*sc*i*'],
        drivers: [{ bus: 'pci', name: 'vmxnet3' }],
      },
      { name: 'pci_stub', drivers: [{ bus: 'pci', name: 'pci-stub', managesDma: true, ids: [] }] },
      ...(old ? vfioModules.map((module) => ({ ...module, aliases: [] })) : vfioModules),
      ...(old ? [] : variants),
    ],
    mounts: [{ number: '0:20', source: 'overlay', target: '/', type: 'overlay' }],
    routes: [{ family: 4, destination: 'default', gateway: '10.0.2.2', interface: 'eth0' }],
  };
}

const labDrivers = ['virtio_pci', 'e1000e', 'e1000', 'igb', 'nvme'];

/** Its probe always fails with EIO. */
function faultyModule(): KernelSpec['modules'][number] {
  const module = variantModule('faulty_vfio_pci', ['vfio_pci:v000015ADd000007B0sv*sd*bc*sc*i*']);
  return {
    ...module,
    drivers: [{ bus: 'pci', name: 'faulty-vfio', vfio: true, ids: [], probeErrno: 'EIO' }],
  };
}
