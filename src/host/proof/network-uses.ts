// Networks the node lives on: default routes, the node's addresses, its connections to the API server, followed down through bonds,
// teams, bridges, VLANs and macvlans; and interfaces that somebody uses. Routes and addresses are those of PID 1's network namespace.
import type { Failure } from './evidence.ts';
import { interfacesBelow, readNetInterfaces, type NetInterface, type NetInterfaces } from './net-interfaces.ts';
import { readHostNetwork, type HostNetwork, type NetworkHints } from './host-network.ts';
import { parseInterfaceNames } from './net-tables.ts';
import { isInert, wantedWhere, type ProofPass } from './proof-pass.ts';

/** What is known from elsewhere. */
export interface NetworkSources extends NetworkHints {
  /** Why nothing below /proc is the host's, or null. */
  readonly foreign: Failure | null;
}

/** Notes PrimaryNetwork and NetworkInUse, and Unproven for what cannot be known. */
export function proveNetworkUses(pass: ProofPass, sources: NetworkSources): void {
  let interfaces = readNetInterfaces(pass);
  const network = readHostNetwork(pass, sources);
  // An interface may have come or gone between the two readings.
  if (mismatch(pass, interfaces) !== null) interfaces = readNetInterfaces(pass);
  const foreignView = mismatch(pass, interfaces);
  const concerned = withNetwork(pass, interfaces);
  const blind = [...interfaces.blind, ...network.blind];
  if (foreignView !== null) blind.push(foreignView);
  if (sources.foreign !== null) blind.unshift(sources.foreign);
  for (const { source, why } of blind) pass.notes.blind(concerned, source, why);
  notePrimary(pass, interfaces, network);
  noteUse(pass, interfaces, network);
  noteHidden(pass, interfaces);
}

function withNetwork(pass: ProofPass, interfaces: NetInterfaces): readonly string[] {
  if (interfaces.unlisted) return wantedWhere(pass, (device) => !isInert(device));
  const carrying = new Set([...interfaces.byName.values()].flatMap(({ addresses }) => addresses));
  return wantedWhere(
    pass,
    (device) => !isInert(device) && (carrying.has(device.address) || (device.classCode?.startsWith('02') ?? false)),
  );
}

// Our /sys may be a container's and show that one's interfaces: PID 1's own list must be the same.
function mismatch(pass: ProofPass, interfaces: NetInterfaces): Failure | null {
  const source = pass.paths.hostNet('dev');
  const reading = pass.evidence.text(source);
  if ('errno' in reading) return { source, why: `read: ${reading.errno}` };
  const names = parseInterfaceNames(reading.value);
  if (!names.whole) return { source, why: 'this is not a whole list of interfaces' };
  if (interfaces.unlisted) return null;
  const host = new Set(names.rows);
  const different = [...interfaces.byName.keys()]
    .filter((name) => !host.has(name))
    .concat(names.rows.filter((name) => !interfaces.byName.has(name)));
  if (different.length === 0) return null;
  const root = pass.paths.sysClass('net');
  return {
    source,
    why: `${root} shows another network namespace (they differ in ${different.slice(0, 3).join(', ')})`,
  };
}

function notePrimary(pass: ProofPass, interfaces: NetInterfaces, network: HostNetwork): void {
  for (const { name, why } of network.primary) {
    for (const below of interfacesBelow(interfaces, name)) {
      const device = interfaces.byName.get(below);
      if (device === undefined) continue;
      const proof = below === name ? `${name} ${why}` : `${below} is under ${name}, which ${why}`;
      pass.notes.refuse(device.addresses, 'PrimaryNetwork', proof);
    }
  }
  if (network.lostPrimary === null) return;
  for (const device of interfaces.byName.values()) {
    if (device.isUp !== false) pass.notes.blind(device.addresses, network.lostPrimary.source, network.lostPrimary.why);
  }
}

function noteUse(pass: ProofPass, interfaces: NetInterfaces, network: HostNetwork): void {
  const root = pass.paths.sysClass('net');
  for (const device of interfaces.byName.values()) {
    if (device.addresses.length === 0) continue;
    const use = (proof: string): void => {
      pass.notes.refuse(device.addresses, 'NetworkInUse', `${device.name} ${proof}`);
    };
    if (device.upper.length > 0) use(`is under ${device.upper.join(', ')} (${root}/${device.name})`);
    if (device.isUp !== true) continue;
    if (device.promiscuous) use(`is up and promiscuous (${root}/${device.name}/flags)`);
    const why = whyAddressed(device, network);
    if (why !== null) use(`is up and ${why}`);
  }
}

function whyAddressed(device: NetInterface, network: HostNetwork): string | null {
  const source = network.addressed.get(device.name);
  if (source !== undefined) return source;
  if (network.unattributed.length === 0) return null;
  return `may carry one of the IPv4 addresses whose interface /proc does not tell (${network.unattributedSource})`;
}

// The interface of a device in another network namespace is not in our view: the driver is bound and there is nothing to be seen.
function noteHidden(pass: ProofPass, interfaces: NetInterfaces): void {
  const carrying = new Set([...interfaces.byName.values()].flatMap(({ addresses }) => addresses));
  for (const device of pass.wanted.values()) {
    if (!(device.classCode?.startsWith('02') ?? false) || isInert(device) || carrying.has(device.address)) continue;
    pass.notes.refuse(
      [device.address],
      'NetworkInUse',
      `driver ${device.driver ?? ''} is bound and no interface is to be seen: it lives in another network namespace, ` +
        `or is used without one (${pass.paths.device(device.bus, device.address)}/net)`,
    );
  }
}
