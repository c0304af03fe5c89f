// What must not be refused: without these a proof that refuses everything would pass all the others.
import { describe, expect, it } from 'vitest';
import { addNic, addNvme, subject } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';

const cases: readonly { readonly name: string; readonly make: (host: ProofHost) => void }[] = [
  { name: 'an empty disk that udev has probed', make: (host) => void addNvme(host) },
  {
    name: 'an empty disk beside one that is mounted, claimed and open',
    make(host) {
      addNvme(host);
      const other = host.device({ address: '0000:5e:00.0', classCode: '010802', driver: 'nvme', idle: true });
      host.block('nvme1n1', { under: `${other}/nvme/nvme1`, number: '259:5', udev: { ID_FS_TYPE: 'ext4' } });
      host.block('dm-0', { number: '253:0', slaves: ['nvme1n1'], mapName: 'x' });
      host.mount('253:0', '/x', 'ext4', '/dev/mapper/x');
      host.process(4711, 'dd');
      host.open(4711, '/dev/nvme1n1', 'block', '259:5');
    },
  },
  {
    name: 'an NVMe controller without namespaces',
    make: (host) => void host.device({ address: subject, classCode: '010802', driver: 'nvme' }),
  },
  {
    name: 'a card reader without a card',
    make(host) {
      const path = host.device({ address: subject, classCode: '0c0330', driver: 'xhci_hcd' });
      host.block('sdd', { under: `${path}/usb1/block`, number: '8:48', sectors: 0, udev: null });
    },
  },
  { name: 'a NIC whose interface is down', make: (host) => addNic(host, '0x1002') },
  {
    name: 'a NIC that is up with a link-local address, where all IPv4 addresses have a place',
    make(host) {
      addNic(host);
      host.address6('fe8000000000000000000000fe000001 02 40 20 80     eth1');
      host.interface('eth0', { under: '/sys/devices/pci0000:00/0000:00:03.0' });
      host.address4('192.0.2.7');
      host.route4('eth0', '000200C0', '00FFFFFF');
      host.route4('eth0', '00000000', '00000000');
    },
  },
  {
    name: 'a NIC beside a bridge of others',
    make(host) {
      addNic(host);
      host.interface('br0', {});
      host.interface('eth0', { under: '/sys/devices/pci0000:00/0000:00:03.0', master: 'br0' });
      host.route4('br0', '00000000', '00000000');
    },
  },
  {
    name: 'a NIC on VFIO',
    make: (host) =>
      void host.device({ address: subject, classCode: '020000', driver: 'vfio-pci', vfioDevice: 'vfio0' }),
  },
  { name: 'a NIC without driver', make: (host) => void host.device({ address: subject, driver: null }) },
  {
    name: 'an NVMe VF without driver',
    make: (host) =>
      void host.device({ address: subject, classCode: '010802', driver: null, physicalFunction: '0000:3a:00.0' }),
  },
  {
    name: 'a GPU that nobody uses, beside one that shows the console',
    make(host) {
      host.device({ address: subject, classCode: '030000', driver: 'amdgpu' });
      const other = host.device({ address: '0000:03:00.0', classCode: '030000', driver: 'ast', idle: true });
      host.files.put(`${other}/boot_vga`, '1\n');
      host.files.put('/proc/fb', '0 astdrmfb\n');
      host.files.put(`${other}/graphics/fb0`, { directory: {} });
      host.files.put('/sys/class/graphics/fb0', { link: `${other}/graphics/fb0` });
      host.files.put(`${other}/drm/card0`, { directory: {} });
      host.charNode('226:0', `${other}/drm/card0`);
      host.process(4711, 'Xorg');
      host.open(4711, '/dev/dri/card0', 'char', '226:0');
    },
  },
  {
    name: 'an add-in card that calls itself a system peripheral',
    make(host) {
      host.device({ address: '0000:00:01.0', classCode: '060400', isBridge: true, driver: 'pcieport', idle: true });
      host.device({ address: subject, behind: '0000:00:01.0', vendor: '10ee', classCode: '058000', driver: 'xdma' });
    },
  },
  {
    name: 'a data streaming accelerator on a root bus',
    make: (host) =>
      void host.device({ address: subject, vendor: '8086', device: '0b25', classCode: '088000', driver: 'idxd' }),
  },
];

describe('no finding, no holder, nothing unread', () => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', async (_name, { make }) => {
    const host = createProofHost();
    make(host);
    expect(await host.prove()).toEqual({ findings: [], holders: [], unread: [] });
  });
});
