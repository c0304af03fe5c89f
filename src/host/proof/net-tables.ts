// The kernel's network tables as /proc/PID/net prints them: routes, addresses, interfaces, connections. Parsing is strict: what is not
// understood makes the table incomplete, and then what is missing from it proves nothing.

/** A parsed table; `whole` is false when a line of it could not be understood. */
export interface NetTable<Row> {
  readonly rows: readonly Row[];
  readonly whole: boolean;
}

/** A route. Addresses are bit strings, network order, so that IPv4 and IPv6 compare alike. */
export interface Route {
  readonly interface: string;
  readonly destination: string;
  /** Length of the prefix in bits. */
  readonly prefix: number;
  /** Unreachable, prohibit, blackhole: it leads nowhere. */
  readonly rejects: boolean;
  /** IPv6 only: the kernel's own route to an address of ours. */
  readonly isOwnAddress: boolean;
}

/** An address with the interface that carries it. */
export interface CarriedAddress {
  readonly interface: string;
  readonly address: string;
  readonly linkLocal: boolean;
}

/** An established connection. */
export interface Connection {
  readonly local: string;
  readonly remote: string;
  readonly remotePort: number;
}

/** The local IPv4 addresses of a network namespace, and whether a table other than main holds a default route. */
export interface LocalAddresses {
  readonly addresses: readonly string[];
  readonly foreignDefault: boolean;
  readonly whole: boolean;
}

// RTF_UP, RTF_REJECT, RTF_LOCAL: include/uapi/linux/route.h, ipv6_route.h
const up = 0x0001;
const reject = 0x0200;
const local = 0x8000_0000;

// __be32 values are printed as host-order numbers (net/ipv4/fib_trie.c, tcp_ipv4.c).
const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** /proc/PID/net/route: the main IPv4 table, without broadcast and multicast routes. */
export const parseRoutes4 = rememberLast((text: string): NetTable<Route> => {
  const [header = '', ...lines] = text.split('\n');
  return parseRows(lines, header.startsWith('Iface\tDestination\tGateway'), (fields) => {
    const [name = '', destination = '', , flagText = '', , , , mask = ''] = fields;
    if (!isHex(destination, 8) || !isHex(mask, 8) || !/^[0-9A-F]{4,8}$/i.test(flagText)) return null;
    const flags = Number.parseInt(flagText, 16);
    if ((flags & up) === 0) return [];
    const prefix = hexToBits(mask).lastIndexOf('1') + 1;
    return [
      {
        interface: name,
        destination: hexToBits(destination),
        prefix,
        rejects: (flags & reject) !== 0,
        isOwnAddress: false,
      },
    ];
  });
});

/** /proc/PID/net/ipv6_route: all IPv6 tables. */
export const parseRoutes6 = rememberLast((text: string): NetTable<Route> => {
  return parseRows(text.split('\n'), text.trim() !== '', (fields) => {
    const [destination = '', prefix = '', , , , metric = '', , , flagText = '', name = ''] = fields;
    if (fields.length !== 10 || !isHex(destination, 32) || !isHex(prefix, 2) || !isHex(flagText, 8)) return null;
    const flags = Number.parseInt(flagText, 16);
    if ((flags & up) === 0) return [];
    return [
      {
        interface: name,
        destination: plainBits(destination),
        prefix: Number.parseInt(prefix, 16),
        rejects: (flags & reject) !== 0,
        // Those that people add carry a metric.
        isOwnAddress: (flags & local) !== 0 && prefix === '80' && metric === '00000000',
      },
    ];
  });
});

/** /proc/PID/net/if_inet6 */
export const parseAddresses6 = rememberLast((text: string): NetTable<CarriedAddress> => {
  return parseRows(text.split('\n'), true, (fields) => {
    const [address = '', , , scope = '', , name = ''] = fields;
    if (fields.length !== 6 || !isHex(address, 32) || !isHex(scope, 2)) return null;
    const bits = plainBits(address);
    return [{ interface: name, address: bits, linkLocal: bits.startsWith('1111111010') }];
  });
});

/**
 * /proc/PID/net/fib_trie: the only place below /proc that names the local IPv4 addresses. It prints every table; an address of ours
 * is a leaf `|-- ADDRESS` with `/32 host LOCAL` beneath. It does not name interfaces.
 */
export const parseLocalAddresses4 = rememberLast((text: string): LocalAddresses => {
  const addresses = new Set<string>();
  let table: string | null = null;
  let leaf: string | null = null;
  let foreignDefault = false;
  let whole = true;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const title = /^(Main|Local|Id \d+):$/.exec(line)?.[1];
    if (title !== undefined) {
      table = title;
      continue;
    }
    if (/^ +\+-- [\d.]+\/\d+ \d+ \d+ \d+$/.test(line)) continue;
    const address = /^ +\|-- ([\d.]+)$/.exec(line)?.[1];
    if (address !== undefined) {
      leaf = toBits(address);
      if (leaf === null) whole = false;
      continue;
    }
    const [, prefix, scope, type] = /^ +\/(\d+) (\S+) (\S+)(?: tos=\d+)?$/.exec(line) ?? [];
    if (prefix === undefined || leaf === null || table === null) {
      whole = false;
      continue;
    }
    if (prefix === '32' && scope === 'host' && type === 'LOCAL') addresses.add(leaf);
    if (prefix === '0' && type === 'UNICAST' && table.startsWith('Id ')) foreignDefault = true;
  }
  return { addresses: [...addresses], foreignDefault, whole: whole && table !== null };
});

/** /proc/PID/net/dev: the names of all interfaces of the namespace. */
export const parseInterfaceNames = rememberLast((text: string): NetTable<string> => {
  const [first = '', second = '', ...lines] = text.split('\n');
  const whole = first.startsWith('Inter-|') && second.startsWith(' face |');
  return parseRows(lines, whole, (_fields, line) => {
    const name = /^ *([^\s/]+): *\d/.exec(line)?.[1];
    return name === undefined ? null : [name];
  });
});

/** /proc/PID/net/tcp and tcp6: established connections. */
export function parseConnections(text: string): NetTable<Connection> {
  const [header = '', ...lines] = text.split('\n');
  return parseRows(lines, /^\s+sl\s+local_address/.test(header), (fields) => {
    const [, local = '', remote = '', state = ''] = fields;
    const pattern = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/;
    const [, localHex] = pattern.exec(local) ?? [];
    const [, remoteHex, port] = pattern.exec(remote) ?? [];
    if (localHex === undefined || remoteHex === undefined || port === undefined) return null;
    if (state !== '01') return [];
    return [
      { local: unmap(hexToBits(localHex)), remote: unmap(hexToBits(remoteHex)), remotePort: Number.parseInt(port, 16) },
    ];
  });
}

/** An address as text to bits: 32 for IPv4, 128 for IPv6; null when it is none. IPv4-mapped IPv6 addresses count as IPv4. */
export function toBits(address: string): string | null {
  if (!address.includes(':')) return quadToBits(address);
  const dotted = /^(.*:)([\d.]+)$/.exec(address);
  const quad = dotted?.[2]?.includes('.') === true ? quadToBits(dotted[2]) : null;
  const text =
    quad === null ? address : `${dotted?.[1] ?? ''}${bitsToHex(quad.slice(0, 16))}:${bitsToHex(quad.slice(16))}`;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const words = [...left, ...Array.from({ length: missing }, () => '0'), ...right];
  if (!words.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return null;
  return unmap(words.map((word) => Number.parseInt(word, 16).toString(2).padStart(16, '0')).join(''));
}

/** Bits as text: dotted for IPv4; for IPv6 eight groups without leading zeros, `::` for the longest run of zeros left out. */
export function toText(bits: string): string {
  if (bits.length === 32) return (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)).join('.');
  const groups = (bits.match(/.{16}/g) ?? []).map(bitsToHex).join(':');
  let longest = { index: 0, length: 0 };
  for (const { index, 0: run } of groups.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)) {
    if (run.length > longest.length) longest = { index, length: run.length };
  }
  if (longest.length === 0) return groups;
  const before = groups.slice(0, longest.index).replace(/:$/, '');
  const after = groups.slice(longest.index + longest.length).replace(/^:/, '');
  return `${before}::${after}`;
}

/** Whether an address lies in a route's destination. */
export function covers(route: Route, address: string): boolean {
  return route.destination.length === address.length && address.startsWith(route.destination.slice(0, route.prefix));
}

/** Tables seldom change from pass to pass, and a node with many routes has long ones: what the same text said is known. */
function rememberLast<Result>(parse: (text: string) => Result): (text: string) => Result {
  let known: { readonly text: string; readonly result: Result } | null = null;
  return (text) => {
    if (known?.text !== text) known = { text, result: parse(text) };
    return known.result;
  };
}

function quadToBits(text: string): string | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return null;
  return parts.map((part) => Number(part).toString(2).padStart(8, '0')).join('');
}

function parseRows<Row>(
  lines: readonly string[],
  headed: boolean,
  parse: (fields: readonly string[], line: string) => readonly Row[] | null,
): NetTable<Row> {
  const rows: Row[] = [];
  let whole = headed;
  for (const line of lines) {
    if (line === '') continue;
    const parsed = parse(line.trim().split(/\s+/), line);
    if (parsed === null) whole = false;
    else rows.push(...parsed);
  }
  return { rows, whole };
}

function isHex(text: string, digits: number): boolean {
  return text.length === digits && /^[0-9a-f]+$/i.test(text);
}

// Words of 32 bits, each printed as a number of this machine.
function hexToBits(hex: string): string {
  return (hex.match(/.{8}/g) ?? []).map((word) => plainBits(littleEndian ? swap(word) : word)).join('');
}

function swap(word: string): string {
  return (word.match(/../g) ?? []).reverse().join('');
}

function plainBits(hex: string): string {
  return Array.from(hex, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
}

function bitsToHex(bits: string): string {
  return Number.parseInt(bits, 2).toString(16);
}

const mapped = `${'0'.repeat(80)}${'1'.repeat(16)}`;

function unmap(bits: string): string {
  return bits.length === 128 && bits.startsWith(mapped) ? bits.slice(96) : bits;
}
