import { describe, expect, it } from 'vitest';
import type { Unread } from '../../../src/domain/device.ts';
import { createSysfs, guardedAttributeNames } from '../../../src/host/sysfs.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';

function setUp() {
  const files = createMemoryFiles();
  const unread: Unread[] = [];
  return { files, unread, sysfs: createSysfs(files, (entry) => unread.push(entry)) };
}

describe('an attribute', () => {
  it('is trimmed, cut at a NUL and at 64 KiB, with bad bytes replaced', () => {
    const { files, sysfs } = setUp();
    files.put('/sys/a', '  text \n');
    files.put('/sys/b', 'before\0after');
    files.put('/sys/c', 'x'.repeat(200_000));
    files.put('/sys/d', { file: new Uint8Array([0xff, 0x41]) });
    expect(sysfs.readAttribute('/sys/a')).toBe('text');
    expect(sysfs.readAttribute('/sys/b')).toBe('before');
    expect(sysfs.readAttribute('/sys/c')).toHaveLength(65_536);
    expect(sysfs.readAttribute('/sys/d')).toBe('\ufffdA');
  });

  it('that is absent or vanishes is null and not worth a word', () => {
    const { files, sysfs, unread } = setUp();
    files.put('/sys/a', '');
    expect(sysfs.readAttribute('/sys/none')).toBeNull();
    expect(sysfs.readAttribute('/sys/a/below')).toBeNull();
    files.setFault(() => 'ENODEV');
    expect(sysfs.readAttribute('/sys/a')).toBeNull();
    expect(unread).toEqual([]);
  });

  it('that cannot be read is null and reported, unless it is optional', () => {
    const { files, sysfs, unread } = setUp();
    files.setFault(() => 'EIO');
    expect(sysfs.readOptionalAttribute('/sys/a')).toBeNull();
    expect(unread).toEqual([]);
    expect(sysfs.readAttribute('/sys/a')).toBeNull();
    expect(sysfs.readLink('/sys/l')).toBeNull();
    expect(sysfs.listNames('/sys')).toBeNull();
    expect(unread).toHaveLength(3);
    expect(unread[0]).toEqual({ source: '/sys/a', why: 'open: EIO' });
  });

  it('whose read may block is never read here', () => {
    const { files, sysfs } = setUp();
    let touched = 0;
    files.setFault(() => ((touched += 1), null));
    for (const name of guardedAttributeNames) {
      expect(() => sysfs.readAttribute(`/sys/bus/pci/devices/0000:00:00.0/${name}`)).toThrow('kernel worker');
      expect(() => sysfs.readOptionalAttribute(name)).toThrow('kernel worker');
    }
    expect(touched).toBe(0);
  });
});

describe('links and directories', () => {
  it('give the last component and sorted names', () => {
    const { files, sysfs } = setUp();
    files.put('/sys/devices/x/driver', { link: '../../bus/pci/drivers/nvme' });
    files.put('/sys/devices/x/b', '');
    expect(sysfs.readLinkName('/sys/devices/x/driver')).toBe('nvme');
    expect(sysfs.readLinkName('/sys/devices/x/none')).toBeNull();
    expect(sysfs.listNames('/sys/devices/x')).toEqual(['b', 'driver']);
    expect(sysfs.listNames('/sys/none')).toBeNull();
    expect(sysfs.exists('/sys/devices')).toBe(true);
  });
});
