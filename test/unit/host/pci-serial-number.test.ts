import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { configWithSerialNumber, createHostTree, memorySink } from '../../support/host-tree.ts';

const plain = { wantSerialNumbers: false };

function setUp() {
  const files = createMemoryFiles();
  return { files, tree: createHostTree(memorySink(files)), scanner: createScanner({ files, paths: hostPaths() }) };
}

describe('serial numbers', () => {
  const address = '0000:01:00.0';

  it('are read once, and only when wanted', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address, config: configWithSerialNumber('00112233445566ff') });
    let reads = 0;
    files.setFault((_, path) => ((reads += path.endsWith('/config') ? 1 : 0), null));
    expect((await scanner.scan(plain)).devices.get(address)?.serialNumber).toBeNull();
    expect(reads).toBe(0);
    const wanted = { wantSerialNumbers: true };
    expect((await scanner.scan(wanted)).devices.get(address)?.serialNumber).toBe('00-11-22-33-44-55-66-ff');
    const once = reads;
    await scanner.scan(wanted);
    expect(reads).toBe(once);
  });

  it('come from the attribute where the kernel has one', async () => {
    const { tree, files, scanner } = setUp();
    tree.addFunction({ address });
    files.put(`${tree.directoryOf(address)}/serial_number`, 'B8-CE-F6-03-00-AA-11-FF\n');
    const { devices } = await scanner.scan({ wantSerialNumbers: true });
    expect(devices.get(address)?.serialNumber).toBe('b8-ce-f6-03-00-aa-11-ff');
  });

  it('are unread, in one line, where config space is cut to 64 bytes', async () => {
    const { tree, scanner, files } = setUp();
    tree.addFunction({ address, config: configWithSerialNumber('00112233445566ff') });
    tree.addFunction({ address: '0000:02:00.0', config: configWithSerialNumber('00112233445566ff') });
    const cut = {
      ...files,
      readBytes: (path: string, offset: number, length: number) =>
        files.readBytes(path, offset, Math.max(0, Math.min(length, 64 - offset))),
    };
    const limited = createScanner({ files: cut, paths: hostPaths() });
    const { unread, devices } = await limited.scan({ wantSerialNumbers: true });
    expect(devices.get(address)?.serialNumber).toBeNull();
    expect(unread).toEqual([
      {
        source: '/sys/bus/pci/devices/0000:01:00.0/config and 1 more',
        why: 'only part of config space is shown: the rest needs CAP_SYS_ADMIN',
      },
    ]);
    expect((await scanner.scan({ wantSerialNumbers: true })).unread).toEqual([]);
  });

  it('end a chain that loops, is empty or all ones', async () => {
    for (const word of [0x0001 | (1 << 16) | (0x100 << 20), 0, 0xffffffff]) {
      const { tree, scanner } = setUp();
      const config = new Uint8Array(4096);
      new DataView(config.buffer).setUint32(0x100, word >>> 0, true);
      tree.addFunction({ address, config });
      const { devices, unread } = await scanner.scan({ wantSerialNumbers: true });
      expect(devices.get(address)?.serialNumber).toBeNull();
      expect(unread).toEqual([]);
    }
  });
});
