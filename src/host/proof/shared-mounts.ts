// Filesystems that come over a virtio device without a block device: 9p and virtiofs. A node in a virtual machine may have its root
// on one. The mount names a tag; the device that carries it says the tag in sysfs, where its driver tells it at all.
import type { MountTables } from './mount-tables.ts';
import { valueOf } from './evidence.ts';
import { wantedIn, type ProofPass } from './proof-pass.ts';

/** The driver on the virtio bus (net/9p/trans_virtio.c, fs/fuse/virtio_fs.c) of each filesystem type. */
const carriers: Readonly<Record<string, string>> = { '9p': '9pnet_virtio', virtiofs: 'virtiofs' };

/** Notes RootStorage for every wanted device that carries, or may carry, a mounted 9p or virtiofs. */
export function proveSharedMounts(pass: ProofPass, mounts: MountTables): void {
  const all = Object.values(carriers).flatMap((driver) => carriersOf(pass, driver).map(({ path }) => path));
  for (const { source, why } of mounts.blind())
    pass.notes.blind(
      all.flatMap((path) => wantedIn(pass, path)),
      source,
      why,
    );
  for (const { source, table } of mounts.all) {
    for (const mount of table.mounts) {
      const driver = carriers[mount.type];
      if (driver === undefined || (mount.type === '9p' && !/(^|,)trans=virtio(,|$)/.test(mount.options))) continue;
      for (const { path, tag } of carriersOf(pass, driver)) {
        if (tag !== null && tag !== mount.source) continue;
        const maybe = tag === null ? ' (or another device carries it: its tag cannot be read)' : '';
        pass.notes.refuse(
          wantedIn(pass, path),
          'RootStorage',
          `carries the ${mount.type} '${mount.source}', which is mounted on ${mount.point} (${source})${maybe}`,
        );
      }
    }
  }
}

/** The devices on a driver of the virtio bus, with the tag they offer; null where this kernel does not show it. */
function carriersOf(
  pass: ProofPass,
  driver: string,
): readonly { readonly path: string; readonly tag: string | null }[] {
  const directory = `${pass.paths.buses}/virtio/drivers/${driver}`;
  const names = valueOf(pass.evidence.names(directory)) ?? [];
  return names
    .filter((name) => /^virtio\d+$/.test(name))
    .flatMap((name) => {
      const path = valueOf(pass.evidence.real(`${directory}/${name}`));
      if (path === null) return [];
      // 9p shows its tag with a NUL at the end; virtiofs shows none here.
      const text = valueOf(pass.evidence.text(`${path}/mount_tag`));
      const tag = text === null ? null : text.replaceAll('\0', '').trim();
      return [{ path, tag }];
    });
}
