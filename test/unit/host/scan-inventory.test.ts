import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { HostUnreadable } from '../../../src/host/scan-view.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { configWithSerialNumber, createHostTree, memorySink } from '../../support/host-tree.ts';

const plain = { wantSerialNumbers: false };

function setUp() {
  const files = createMemoryFiles();
  const tree = createHostTree(memorySink(files));
  const scanner = createScanner({ files, paths: hostPaths() });
  const device = async (address: string) => (await scanner.scan(plain)).devices.get(address);
  return { files, tree, scanner, device };
}

describe('what a PCI function shows', () => {
  it('is read from its attributes and links', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({
      address: '0000:3b:00.0',
      vendor: '15b3',
      device: '1021',
      subsystemVendor: '15b3',
      subsystemDevice: '0023',
      classCode: '020000',
      driver: 'mlx5_core',
      iommuGroup: 12,
      numaNode: 1,
      totalVirtualFunctions: 8,
      acpiIndex: 4,
      interfaces: ['ens1'],
      config: configWithSerialNumber('b8cef60300aa11ff'),
    });
    tree.addSlot('2', '0000:3b:00');
    const { devices, unread } = await scanner.scan({ wantSerialNumbers: true });
    expect(devices.get('0000:3b:00.0')).toEqual({
      bus: 'pci',
      address: '0000:3b:00.0',
      modalias: 'pci:v000015B3d00001021sv000015B3sd00000023bc02sc00i00',
      vendor: '15b3',
      device: '1021',
      subsystemVendor: '15b3',
      subsystemDevice: '0023',
      classCode: '020000',
      driver: 'mlx5_core',
      iommuGroup: 12,
      numaNode: 1,
      physicalFunction: null,
      virtualFunctions: [],
      totalVirtualFunctions: 8,
      isBridge: false,
      serialNumber: 'b8-ce-f6-03-00-aa-11-ff',
      diskSerial: null,
      acpiIndex: 4,
      slot: '2',
      interfaces: ['ens1'],
      vfioDevice: null,
      guarded: null,
    });
    expect(unread).toEqual([]);
  });

  it('has no NUMA node for -1, no driver when unbound, no group without the link', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:00:1f.0', numaNode: -1 });
    expect(await device('0000:00:1f.0')).toMatchObject({ numaNode: null, driver: null, iommuGroup: null });
  });

  it('is a bridge by its secondary bus or by its class', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({ address: '0000:00:01.0', classCode: '060400' });
    tree.addFunction({ address: '0000:00:02.0', classCode: '068000', isBridge: true });
    tree.addFunction({ address: '0000:00:03.0', classCode: '060100' });
    const { devices } = await scanner.scan(plain);
    expect([...devices.values()].map((device) => device.isBridge)).toEqual([true, true, false]);
  });

  it('shows the VFIO device of the moment', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:3b:00.0', driver: 'vfio-pci', vfioDevice: 'vfio3' });
    expect((await device('0000:3b:00.0'))?.vfioDevice).toBe('vfio3');
    tree.setVfioDevice('0000:3b:00.0', 'vfio7');
    expect((await device('0000:3b:00.0'))?.vfioDevice).toBe('vfio7');
  });
});

describe('SR-IOV', () => {
  it('gives a PF its VFs by index, and VFs the slot of their PF', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({ address: '0000:3b:00.0', totalVirtualFunctions: 12 });
    tree.addSlot('5', '0000:3b:00');
    for (const address of ['0000:3b:01.2', '0000:3b:01.0']) {
      tree.addFunction({ address, physicalFunction: '0000:3b:00.0' });
    }
    const { devices } = await scanner.scan(plain);
    expect(devices.get('0000:3b:00.0')?.virtualFunctions).toEqual(['0000:3b:01.2', '0000:3b:01.0']);
    expect(devices.get('0000:3b:01.0')).toMatchObject({ physicalFunction: '0000:3b:00.0', slot: '5' });
  });

  it('knows a VF whose physfn link is not there yet, and one whose virtfn link is gone already', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:3b:00.0', totalVirtualFunctions: 2 });
    tree.addFunction({ address: '0000:3b:00.1', physicalFunction: '0000:3b:00.0' });
    tree.addFunction({ address: '0000:3b:00.2', physicalFunction: '0000:3b:00.0' });
    files.drop('/sys/bus/pci/devices/0000:3b:00.1/physfn');
    const early = await scanner.scan(plain);
    expect(early.devices.get('0000:3b:00.1')?.physicalFunction).toBe('0000:3b:00.0');
    files.drop('/sys/bus/pci/devices/0000:3b:00.0/virtfn0');
    files.drop('/sys/bus/pci/devices/0000:3b:00.0/virtfn1');
    const late = await scanner.scan(plain);
    expect(late.devices.get('0000:3b:00.0')?.virtualFunctions).toEqual(['0000:3b:00.2']);
  });
});

describe('IOMMU groups', () => {
  it('have their members, also those of buses we do not scan, and their direct regions', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.1', iommuGroup: 3 });
    tree.addFunction({ address: '0000:01:00.0', iommuGroup: 3 });
    tree.sink.link('/sys/kernel/iommu_groups/3/devices/3f000000.dma', '../../../../devices/platform/3f000000.dma');
    tree.setReservedRegions(
      3,
      '0x7d800000 0x7fffffff direct\n0x1000 0x1fff direct-relaxable\n0xfee00000 0xfeefffff msi\n',
    );
    const { groups, kernel } = await scanner.scan(plain);
    expect(groups.get(3)).toEqual({
      number: 3,
      members: ['0000:01:00.0', '0000:01:00.1', '3f000000.dma'],
      directRegions: ['0x7d800000 0x7fffffff direct'],
    });
    expect(kernel.iommu).toBe(true);
  });

  it('made up by no-IOMMU mode are none', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0', iommuGroup: 0, driver: 'vfio-pci', vfioDevice: 'noiommu-vfio0' });
    files.put('/sys/kernel/iommu_groups/0/name', 'vfio-noiommu\n');
    files.put('/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'Y\n');
    const { devices, groups, kernel } = await scanner.scan(plain);
    expect(devices.get('0000:01:00.0')).toMatchObject({ iommuGroup: null, vfioDevice: 'noiommu-vfio0' });
    expect(groups.size).toBe(0);
    expect(kernel).toMatchObject({ iommu: false, noIommuMode: true });
  });

  it('follow a change of members', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0', iommuGroup: 3 });
    await scanner.scan(plain);
    tree.addFunction({ address: '0000:01:00.1', iommuGroup: 3 });
    tree.setReservedRegions(3, '0x1000 0x1fff direct\n');
    const { groups } = await scanner.scan(plain);
    expect(groups.get(3)).toMatchObject({ members: ['0000:01:00.0', '0000:01:00.1'] });
    expect(groups.get(3)?.directRegions).toHaveLength(1);
  });

  it('that come up during the scan are found', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0' });
    let listed = false;
    files.setFault((operation, path) => {
      if (operation === 'scandir' && path === '/sys/bus/pci/devices' && !listed) {
        listed = true;
        tree.addFunction({ address: '0000:02:00.0', iommuGroup: 9 });
      }
      return null;
    });
    const { devices, groups } = await scanner.scan(plain);
    expect(devices.get('0000:02:00.0')?.iommuGroup).toBe(9);
    expect(groups.get(9)?.members).toEqual(['0000:02:00.0']);
  });
});

describe('other buses', () => {
  it('list platform devices of a group, or asked for, and no others', async () => {
    const { tree, scanner } = setUp();
    tree.addPlatformDevice('fe300000.ethernet', 'of:NethernetT(null)Cxlnx,axi', 7);
    tree.addPlatformDevice('pcspkr', 'platform:pcspkr');
    tree.addPlatformDevice('gpio-keys', 'platform:gpio-keys');
    const { devices } = await scanner.scan({ ...plain, alsoList: new Set(['gpio-keys', 'absent']) });
    expect([...devices.keys()]).toEqual(['fe300000.ethernet', 'gpio-keys']);
    expect(devices.get('fe300000.ethernet')).toMatchObject({
      bus: 'platform',
      modalias: 'of:NethernetT(null)Cxlnx,axi',
      iommuGroup: 7,
      vendor: null,
      classCode: null,
    });
  });

  it('read cdx ids and fsl-mc modalias', async () => {
    const { files, scanner } = setUp();
    for (const [name, text] of Object.entries({ vendor: '0x10ee', device: '0x1', class: '0x020000' })) {
      files.put(`/sys/bus/cdx/devices/cdx-00:00/${name}`, `${text}\n`);
    }
    files.put('/sys/bus/fsl-mc/devices/dpni.1/modalias', 'fsl-mc:v00001957ddpni\n');
    const { devices } = await scanner.scan(plain);
    expect(devices.get('cdx-00:00')).toMatchObject({ bus: 'cdx', vendor: '10ee', device: '0001', classCode: '020000' });
    expect(devices.get('dpni.1')).toMatchObject({ bus: 'fsl-mc', modalias: 'fsl-mc:v00001957ddpni', vendor: null });
  });
});

describe('scanning again', () => {
  it('reads no attribute of a device that is the same, and sees its new driver', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0', driver: 'e1000e', iommuGroup: 1 });
    await scanner.scan(plain);
    const read: string[] = [];
    files.setFault((operation, path) => (operation === 'open' && path.includes('/devices/') && read.push(path), null));
    tree.setDriver('0000:01:00.0', 'vfio-pci');
    const { devices } = await scanner.scan(plain);
    expect(read).toEqual([]);
    expect(devices.get('0000:01:00.0')?.driver).toBe('vfio-pci');
  });

  it('notices another device at the same address', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:01:00.0', device: '10d3' });
    expect((await device('0000:01:00.0'))?.device).toBe('10d3');
    tree.removeFunction('0000:01:00.0');
    expect(await device('0000:01:00.0')).toBeUndefined();
    tree.addFunction({ address: '0000:01:00.0', device: '1572' });
    expect((await device('0000:01:00.0'))?.device).toBe('1572');
  });

  it('drops a device that goes while it is read', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0' });
    tree.addFunction({ address: '0000:02:00.0' });
    files.setFault((operation, path) => {
      if (operation === 'open' && path.endsWith('0000:01:00.0/device')) tree.removeFunction('0000:01:00.0');
      return null;
    });
    const { devices, unread } = await scanner.scan(plain);
    expect([...devices.keys()]).toEqual(['0000:02:00.0']);
    expect(unread).toEqual([]);
  });

  it('reads again what it could not read before, and says so meanwhile', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0', vendor: '8086' });
    files.setFault((_, path) => (path.endsWith('0000:01:00.0/vendor') ? 'EACCES' : null));
    const first = await scanner.scan(plain);
    expect(first.devices.get('0000:01:00.0')?.vendor).toBeNull();
    expect(first.unread).toEqual([{ source: '/sys/bus/pci/devices/0000:01:00.0/vendor', why: 'open: EACCES' }]);
    files.setFault(null);
    const second = await scanner.scan(plain);
    expect(second.devices.get('0000:01:00.0')?.vendor).toBe('8086');
    expect(second.unread).toEqual([]);
  });
});

describe('a host that cannot be seen', () => {
  it('is an error for a live host and unread for a copy', async () => {
    const files = createMemoryFiles();
    await expect(createScanner({ files, paths: hostPaths() }).scan(plain)).rejects.toThrow(HostUnreadable);
    const copy = await createScanner({ files, paths: hostPaths('/copy', 'copy') }).scan(plain);
    expect(copy.devices.size).toBe(0);
    expect(copy.unread.map(({ source }) => source)).toEqual(['/copy/sys/bus', '/copy/proc/sys/kernel/osrelease']);
  });

  it.each([
    'bus/pci/devices',
    '0000:01:00.0',
    '0000:01:00.0/driver',
    '0000:01:00.0/iommu_group',
    '0000:01:00.0/physfn',
    '0000:01:00.0/vfio-dev',
    'iommu_groups',
    'iommu_groups/3/devices',
    'class/net',
  ])('is one whose %s refuses to be read: nothing may look absent', async (part) => {
    const { files, tree, scanner } = setUp();
    tree.addFunction({ address: '0000:01:00.0', driver: 'vfio-pci', vfioDevice: 'vfio0', iommuGroup: 3 });
    await scanner.scan(plain);
    files.setFault((_, path) => (path.endsWith(`/${part}`) ? 'EACCES' : null));
    const fresh = createScanner({ files, paths: hostPaths() });
    await expect(fresh.scan(plain)).rejects.toThrow(/EACCES.*unknown until it can/);
    const copy = createScanner({ files, paths: hostPaths('/', 'copy') });
    expect((await copy.scan(plain)).unread.length).toBeGreaterThan(0);
  });
});

describe('the kernel', () => {
  it('is described by its release, boot and device nodes', async () => {
    const { files, scanner } = setUp();
    files.put('/dev/iommu', { node: 'char', number: '10:125' });
    expect((await scanner.scan(plain)).kernel).toEqual({
      release: '6.12.0-test',
      bootId: '0b6cbd5e-6ed8-4d94-8f19-6f2b1fbd1a10',
      iommu: false,
      iommufd: true,
      noIommuMode: false,
    });
  });

  it('of a copy has the release it was told and no boot', async () => {
    const files = createMemoryFiles();
    createHostTree(memorySink(files));
    const { kernel } = await createScanner({ files, paths: hostPaths('/', 'copy'), release: '5.10.0' }).scan(plain);
    expect(kernel).toMatchObject({ release: '5.10.0', bootId: null });
  });
});
