// All proofs of one pass: what the node lives on and who uses a device, read through the host's PID 1, for the devices of interest and
// the members of their IOMMU groups. Deny by default: what cannot be read, or is not the host's, is Unproven and never "unused".
import type { Inventory } from '../../domain/device.ts';
import type { Files } from '../../runtime/ports.ts';
import type { HostPaths } from '../host-paths.ts';
import { proveBlockUses } from './block-uses.ts';
import { readBlockTopology } from './block-topology.ts';
import { proveCharacterUses } from './character-uses.ts';
import { proveDiskData } from './disk-data.ts';
import { proveDisplayUses } from './display-uses.ts';
import { valueOf } from './evidence.ts';
import type { NetworkHints } from './host-network.ts';
import { readHostView } from './host-view.ts';
import { readMountTables, type MountTables } from './mount-tables.ts';
import { proveNetworkUses } from './network-uses.ts';
import { readOpenFiles } from './open-files.ts';
import type { DiskReader } from './ports.ts';
import { proveSharedMounts } from './shared-mounts.ts';
import type { Proofs } from './proof-notes.ts';
import { createProofPass, type ProofPass } from './proof-pass.ts';
import { proveSystemUses } from './system-uses.ts';
import { proveVfioHolders } from './vfio-holders.ts';

/** What a pass needs. */
export interface ProofOptions extends Partial<NetworkHints> {
  readonly files: Files;
  readonly paths: HostPaths;
  /** As scanned just before: which driver is bound decides what can be beneath a device. */
  readonly inventory: Inventory;
  /** Addresses that a policy selects or the ledger holds. */
  readonly interest: ReadonlySet<string>;
  /** Reads disks of which udev has no record; without it their content is Unproven. */
  readonly disks?: DiskReader | null;
  /** Gives other work of the process a turn; called every few milliseconds of reading. */
  readonly pause?: () => Promise<void>;
}

/**
 * Collects findings and holders. Never throws for anything that files contain or refuse; every source is read afresh. A device without
 * any finding was proven unused by all of them.
 */
export async function collectProofs(options: ProofOptions): Promise<Proofs> {
  const { files, paths, inventory, interest, disks = null, pause = () => Promise.resolve() } = options;
  const pass = createProofPass(files, paths, inventory, interest, pause);
  if (pass.wanted.size === 0) return pass.notes.result();
  const { foreign } = readHostView(pass);
  // Users before what they use: what appears meanwhile is then used by nobody seen here, but it is listed.
  const mounts = readMountTables(pass);
  const open = await readOpenFiles(pass, mounts);
  const topology = readBlockTopology(pass);
  proveSystemUses(pass);
  proveDisplayUses(pass);
  proveCharacterUses(pass, open, foreign);
  proveVfioHolders(pass, open, foreign);
  proveNetworkUses(pass, {
    foreign,
    nodeAddresses: options.nodeAddresses ?? [],
    endpoints: options.endpoints ?? [],
    ownAddresses: options.ownAddresses ?? null,
  });
  await pass.pause();
  proveBlockUses(pass, { topology, mounts, open, foreign });
  proveSharedMounts(pass, mounts);
  await proveDiskData(pass, topology, findZfs(pass, mounts), disks);
  return pass.notes.result();
}

// Where ZFS shows that pools are in use; null when it does not. The mounts name data sets, never disks.
function findZfs(pass: ProofPass, mounts: MountTables): string | null {
  const mounted = mounts.all.find(({ table }) => table.mounts.some((mount) => mount.type === 'zfs'));
  if (mounted !== undefined) return mounted.source;
  const pools = `${pass.paths.proc}/spl/kstat/zfs`;
  for (const name of valueOf(pass.evidence.names(pools)) ?? []) {
    // Beside a directory per imported pool there are plain files with statistics.
    if (valueOf(pass.evidence.names(`${pools}/${name}`)) !== null) return `${pools}/${name}`;
  }
  return null;
}
