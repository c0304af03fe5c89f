// Storage the node lives on: what is mounted, swapped on, backs an image, is claimed or open raw, followed down to the devices that
// carry it. A source that cannot be read makes every device with storage beneath it unproven.
import { isAbsent, valueOf, type Failure } from './evidence.ts';
import type { BlockDevice, BlockTopology } from './block-topology.ts';
import { findMount, unescapePath, type Mount } from './mount-info.ts';
import type { MountTables } from './mount-tables.ts';
import type { OpenFiles } from './open-files.ts';
import { isInert, wantedWhere, type ProofPass } from './proof-pass.ts';

/** What this proof looks at. */
export interface BlockSources {
  readonly topology: BlockTopology;
  readonly mounts: MountTables;
  readonly open: OpenFiles;
  /** Why nothing below /proc is the host's, or null. */
  readonly foreign: Failure | null;
}

// File systems whose mounts carry no block number of their own (0:N) but live on the block devices that they name.
const anonymousLocal: ReadonlySet<string> = new Set(['btrfs', 'bcachefs']);

/** Notes RootStorage and StorageInUse, and Unproven for what cannot be known. */
export function proveBlockUses(pass: ProofPass, sources: BlockSources): void {
  noteBlindness(pass, sources);
  const chains = createChains(pass, sources);
  for (const { source, table } of sources.mounts.all) {
    for (const mount of table.mounts) {
      for (const device of chains.ofMount(mount, source)) {
        chains.root(device, `is mounted on ${mount.point} (${source})`);
      }
    }
  }
  noteSuperblocks(pass, chains);
  noteSwaps(pass, chains);
  noteExports(pass, chains);
  for (const device of sources.topology.devices.values()) {
    if (device.backing !== null) noteBackingFile(pass, sources, chains, device);
    if (device.holders.length > 0) {
      const where = `${pass.paths.sysClass('block')}/${device.name}/holders`;
      chains.use(device, `is claimed by ${device.holders.map(chains.name).join(', ')} (${where})`);
    }
    if (device.cached)
      chains.use(device, `is registered with bcache (${pass.paths.sysClass('block')}/${device.name}/bcache)`);
  }
  for (const node of sources.open.nodes) {
    const device = node.kind === 'block' ? sources.topology.byNumber.get(node.number) : undefined;
    if (device !== undefined) chains.use(device, `is open as ${node.path} in ${node.who}`);
  }
}

/** Wanted devices that have storage beneath; every wanted device with a host driver when not even that is known. */
function withStorage(pass: ProofPass, topology: BlockTopology): readonly string[] {
  if (topology.unlisted) return wantedWhere(pass, (device) => !isInert(device));
  return [...new Set([...topology.devices.values()].flatMap((device) => device.addresses))];
}

function noteBlindness(pass: ProofPass, sources: BlockSources): void {
  const { topology, mounts, open, foreign } = sources;
  const concerned = withStorage(pass, topology);
  if (foreign !== null) pass.notes.blind(concerned, foreign.source, foreign.why);
  for (const { source, why } of [...topology.blind, ...mounts.blind(), ...open.blind]) {
    pass.notes.blind(concerned, source, why);
  }
}

/** Follows block devices downwards and notes findings on what carries them. */
interface Chains {
  /** The block device of a path such as /dev/mapper/vg-root; null when it is none of this host. */
  ofPath(path: string): BlockDevice | null;
  /** The block devices a mount lives on; `table` names the source for what cannot be found. */
  ofMount(mount: Mount, table: string): readonly BlockDevice[];
  root(device: BlockDevice, proof: string): void;
  use(device: BlockDevice, proof: string): void;
  /** A name for a person: `dm-0 (vg-root)`. */
  readonly name: (block: string) => string;
  readonly topology: BlockTopology;
}

function createChains(pass: ProofPass, sources: BlockSources): Chains {
  const { topology } = sources;
  const name = (block: string): string => {
    const mapName = topology.devices.get(block)?.mapName ?? null;
    return mapName === null ? block : `${block} (${mapName})`;
  };
  const note = (top: BlockDevice, code: 'RootStorage' | 'StorageInUse', proof: string): void => {
    for (const device of devicesBelow(topology, top)) {
      if (device.addresses.length === 0) continue;
      const own = device === top || device.name === top.disk;
      pass.notes.refuse(
        device.addresses,
        code,
        own ? `${name(top.name)} ${proof}` : `${name(device.name)} carries ${name(top.name)}, which ${proof}`,
      );
    }
  };
  const blind = (source: string, why: string): void => {
    pass.notes.blind(withStorage(pass, topology), source, why);
  };
  const ofPath = (path: string): BlockDevice | null => {
    const stat = isPlainNode(path) ? valueOf(pass.evidence.stat(pass.paths.at(path))) : null;
    const numbered = stat?.kind === 'block' && stat.node !== null ? topology.byNumber.get(stat.node) : undefined;
    return numbered ?? ofName(topology, path);
  };
  return {
    name,
    topology,
    ofPath,
    ofMount: (mount, table) => {
      const numbered = topology.byNumber.get(mount.number);
      const named = mountPaths(mount).map((path) => ({ path, device: ofPath(path) }));
      const lost = named.find(({ device }) => device === null)?.path ?? null;
      if (lost !== null) blind(table, `${mount.type} on ${mount.point} names ${lost}, which is no block device`);
      // What was unplugged while mounted is gone; what is there and was not listed is not understood.
      if (numbered === undefined && !mount.number.startsWith('0:')) {
        const path = `${pass.paths.blockNumbers}/${mount.number}`;
        if (!isAbsent(pass.evidence.real(path))) blind(table, `${path} is mounted on ${mount.point} and is not listed`);
      }
      return [...(numbered === undefined ? [] : [numbered]), ...named.flatMap(({ device }) => device ?? [])];
    },
    root: (device, proof) => note(device, 'RootStorage', proof),
    use: (device, proof) => note(device, 'StorageInUse', proof),
  };
}

// Block devices that a mount names besides its number: bcachefs names all its members, separated by colons; an xfs may have its log
// or its real-time part on another device, which carries no signature of its own.
function mountPaths(mount: Mount): readonly string[] {
  const paths = anonymousLocal.has(mount.type) ? mount.source.split(':') : [];
  if (mount.type === 'xfs') {
    for (const [, path = ''] of mount.options.matchAll(/(?:^|,)(?:logdev|rtdev)=([^,]+)/g))
      paths.push(unescapePath(path));
  }
  return paths.filter((path) => path.startsWith('/dev/'));
}

// Anybody may write to /dev/shm and mount a tmpfs with any source text in a user namespace: a link there could lead anywhere.
function isPlainNode(path: string): boolean {
  return /^\/dev\/(?!shm\/|mqueue\/|pts\/|fd\/)/.test(path) && !path.includes('/../');
}

/** A block device and everything beneath it, each once. */
function devicesBelow(topology: BlockTopology, top: BlockDevice): readonly BlockDevice[] {
  const seen = new Set([top.name]);
  for (const block of seen) for (const below of topology.lower.get(block) ?? []) seen.add(below);
  return [...seen].flatMap((block) => topology.devices.get(block) ?? []);
}

// Without a usable node: by the kernel's name or, for /dev/mapper/NAME, by the name of the map.
function ofName(topology: BlockTopology, path: string): BlockDevice | null {
  const mapped = /^\/dev\/mapper\/(.+)$/.exec(path)?.[1];
  if (mapped !== undefined) {
    for (const device of topology.devices.values()) if (device.mapName === mapped) return device;
    return null;
  }
  const plain = /^\/dev\/(.+)$/.exec(path)?.[1];
  return plain === undefined ? null : (topology.devices.get(plain.replaceAll('/', '!')) ?? null);
}

// A file system may be mounted in a namespace that no process lives in; the kernel's list of live file systems shows it all the same.
function noteSuperblocks(pass: ProofPass, chains: Chains): void {
  const root = `${pass.paths.sys}/fs`;
  for (const type of ['ext4', 'xfs', 'f2fs']) {
    for (const block of valueOf(pass.evidence.names(`${root}/${type}`)) ?? []) {
      const device = chains.topology.devices.get(block);
      if (device !== undefined) chains.root(device, `has a live ${type} file system (${root}/${type}/${block})`);
    }
  }
  for (const id of valueOf(pass.evidence.names(`${root}/btrfs`)) ?? []) {
    const members = `${root}/btrfs/${id}/devices`;
    for (const block of valueOf(pass.evidence.names(members)) ?? []) {
      const device = chains.topology.devices.get(block);
      if (device !== undefined) chains.root(device, `is part of a live btrfs file system (${members})`);
    }
  }
}

function noteSwaps(pass: ProofPass, chains: Chains): void {
  const source = pass.paths.swaps;
  const swaps = pass.evidence.text(source);
  if ('errno' in swaps) {
    // A kernel without swap has no such file, and says so in another one.
    const total = /^SwapTotal:\s+(\d+) kB$/m.exec(valueOf(pass.evidence.text(`${pass.paths.proc}/meminfo`)) ?? '')?.[1];
    const none = isAbsent(swaps) && total === '0' && pass.paths.kind !== 'copy';
    if (!none) pass.notes.blind(withStorage(pass, chains.topology), source, `read: ${swaps.errno}`);
    return;
  }
  const [header = '', ...rows] = swaps.value.split('\n');
  let whole = /^Filename\s+Type\s+Size\s+Used\s+Priority\s*$/.test(header);
  for (const row of rows) {
    if (row === '') continue;
    const [path = '', type = ''] = row.split(/\s+/);
    if (type !== 'partition' && type !== 'file') whole = false;
    // A swap file lies on a mounted file system, whose disk is known from the mount.
    if (type !== 'partition') continue;
    const device = chains.ofPath(unescapePath(path).replace(/ \(deleted\)$/, ''));
    if (device === null) whole = false;
    else chains.root(device, `is swap (${source})`);
  }
  if (!whole) pass.notes.blind(withStorage(pass, chains.topology), source, 'this is not a whole list of swap areas');
}

// Disks that the kernel itself serves to others, over NVMe-oF or SCSI: it opens them, and no process shows it.
function noteExports(pass: ProofPass, chains: Chains): void {
  const root = `${pass.paths.sys}/kernel/config`;
  const below = (path: string): readonly string[] =>
    (valueOf(pass.evidence.names(path)) ?? []).map((name) => `${path}/${name}`);
  const attributes = [
    ...below(`${root}/nvmet/subsystems`).flatMap((subsystem) =>
      below(`${subsystem}/namespaces`).map((namespace) => `${namespace}/device_path`),
    ),
    ...below(`${root}/target/core`).flatMap((adapter) => below(adapter).map((store) => `${store}/udev_path`)),
  ];
  for (const attribute of attributes) {
    const path = valueOf(pass.evidence.text(attribute))?.trim() ?? '';
    const device = path.startsWith('/dev/') ? chains.ofPath(path) : null;
    if (device !== null) chains.use(device, `is exported to other machines (${attribute})`);
  }
}

// An attached loop device keeps its file open in the kernel, where no process shows it. The path is as the attaching process saw it.
function noteBackingFile(pass: ProofPass, sources: BlockSources, chains: Chains, device: BlockDevice): void {
  const path = (device.backing ?? '').replace(/ \(deleted\)$/, '');
  const node = path.startsWith('/dev/') ? chains.ofPath(path) : null;
  if (node !== null) {
    chains.use(node, `backs ${device.name} (${pass.paths.sysClass('block')}/${device.name})`);
    return;
  }
  for (const { source, table } of sources.mounts.all.slice(0, 1)) {
    const mount = findMount(table, path);
    if (mount === null) continue;
    for (const below of chains.ofMount(mount, source)) {
      chains.root(below, `holds ${path}, the image behind ${device.name} (${source})`);
    }
  }
}
