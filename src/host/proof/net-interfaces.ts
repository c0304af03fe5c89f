// The network interfaces that our view of sysfs shows, how they are stacked (bond, team, bridge, VLAN, macvlan), and which devices
// carry them.
import { isAbsent, valueOf, type Failure } from './evidence.ts';
import { wantedIn, type ProofPass } from './proof-pass.ts';

/** One interface. */
export interface NetInterface {
  readonly name: string;
  /** Wanted devices its path in sysfs leads through; empty for virtual interfaces. */
  readonly addresses: readonly string[];
  /** IFF_UP; null when `flags` cannot be read. */
  readonly isUp: boolean | null;
  /** IFF_PROMISC: somebody takes every packet. */
  readonly promiscuous: boolean;
  /** Interfaces it is enslaved to or that are stacked on it. */
  readonly upper: readonly string[];
  /** Interfaces it is stacked on. */
  readonly lower: readonly string[];
}

/** All interfaces of the network namespace that sysfs shows. */
export interface NetInterfaces {
  readonly byName: ReadonlyMap<string, NetInterface>;
  readonly blind: readonly Failure[];
  /** /sys/class/net itself cannot be listed. */
  readonly unlisted: boolean;
}

/** Reads all interfaces; never throws. */
export function readNetInterfaces(pass: ProofPass): NetInterfaces {
  const root = pass.paths.sysClass('net');
  const names = pass.evidence.names(root);
  const blind: Failure[] = [];
  if ('errno' in names) {
    return { byName: new Map(), blind: [{ source: root, why: `readdir: ${names.errno}` }], unlisted: true };
  }
  const byName = new Map<string, NetInterface>();
  for (const name of names.value) {
    const path = `${root}/${name}`;
    const entries = pass.evidence.names(path);
    // bonding_masters is a file among the interfaces.
    if ('errno' in entries && entries.errno === 'ENOTDIR') continue;
    const real = pass.evidence.real(path);
    if ('errno' in entries || 'errno' in real) {
      const errno = 'errno' in entries ? entries.errno : 'errno' in real ? real.errno : '';
      if (!isAbsent(pass.evidence.stat(path))) blind.push({ source: path, why: `readdir: ${errno}` });
      continue;
    }
    const flags = /^0x([0-9a-f]+)$/.exec(valueOf(pass.evidence.text(`${path}/flags`))?.trim() ?? '')?.[1];
    if (flags === undefined) {
      if (isAbsent(pass.evidence.stat(path))) continue;
      blind.push({ source: `${path}/flags`, why: 'the state of the interface cannot be read' });
    }
    const bits = flags === undefined ? null : Number.parseInt(flags, 16);
    byName.set(name, {
      name,
      addresses: wantedIn(pass, real.value),
      isUp: bits === null ? null : (bits & 0x1) !== 0,
      promiscuous: bits !== null && (bits & 0x100) !== 0,
      upper: upperOf(pass, path, entries.value),
      lower: stacked(entries.value, 'lower_'),
    });
  }
  return { byName, blind, unlisted: false };
}

// `upper_NAME` and `lower_NAME` are links that the kernel keeps for every stacking (net/core/dev.c); `master` names the bond, team or
// bridge. An interface of Open vSwitch has `master` ovs-system.
function upperOf(pass: ProofPass, path: string, entries: readonly string[]): readonly string[] {
  const upper = new Set(stacked(entries, 'upper_'));
  if (entries.includes('master')) upper.add(lastName(valueOf(pass.evidence.link(`${path}/master`)) ?? 'master'));
  if (upper.size === 0 && entries.includes('brport')) upper.add('a bridge');
  if (upper.size === 0 && entries.includes('bonding_slave')) upper.add('a bond');
  return [...upper];
}

function stacked(entries: readonly string[], prefix: string): readonly string[] {
  return entries.filter((entry) => entry.startsWith(prefix)).map((entry) => entry.slice(prefix.length));
}

function lastName(link: string): string {
  return link.slice(link.lastIndexOf('/') + 1);
}

/** The interface and all it is stacked on, however deep, by name. */
export function interfacesBelow(interfaces: NetInterfaces, top: string): readonly string[] {
  const seen = new Set([top]);
  for (const name of seen) {
    for (const below of interfaces.byName.get(name)?.lower ?? []) seen.add(below);
    for (const other of interfaces.byName.values()) if (other.upper.includes(name)) seen.add(other.name);
  }
  return [...seen];
}
