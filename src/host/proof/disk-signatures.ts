// Signatures that file systems, volume managers and partition tables leave at fixed places of a disk: what libblkid and the kernel's
// own headers look for. Only the presence matters, so a place and a few bytes each suffice; pure, no reading here.

/** A stretch of a disk that was read. */
export interface DiskPiece {
  /** Byte offset from the start of the disk. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Where a signature stands: from the start of the disk, or, when negative, from its end. */
interface Signature {
  readonly type: string;
  readonly offset: number;
  readonly magic: readonly number[];
}

const kib = 1024;

/** Stretches to read of a disk of `size` bytes so that every signature below can be seen. About 1 MiB at most. */
export function signatureRanges(size: number): readonly { readonly offset: number; readonly length: number }[] {
  const head = Math.min(size, 288 * kib);
  const ranges = [{ offset: 0, length: head }];
  // VMFS keeps its header at 1 MiB.
  if (size >= 1024 * kib + 512) ranges.push({ offset: 1024 * kib, length: 512 });
  // The last ZFS labels lie at the end rounded down to 256 KiB, and are 512 KiB long.
  const tail = Math.min(size, 768 * kib);
  ranges.push({ offset: size - tail, length: tail });
  return ranges.filter((range) => range.length > 0);
}

/** Name of the first signature found in the pieces of a disk of `size` bytes; null when there is none. */
export function findSignature(pieces: readonly DiskPiece[], size: number): string | null {
  for (const { type, offset, magic } of signatures) {
    const start = offset < 0 ? size + offset : offset;
    if (matches(pieces, start, magic)) return type;
  }
  return findTable(pieces) ?? findZfs(pieces, size) ?? findRaid(pieces, size);
}

function ascii(text: string): readonly number[] {
  return Array.from(text, (letter) => letter.charCodeAt(0));
}

function sign(type: string, offset: number, magic: string | readonly number[]): Signature {
  return { type, offset, magic: typeof magic === 'string' ? ascii(magic) : magic };
}

// Page sizes of 4 KiB to 64 KiB: the swap header ends with the first page (mm/swapfile.c).
const pages = [4, 8, 16, 32, 64];

const signatures: readonly Signature[] = [
  sign('gpt', 512, 'EFI PART'),
  sign('gpt', 4096, 'EFI PART'),
  sign('gpt', -512, 'EFI PART'),
  sign('gpt', -4096, 'EFI PART'),
  sign('ext', 0x438, [0x53, 0xef]),
  sign('xfs', 0, 'XFSB'),
  sign('xfs_external_log', 0, [0xfe, 0xed, 0xba, 0xbe]),
  sign('btrfs', 0x10040, '_BHRfS_M'),
  sign('crypto_LUKS', 0, [...ascii('LUKS'), 0xba, 0xbe]),
  ...[16, 32, 64, 128, 256].map((at) => sign('crypto_LUKS', at * kib, [...ascii('SKUL'), 0xba, 0xbe])),
  ...[0, 512, 1024, 1536].map((at) => sign('LVM2_member', at, 'LABELONE')),
  sign('linux_raid_member', 0, [0xfc, 0x4e, 0x2b, 0xa9]),
  sign('linux_raid_member', 4096, [0xfc, 0x4e, 0x2b, 0xa9]),
  ...pages.flatMap((page) =>
    ['SWAPSPACE2', 'SWAP-SPACE', 'S1SUSPEND', 'ULSUSPEND', 'LINHIB0001'].map((text) =>
      sign('swap', page * kib - 10, text),
    ),
  ),
  // One header for both; bcachefs came after bcache and kept its place (include/uapi/linux/bcache.h).
  sign('bcache', 4096 + 24, [0xc6, 0x85, 0x73, 0xf6]),
  sign('ceph_bluestore', 0, 'bluestore block device'),
  sign('vfat', 54, 'FAT1'),
  sign('vfat', 82, 'FAT32'),
  sign('ntfs', 3, 'NTFS    '),
  sign('exfat', 3, 'EXFAT   '),
  sign('ReFS', 3, [...ascii('ReFS'), 0, 0, 0, 0]),
  sign('BitLocker', 3, '-FVE-FS-'),
  sign('iso9660', 0x8001, 'CD001'),
  ...['BEA01', 'NSR02', 'NSR03'].map((text) => sign('udf', 0x8001, text)),
  sign('squashfs', 0, 'hsqs'),
  sign('squashfs', 0, 'sqsh'),
  sign('erofs', 1024, [0xe2, 0xe1, 0xf5, 0xe0]),
  sign('f2fs', 1024, [0x10, 0x20, 0xf5, 0xf2]),
  sign('nilfs2', 1030, [0x34, 0x34]),
  sign('jfs', 0x8000, 'JFS1'),
  sign('reiserfs', 0x10034, 'ReIsEr'),
  sign('reiserfs', 0x2034, 'ReIsEr'),
  sign('gfs2', 0x10000, [0x01, 0x16, 0x19, 0x70]),
  sign('ocfs2', 1024, 'OCFSV2'),
  sign('ocfs2', 2048, 'OCFSV2'),
  sign('ocfs2', 4096, 'OCFSV2'),
  sign('ufs', 0x255c, [0x54, 0x19, 0x01, 0x00]),
  sign('ufs', 0x1055c, [0x19, 0x01, 0x54, 0x19]),
  sign('cramfs', 0, [0x45, 0x3d, 0xcd, 0x28]),
  sign('romfs', 0, '-rom1fs-'),
  sign('oracleasm', 32, 'ORCLDISK'),
  sign('hfs', 1024, 'BD'),
  sign('hfsplus', 1024, 'H+'),
  sign('hfsplus', 1024, 'HX'),
  sign('apfs', 32, 'NXSB'),
  sign('VMFS', 0x100000, [0x0d, 0xd0, 0x01, 0xc0]),
  sign('stratis', 516, '!Stra0tis'),
  sign('stratis', 4612, '!Stra0tis'),
  sign('vdo', 0, 'dmvdo001'),
  sign('verity', 0, 'verity'),
  sign('integrity', 0, 'integrit'),
  sign('dm_snapshot', 0, 'SnAp'),
  sign('drbd', -4096 + 60, [0x83, 0x74, 0x02]),
  sign('isw_raid_member', -1024, 'Intel Raid ISM Cfg Sig.'),
  sign('isw_raid_member', -8192, 'Intel Raid ISM Cfg Sig.'),
  sign('ddf_raid_member', -512, [0xde, 0x11, 0xde, 0x11]),
  sign('ddf_raid_member', -512, [0x11, 0xde, 0x11, 0xde]),
];

// An MBR is told from any boot sector by an entry with a type and a length.
function findTable(pieces: readonly DiskPiece[]): string | null {
  if (!matches(pieces, 510, [0x55, 0xaa])) return null;
  for (let entry = 446; entry < 510; entry += 16) {
    const bytes = slice(pieces, entry, 16);
    if (bytes !== null && bytes[4] !== 0 && bytes.subarray(12, 16).some((byte) => byte !== 0)) return 'dos';
  }
  return null;
}

// Uberblocks lie 128 KiB into each of the four labels, two at the start and two at the end; their slots are 1 KiB at least
// (vdev_impl.h of OpenZFS). Either byte order.
function findZfs(pieces: readonly DiskPiece[], size: number): string | null {
  const end = Math.floor(size / (256 * kib)) * 256 * kib;
  for (const label of [0, 256 * kib, end - 512 * kib, end - 256 * kib]) {
    for (let slot = 128; slot < 256; slot += 1) {
      const at = label + slot * kib;
      if (matches(pieces, at, [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0])) return 'zfs_member';
      if (matches(pieces, at, [0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c])) return 'zfs_member';
    }
  }
  return null;
}

// md 0.90 lies in the last full 64 KiB, 1.0 between 8 and 12 KiB before the end (md.rst of the kernel's admin guide).
function findRaid(pieces: readonly DiskPiece[], size: number): string | null {
  const old = (Math.floor(size / (64 * kib)) - 1) * 64 * kib;
  const late = Math.floor((size - 8 * kib) / (4 * kib)) * 4 * kib;
  return [old, late].some((at) => matches(pieces, at, [0xfc, 0x4e, 0x2b, 0xa9])) ? 'linux_raid_member' : null;
}

function matches(pieces: readonly DiskPiece[], offset: number, magic: readonly number[]): boolean {
  const bytes = slice(pieces, offset, magic.length);
  return bytes !== null && magic.every((byte, index) => bytes[index] === byte);
}

function slice(pieces: readonly DiskPiece[], offset: number, length: number): Uint8Array | null {
  for (const piece of pieces) {
    const start = offset - piece.offset;
    if (start >= 0 && start + length <= piece.bytes.length) return piece.bytes.subarray(start, start + length);
  }
  return null;
}
