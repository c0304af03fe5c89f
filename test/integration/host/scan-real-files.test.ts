// The scan on real files: a tree on disk through the real adapter, and this machine's own /sys, read-only.
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import type { Clock, Files } from '../../../src/runtime/ports.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import {
  configWithSerialNumber,
  createHostTree,
  directorySink,
  memorySink,
  temporaryRoot,
  type HostTree,
} from '../../support/host-tree.ts';

const wanted = { wantSerialNumbers: true };

function buildHost(tree: HostTree): void {
  tree.addFunction({ address: '0000:00:1c.0', classCode: '060400', driver: 'pcieport', iommuGroup: 1, isBridge: true });
  tree.addFunction({
    address: '0000:3b:00.0',
    behind: '0000:00:1c.0',
    driver: 'mlx5_core',
    iommuGroup: 12,
    numaNode: 1,
    totalVirtualFunctions: 4,
    interfaces: ['ens1'],
    config: configWithSerialNumber('b8cef60300aa11ff'),
  });
  for (const address of ['0000:3b:00.1', '0000:3b:00.2']) {
    tree.addFunction({ address, behind: '0000:00:1c.0', physicalFunction: '0000:3b:00.0', iommuGroup: 13 });
  }
  tree.setDriver('0000:3b:00.1', 'vfio-pci');
  tree.setVfioDevice('0000:3b:00.1', 'vfio0');
  tree.addFunction({ address: '0000:00:04.0', classCode: '010802', driver: 'nvme' });
  tree.addNvme('0000:00:04.0', 'nvme0', 'S4EV', true);
  tree.addFunction({ address: '0000:00:05.0', classCode: '010700' });
  tree.addScsiDisk('0000:00:05.0', 'sda', 'ZA12');
  tree.addPlatformDevice('fe300000.ethernet', 'of:NethernetT(null)Cxlnx,axi', 20);
  tree.addSlot('3', '0000:3b:00');
}

describe('a tree on disk', () => {
  let root: ReturnType<typeof temporaryRoot>;
  let tree: HostTree;
  beforeEach(() => {
    root = temporaryRoot();
    tree = createHostTree(directorySink(root.path));
    buildHost(tree);
  });
  afterEach(() => root.remove());

  it('is scanned to the same inventory as in memory', async () => {
    const memory = createMemoryFiles();
    buildHost(createHostTree(memorySink(memory)));
    const onDisk = await createScanner({ files: createFiles(), paths: hostPaths(root.path) }).scan(wanted);
    const inMemory = await createScanner({ files: memory, paths: hostPaths() }).scan(wanted);
    expect(onDisk).toEqual(inMemory);
    expect(onDisk.unread).toEqual([]);
    expect(onDisk.devices.get('0000:3b:00.0')).toMatchObject({
      serialNumber: 'b8-ce-f6-03-00-aa-11-ff',
      virtualFunctions: ['0000:3b:00.1', '0000:3b:00.2'],
      interfaces: ['ens1'],
      slot: '3',
    });
  });

  it('is followed through binds, unplug and replacement', async () => {
    const scanner = createScanner({ files: createFiles(), paths: hostPaths(root.path) });
    const see = async () => (await scanner.scan({ wantSerialNumbers: false })).devices;
    expect((await see()).get('0000:3b:00.1')).toMatchObject({ driver: 'vfio-pci', vfioDevice: 'vfio0' });
    tree.setVfioDevice('0000:3b:00.1', null);
    tree.setDriver('0000:3b:00.1', null);
    expect((await see()).get('0000:3b:00.1')).toMatchObject({ driver: null, vfioDevice: null });
    tree.removeFunction('0000:00:05.0');
    expect((await see()).has('0000:00:05.0')).toBe(false);
    tree.addFunction({ address: '0000:00:05.0', device: '1234' });
    expect((await see()).get('0000:00:05.0')?.device).toBe('1234');
  });

  it('never touches a guarded attribute', async () => {
    const files = createFiles();
    const touched: string[] = [];
    const watched: Files = {
      ...files,
      readText: (path, maxBytes) => (touched.push(path), files.readText(path, maxBytes)),
      readBytes: (path, offset, length) => (touched.push(path), files.readBytes(path, offset, length)),
    };
    await createScanner({ files: watched, paths: hostPaths(root.path) }).scan(wanted);
    expect(touched.length).toBeGreaterThan(0);
    expect(touched.filter((path) => /driver_override|uevent|sriov_(?!totalvfs)/.test(path))).toEqual([]);
  });
});

describe('the event loop', () => {
  it('runs between pieces of a long scan', async () => {
    const files = createMemoryFiles();
    const tree = createHostTree(memorySink(files));
    for (let index = 0; index < 100; index += 1) {
      tree.addFunction({ address: `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0` });
    }
    // A clock on which every look at it takes a millisecond.
    let now = 0;
    let turns = 0;
    const clock: Clock = {
      now: () => now,
      monotonic: () => (now += 1),
      after: (_, run) => {
        turns += 1;
        queueMicrotask(run);
        return { cancel() {} };
      },
    };
    const { devices } = await createScanner({ files, paths: hostPaths(), clock }).scan({ wantSerialNumbers: false });
    expect(devices.size).toBe(100);
    expect(turns).toBeGreaterThan(10);
  });
});

describe("this machine's own /sys", () => {
  it('is scanned, twice alike, with every PCI function it lists', async (context) => {
    if (!existsSync('/sys/bus')) return context.skip('no /sys on this machine');
    const keepAlive = setInterval(() => {}, 1000);
    try {
      const scanner = createScanner({ files: createFiles(), paths: hostPaths(), clock: createClock() });
      const first = await scanner.scan(wanted);
      const names = existsSync('/sys/bus/pci/devices') ? readdirSync('/sys/bus/pci/devices') : [];
      const pci = [...first.devices.values()].filter(({ bus }) => bus === 'pci');
      expect(pci.map(({ address }) => address)).toEqual(names.toSorted());
      for (const device of pci) {
        expect(device.modalias).toMatch(/^pci:v0000[0-9A-F]{4}d0000[0-9A-F]{4}/);
        expect(device.vendor).toBe(device.modalias?.slice(9, 13).toLowerCase());
      }
      expect(first.kernel.release).not.toBe('');
      const second = await scanner.scan(wanted);
      expect([...second.devices.keys()]).toEqual([...first.devices.keys()]);
    } finally {
      clearInterval(keepAlive);
    }
  });
});
