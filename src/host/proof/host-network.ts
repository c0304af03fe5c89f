// What PID 1's network namespace tells about addresses and routes, put together: which interfaces the node cannot do without, which
// carry addresses, and what /proc leaves open.
//
// IPv6 is told outright (if_inet6, ipv6_route name the interface). IPv4 is not: fib_trie names our addresses without interfaces, and
// route names interfaces with the networks they lead to. So an address belongs to every interface with a route that covers it, which
// is more than the truth and never less; an address that no route covers may be on any interface that is up. Where our own process
// is in the host's network namespace, netlink's answer replaces the guess.
import { isAbsent, valueOf, type Failure } from './evidence.ts';
import {
  covers,
  parseAddresses6,
  parseConnections,
  parseLocalAddresses4,
  parseRoutes4,
  parseRoutes6,
  toBits,
  toText,
  type CarriedAddress,
  type NetTable,
  type Route,
} from './net-tables.ts';
import type { InterfaceAddress } from './ports.ts';
import type { ProofPass } from './proof-pass.ts';

/** The host's network, as far as it can be known. */
export interface HostNetwork {
  /** Interfaces the node cannot do without, with the rest of the sentence that begins with their name. */
  readonly primary: readonly { readonly name: string; readonly why: string }[];
  /** Something the node cannot do without is on an interface that cannot be told; null when all is told. */
  readonly lostPrimary: Failure | null;
  /** Interfaces with an address or a route, with the rest of the sentence. */
  readonly addressed: ReadonlyMap<string, string>;
  /** IPv4 addresses of the host whose interface cannot be told. */
  readonly unattributed: readonly string[];
  readonly unattributedSource: string;
  readonly blind: readonly Failure[];
}

/** What is known from elsewhere. */
export interface NetworkHints {
  /** Addresses of the node, as Kubernetes or the operator knows them. */
  readonly nodeAddresses: readonly string[];
  /** Peers whose loss would cut the node off: API servers. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** Addresses by interface as netlink tells the network namespace of our own process; null when that is not to be had. */
  readonly ownAddresses: (() => readonly InterfaceAddress[]) | null;
}

/** Where an address was found. `names` is empty when it is the host's and its interface is unknown. */
interface Place {
  readonly names: readonly string[];
  readonly source: string;
}

/** Reads and joins the tables; never throws. */
export function readHostNetwork(pass: ProofPass, hints: NetworkHints): HostNetwork {
  const blind: Failure[] = [];
  const table = <Row>(name: string, parse: (text: string) => NetTable<Row>): readonly Row[] => {
    const source = pass.paths.hostNet(name);
    const reading = pass.evidence.text(source);
    if ('errno' in reading) {
      blind.push({ source, why: `read: ${reading.errno}` });
      return [];
    }
    const parsed = parse(reading.value);
    if (!parsed.whole) blind.push({ source, why: 'this is not a whole table' });
    return parsed.rows;
  };
  const withIpv6 = !['ipv6_route', 'if_inet6', 'tcp6'].every((name) =>
    isAbsent(pass.evidence.stat(pass.paths.hostNet(name))),
  );
  const routes4 = table('route', parseRoutes4);
  const routes6 = withIpv6 ? table('ipv6_route', parseRoutes6) : [];
  const addresses6 = withIpv6 ? table('if_inet6', parseAddresses6) : [];
  // The kernel keeps a route to each of our addresses: an address list that lacks one is cut short.
  const listed = new Set(addresses6.map(({ address }) => address));
  const missing = routes6.find((route) => route.isOwnAddress && !listed.has(route.destination));
  if (missing !== undefined) {
    blind.push({ source: pass.paths.hostNet('if_inet6'), why: `it lacks our address ${toText(missing.destination)}` });
  }
  const own = readOwnAddresses(pass, hints);
  const trie = pass.paths.hostNet('fib_trie');
  const local4 = readLocalAddresses(pass, trie, blind);
  const routeSource = pass.paths.hostNet('route');

  const place4 = (address: string): Place | null => {
    if (own !== null) {
      const names = own.filter((entry) => entry.address === address).map((entry) => entry.interface);
      return names.length === 0 ? null : { names, source: 'netlink' };
    }
    if (!local4.addresses.includes(address)) return null;
    const routes = routes4.filter((route) => route.prefix > 1 && covers(route, address));
    return { names: [...new Set(routes.map((route) => route.interface))], source: `${trie}, ${routeSource}` };
  };
  const place = (address: string): Place | null => {
    if (address.length === 32) return place4(address);
    const names = addresses6.filter((entry) => entry.address === address).map((entry) => entry.interface);
    return names.length === 0 ? null : { names, source: pass.paths.hostNet('if_inet6') };
  };

  const locals4 = (own === null ? local4.addresses : []).filter((address) => !isLoopback(address));
  const primary = [
    ...routes4
      .filter(isDefault)
      .map((route) => ({ name: route.interface, why: `carries the default route (${routeSource})` })),
    ...routes6.filter(isDefault).map((route) => ({
      name: route.interface,
      why: `carries the default route (${pass.paths.hostNet('ipv6_route')})`,
    })),
  ];
  let lostPrimary: Failure | null = null;
  if (primary.length === 0 && local4.foreignDefault) {
    lostPrimary = { source: trie, why: 'there is a default route in a table whose interfaces /proc does not name' };
  }
  const needed = [...nodeNeeds(hints), ...connectionNeeds(pass, hints, withIpv6, table)];
  for (const { bits, what } of needed) {
    const found = bits === null ? null : place(bits);
    if (bits === null) lostPrimary ??= { source: what, why: 'this is no address' };
    else if (found !== null && found.names.length > 0) {
      primary.push(...found.names.map((name) => ({ name, why: `carries ${what} (${found.source})` })));
    } else if (found !== null && primary.length === 0) {
      lostPrimary ??= { source: trie, why: `/proc does not tell which interface carries ${what}` };
    }
  }
  return {
    primary: primary.filter(({ name }) => name !== 'lo'),
    lostPrimary,
    addressed: findAddressed(pass, { routes4, routes6, addresses6, locals4, own, place4 }),
    unattributed: locals4.filter((address) => place4(address)?.names.length === 0).map(toText),
    unattributedSource: trie,
    blind,
  };
}

function nodeNeeds(hints: NetworkHints): readonly { bits: string | null; what: string }[] {
  return hints.nodeAddresses.map((address) => ({ bits: toBits(address), what: `the node's address ${address}` }));
}

// The connection to an API server shows which of our addresses, and so which interface, it runs over.
function connectionNeeds(
  pass: ProofPass,
  hints: NetworkHints,
  withIpv6: boolean,
  table: <Row>(name: string, parse: (text: string) => NetTable<Row>) => readonly Row[],
): readonly { bits: string | null; what: string }[] {
  if (hints.endpoints.length === 0) return [];
  const connections = [...table('tcp', parseConnections), ...(withIpv6 ? table('tcp6', parseConnections) : [])];
  return hints.endpoints.flatMap(({ address, port }): readonly { bits: string | null; what: string }[] => {
    const remote = toBits(address);
    const what = `the connection to ${address}:${port} (${pass.paths.hostNet('tcp')})`;
    if (remote === null) return [{ bits: null, what }];
    return connections
      .filter(
        (connection) => connection.remote === remote && connection.remotePort === port && !isLoopback(connection.local),
      )
      .map((connection) => ({ bits: connection.local, what }));
  });
}

function findAddressed(
  pass: ProofPass,
  tables: {
    readonly routes4: readonly Route[];
    readonly routes6: readonly Route[];
    readonly addresses6: readonly CarriedAddress[];
    readonly locals4: readonly string[];
    readonly own: readonly { readonly interface: string; readonly address: string }[] | null;
    readonly place4: (address: string) => Place | null;
  },
): ReadonlyMap<string, string> {
  const addressed = new Map<string, string>();
  const add = (name: string, why: string): void => {
    if (!addressed.has(name)) addressed.set(name, why);
  };
  for (const { interface: name, address, linkLocal } of tables.addresses6) {
    if (!linkLocal && !isLoopback(address))
      add(name, `has the address ${toText(address)} (${pass.paths.hostNet('if_inet6')})`);
  }
  for (const { interface: name, address } of tables.own ?? []) {
    if (!isLinkLocal6(address) && !isLoopback(address)) add(name, `has the address ${toText(address)} (netlink)`);
  }
  for (const address of tables.locals4) {
    const found = tables.place4(address);
    for (const name of found?.names ?? []) add(name, `carries ${toText(address)} (${found?.source ?? ''})`);
  }
  for (const route of tables.routes4) {
    if (!route.rejects) add(route.interface, `carries a route (${pass.paths.hostNet('route')})`);
  }
  for (const route of tables.routes6) {
    const plain =
      !route.rejects &&
      !route.isOwnAddress &&
      !isLinkLocal6(route.destination) &&
      !route.destination.startsWith('11111111');
    if (plain && route.interface !== 'lo')
      add(route.interface, `carries a route (${pass.paths.hostNet('ipv6_route')})`);
  }
  return addressed;
}

function readLocalAddresses(
  pass: ProofPass,
  source: string,
  blind: Failure[],
): ReturnType<typeof parseLocalAddresses4> {
  const reading = pass.evidence.text(source);
  if ('errno' in reading) {
    blind.push({ source, why: `read: ${reading.errno}` });
    return { addresses: [], foreignDefault: false, whole: false };
  }
  const parsed = parseLocalAddresses4(reading.value);
  if (!parsed.whole) blind.push({ source, why: 'this is not a whole table' });
  return parsed;
}

// Netlink answers for the network namespace of our own process, so it counts only when that is PID 1's.
function readOwnAddresses(
  pass: ProofPass,
  hints: NetworkHints,
): readonly { readonly interface: string; readonly address: string }[] | null {
  if (hints.ownAddresses === null) return null;
  const ours = valueOf(pass.evidence.link(`${pass.paths.process('self')}/ns/net`));
  if (ours === null || ours !== valueOf(pass.evidence.link(`${pass.paths.init}/ns/net`))) return null;
  return hints.ownAddresses().flatMap(({ name, address }) => {
    const bits = toBits(address.replace(/%.*$/, ''));
    return bits === null ? [] : [{ interface: name, address: bits }];
  });
}

// Also what stands for a default route: two halves of the space, or all global unicast of IPv6.
function isDefault(route: Route): boolean {
  return !route.rejects && route.prefix <= (route.destination.length === 32 ? 1 : 3);
}

function isLoopback(address: string): boolean {
  return address.length === 32 ? address.startsWith('01111111') : /^0{127}1$/.test(address);
}

function isLinkLocal6(address: string): boolean {
  return address.length === 128 && address.startsWith('1111111010');
}
