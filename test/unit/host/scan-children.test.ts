import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createHostTree, memorySink } from '../../support/host-tree.ts';

const plain = { wantSerialNumbers: false };

function setUp() {
  const files = createMemoryFiles();
  const tree = createHostTree(memorySink(files));
  const scanner = createScanner({ files, paths: hostPaths() });
  const device = async (address: string) => (await scanner.scan(plain)).devices.get(address);
  return { files, tree, scanner, device };
}

describe('what hangs below devices', () => {
  it('is found through virtio, behind bridges and for the nearest device alone', async () => {
    const { tree, scanner } = setUp();
    tree.addFunction({ address: '0000:00:1c.0', classCode: '060400' });
    tree.addFunction({
      address: '0000:02:00.0',
      behind: '0000:00:1c.0',
      virtio: 'virtio3',
      interfaces: ['eth1', 'eth0'],
    });
    tree.sink.link('/sys/class/net/lo', '../../devices/virtual/net/lo');
    const { devices } = await scanner.scan(plain);
    expect(devices.get('0000:02:00.0')?.interfaces).toEqual(['eth0', 'eth1']);
    expect(devices.get('0000:00:1c.0')?.interfaces).toEqual([]);
  });

  it('is found beside the file that bonding keeps among the interfaces', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:02:00.0', interfaces: ['eth0'] });
    tree.sink.file('/sys/class/net/bonding_masters', 'bond0\n');
    expect((await device('0000:02:00.0'))?.interfaces).toEqual(['eth0']);
  });

  it('tells the serial of an NVMe controller, with multipath and without', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:04:00.0', classCode: '010802' });
    tree.addFunction({ address: '0000:05:00.0', classCode: '010802' });
    tree.addNvme('0000:04:00.0', 'nvme0', 'S4EV', false);
    tree.addNvme('0000:05:00.0', 'nvme1', 'S5XX 01', true);
    expect((await device('0000:04:00.0'))?.diskSerial).toBe('S4EV');
    expect((await device('0000:05:00.0'))?.diskSerial).toBe('S5XX 01');
  });

  it('tells the serials of all disks of a controller, or none', async () => {
    const { tree, device } = setUp();
    tree.addFunction({ address: '0000:06:00.0', classCode: '010700' });
    tree.addScsiDisk('0000:06:00.0', 'sda', ' ZA1234 ');
    expect((await device('0000:06:00.0'))?.diskSerial).toBe('ZA1234');
    tree.addScsiDisk('0000:06:00.0', 'sdb', 'WX99');
    tree.addFunction({ address: '0000:07:00.0', classCode: '010700' });
    tree.addScsiDisk('0000:07:00.0', 'sdc', null);
    expect((await device('0000:07:00.0'))?.diskSerial).toBeNull();
  });

  it('never asks a virtio disk for its serial, which the device may not answer', async () => {
    const { tree, files, device } = setUp();
    tree.addFunction({ address: '0000:08:00.0', classCode: '010000' });
    tree.addVirtioDisk('0000:08:00.0', 'virtio1', 'vda');
    const read: string[] = [];
    files.setFault((operation, path) => (operation === 'open' && read.push(path), null));
    expect((await device('0000:08:00.0'))?.diskSerial).toBeNull();
    expect(read.filter((path) => path.includes('/vda/serial'))).toEqual([]);
  });
});
