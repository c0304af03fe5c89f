import { describe, expect, it } from 'vitest';
import { parseUdevRecord } from '../../../../src/host/proof/disk-data.ts';
import { findSignature, signatureRanges, type DiskPiece } from '../../../../src/host/proof/disk-signatures.ts';
import type { DiskReader, DiskReading } from '../../../../src/host/proof/ports.ts';
import { addNvme, subject } from '../../../support/critical-use.ts';
import { createProofHost } from '../../../support/proof-host.ts';

const size = 1024 * 1024 * 1024;

// What a disk looks like of which nothing is written but these bytes.
function diskWith(offset: number, bytes: readonly number[], length = size): readonly DiskPiece[] {
  return signatureRanges(length).map((range) => {
    const piece = new Uint8Array(range.length);
    bytes.forEach((byte, index) => {
      const at = offset + index - range.offset;
      if (at >= 0 && at < piece.length) piece[at] = byte;
    });
    return { offset: range.offset, bytes: piece };
  });
}

const text = (letters: string): readonly number[] => Array.from(letters, (letter) => letter.charCodeAt(0));

describe('signatures on the disk', () => {
  it.each([
    ['ext', 0x438, [0x53, 0xef]],
    ['xfs', 0, text('XFSB')],
    ['btrfs', 65_600, text('_BHRfS_M')],
    ['crypto_LUKS', 0, [...text('LUKS'), 0xba, 0xbe, 0, 2]],
    ['LVM2_member', 512, text('LABELONE')],
    ['linux_raid_member', 4096, [0xfc, 0x4e, 0x2b, 0xa9]],
    ['linux_raid_member', size - 8192, [0xfc, 0x4e, 0x2b, 0xa9]],
    ['linux_raid_member', size - 65_536, [0xfc, 0x4e, 0x2b, 0xa9]],
    ['swap', 4086, text('SWAPSPACE2')],
    ['swap', 65_526, text('SWAPSPACE2')],
    ['zfs_member', 128 * 1024 + 40 * 1024, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]],
    ['zfs_member', size - 256 * 1024 + 200 * 1024, [0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c]],
    ['vfat', 82, text('FAT32   ')],
    ['ntfs', 3, text('NTFS    ')],
    ['ReFS', 3, [...text('ReFS'), 0, 0, 0, 0]],
    ['gpt', 512, text('EFI PART')],
    ['gpt', size - 512, text('EFI PART')],
    ['bcache', 4120, [0xc6, 0x85, 0x73, 0xf6, 0x4e]],
    ['ceph_bluestore', 0, text('bluestore block device\n')],
    ['iso9660', 32_769, text('CD001')],
    ['squashfs', 0, text('hsqs')],
    ['f2fs', 1024, [0x10, 0x20, 0xf5, 0xf2]],
    ['VMFS', 1024 * 1024, [0x0d, 0xd0, 0x01, 0xc0]],
    ['isw_raid_member', size - 1024, text('Intel Raid ISM Cfg Sig. 1.3')],
  ])('knows %s at %i', (type, offset, bytes) => {
    expect(findSignature(diskWith(offset, bytes), size)).toBe(type);
  });

  it('knows an MBR by its entries, and not any boot sector', () => {
    expect(findSignature(diskWith(510, [0x55, 0xaa]), size)).toBeNull();
    const entry = [0x80, 1, 1, 0, 0x83, 1, 1, 1, 0, 8, 0, 0, 0, 0, 1, 0];
    expect(findSignature(diskWith(446, [...entry, ...Array<number>(48).fill(0), 0x55, 0xaa]), size)).toBe('dos');
  });

  it('finds nothing on an empty disk, however small', () => {
    for (const length of [size, 1024 * 1024, 4096, 512])
      expect(findSignature(diskWith(0, [], length), length)).toBeNull();
  });

  it('stays within the disk', () => {
    for (const length of [512, 4096, 300_000, 2 * 1024 * 1024, size]) {
      for (const range of signatureRanges(length)) {
        expect(range.offset).toBeGreaterThanOrEqual(0);
        expect(range.offset + range.length).toBeLessThanOrEqual(length);
      }
    }
  });
});

describe("udev's record", () => {
  const record = (...properties: string[]): string =>
    ['S:disk/by-id/x', 'I:12345', ...properties, 'G:systemd', 'V:1', ''].join('\n');

  it('tells what the disk holds, or that it holds nothing', () => {
    expect(parseUdevRecord({ name: 'sda' }, record('E:ID_FS_TYPE=ext4'))).toEqual({ type: 'ext4' });
    expect(parseUdevRecord({ name: 'sda' }, record('E:ID_PART_TABLE_TYPE=gpt'))).toEqual({ type: 'gpt' });
    expect(parseUdevRecord({ name: 'sda' }, record('E:ID_FS_AMBIVALENT=other:ext4:1 other:xfs:'))?.type).toMatch(
      /ext4/,
    );
    expect(parseUdevRecord({ name: 'sda' }, record('E:ID_SERIAL=x'))).toEqual({ type: null });
  });

  it('is none when udev had not finished, does not probe such disks, or was told not to', () => {
    expect(parseUdevRecord({ name: 'sda' }, null)).toBeNull();
    expect(parseUdevRecord({ name: 'sda' }, '')).toBeNull();
    expect(parseUdevRecord({ name: 'sda' }, 'E:ID_SERIAL=x\n')).toBeNull();
    expect(parseUdevRecord({ name: 'sda' }, 'I:1\nnot a record\n')).toBeNull();
    expect(parseUdevRecord({ name: 'fd0' }, record())).toBeNull();
    expect(parseUdevRecord({ name: 'sda' }, record('E:UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG=1'))).toBeNull();
  });
});

describe('a disk of which udev has no record', () => {
  function readerOf(
    answer: (ranges: readonly { readonly length: number }[]) => DiskReading,
  ): DiskReader & { nodes: string[] } {
    const nodes: string[] = [];
    return { nodes, read: (node, ranges) => (nodes.push(node), Promise.resolve(answer(ranges))) };
  }
  const empty = readerOf((ranges) => ({ pieces: ranges.map(({ length }) => new Uint8Array(length)) }));

  async function prove(
    disks: DiskReader | null,
    change: (host: ReturnType<typeof createProofHost>) => void = () => undefined,
  ) {
    const host = createProofHost();
    addNvme(host, null);
    change(host);
    return (await host.prove({ disks })).findings.map(({ code, proof }) => `${code}: ${proof}`);
  }

  it('is read itself', async () => {
    expect(await prove(empty)).toEqual([]);
    expect(empty.nodes).toEqual(['/dev/nvme0n1']);
    const luks = readerOf((ranges) => ({
      pieces: ranges.map(({ length }, index) => {
        const piece = new Uint8Array(length);
        if (index === 0) piece.set([...text('LUKS'), 0xba, 0xbe]);
        return piece;
      }),
    }));
    expect(await prove(luks)).toEqual(['StorageHasData: nvme0n1 holds crypto_LUKS (/dev/nvme0n1)']);
  });

  it('is Unproven when nobody can read it, the read fails or ends early', async () => {
    expect((await prove(null)).join()).toMatch(/^Unproven: content of nvme0n1: .*the disk itself cannot be read/);
    expect((await prove(readerOf(() => ({ failure: 'no answer in 5000 ms' })))).join()).toMatch(
      /Unproven.*no answer in 5000 ms/,
    );
    expect((await prove(readerOf(() => ({ pieces: [new Uint8Array(3)] })))).join()).toMatch(/Unproven.*ended early/);
  });

  it('is Unproven when its node is missing or another one', async () => {
    expect((await prove(empty, ({ files }) => files.drop('/dev/nvme0n1'))).join()).toMatch(/Unproven.*ENOENT/);
    expect(
      (await prove(empty, ({ files }) => files.put('/dev/nvme0n1', { node: 'block', number: '8:0' }))).join(),
    ).toMatch(/Unproven.*is not the node of nvme0n1/);
  });

  it('is left alone when the node lives on it', async () => {
    const reader = readerOf(() => ({ failure: 'not to be asked' }));
    const findings = await prove(reader, (host) => host.mount('259:0', '/x', 'ext4', '/dev/nvme0n1'));
    expect(findings.map((finding) => finding.slice(0, 11))).toEqual(['RootStorage']);
    expect(reader.nodes).toEqual([]);
  });
});

describe('a disk controller without driver', () => {
  it('is Unproven, for nobody can say what it holds', async () => {
    const host = createProofHost();
    host.device({ address: subject, classCode: '010802', driver: null });
    expect((await host.prove()).findings).toEqual([
      {
        address: subject,
        code: 'Unproven',
        proof: `content of ${subject}: no driver is bound that would show its disks`,
      },
    ]);
  });
});
