// The texts of /proc that tell what a machine lives on, in the kernel's own formats (proc(5), Documentation/filesystems/proc.rst).
import type { MountSpec, NetSpec, RouteSpec } from './spec.ts';

/** /proc/PID/mountinfo. */
export function mountInfo(mounts: readonly MountSpec[]): string {
  return mounts
    .map(({ number, source, target, type }, index) => {
      const parent = index === 0 ? 1 : 20;
      return `${20 + index} ${parent} ${number} / ${escapeSpace(target)} rw,relatime shared:${index + 1} - ${type} ${escapeSpace(source)} rw\n`;
    })
    .join('');
}

/** /proc/swaps. */
export function swapsText(swaps: readonly string[]): string {
  const rows = swaps.map((path) => `${path.padEnd(40)}partition\t1048572\t\t0\t\t-2\n`);
  return `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${rows.join('')}`;
}

/** /proc/net/route: addresses in the machine's byte order, here little endian. */
export function routeText(routes: readonly RouteSpec[]): string {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const rows = routes
    .filter(({ family }) => family === 4)
    .map((route) => {
      const { address, length } = ipv4Prefix(route.destination);
      const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
      const flags = route.gateway === undefined ? '0001' : '0003';
      const gateway = littleEndian(ipv4Number(route.gateway ?? '0.0.0.0'));
      return `${route.interface}\t${littleEndian(address)}\t${gateway}\t${flags}\t0\t0\t0\t${littleEndian(mask)}\t0\t0\t0`;
    });
  return [head, ...rows].map((row) => `${row.padEnd(127)}\n`).join('');
}

/** /proc/net/ipv6_route: what was routed, each own address, and the kernel's own refusal at the end. */
export function ipv6RouteText(routes: readonly RouteSpec[], interfaces: readonly NetSpec[]): string {
  const given = routes
    .filter(({ family }) => family === 6)
    .map(({ destination, gateway, interface: name }) => {
      const [address = '::', length = '0'] = destination === 'default' ? [] : destination.split('/');
      return ipv6Row(address, Number(length), gateway ?? '::', '00000400', gateway === undefined ? 1 : 3, name);
    });
  const own = interfaces.flatMap(({ name, ipv6 }) =>
    (ipv6 ?? []).map((cidr) => ipv6Row(cidr.split('/')[0] ?? '::', 128, '::', '00000000', 0x80200001, name)),
  );
  return [...given, ...own, ipv6Row('::', 0, '::', 'ffffffff', 0x00200200, 'lo')].join('');
}

function ipv6Row(
  address: string,
  length: number,
  gateway: string,
  metric: string,
  flags: number,
  name: string,
): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const target = `${ipv6Hex(address)} ${hex(length, 2)} ${ipv6Hex('::')} 00`;
  return `${target} ${ipv6Hex(gateway)} ${metric} 00000001 00000000 ${hex(flags, 8)} ${name.padStart(8)}\n`;
}

/** /proc/net/if_inet6. */
export function ifInet6Text(interfaces: readonly NetSpec[]): string {
  return interfaces
    .flatMap(({ name, ipv6 }, index) =>
      (ipv6 ?? []).map((cidr) => {
        const [address = '::', length = '64'] = cidr.split('/');
        const scope = /^fe[89ab]/i.test(address) ? '20' : address === '::1' ? '10' : '00';
        const prefix = Number(length).toString(16).padStart(2, '0');
        return `${ipv6Hex(address)} ${(index + 1).toString(16).padStart(2, '0')} ${prefix} ${scope} 80 ${name.padStart(8)}\n`;
      }),
    )
    .join('');
}

/** /proc/net/fib_trie: the only place in /proc that lists the machine's own IPv4 addresses (`/32 host LOCAL`). */
export function fibTrieText(routes: readonly RouteSpec[], interfaces: readonly NetSpec[]): string {
  const hasDefault = routes.some(({ family, destination }) => family === 4 && destination === 'default');
  const lines = interfaces
    .flatMap(({ ipv4 }) => ipv4 ?? [])
    .map((cidr) => {
      const { address, length } = ipv4Prefix(cidr);
      const network = length === 0 ? 0 : (address & (0xffffffff << (32 - length))) >>> 0;
      return [
        `     +-- ${dotted(network)}/${length} 2 0 2\n`,
        `        |-- ${dotted(network)}\n           /${length} link UNICAST\n`,
        `        |-- ${dotted(address)}\n           /32 host LOCAL\n`,
      ].join('');
    })
    .join('');
  const leaf = hasDefault ? '     |-- 0.0.0.0\n        /0 universe UNICAST\n' : '';
  const table = `  +-- 0.0.0.0/0 3 0 5\n${leaf}${lines}`;
  return `Main:\n${table}Local:\n${table}`;
}

/** /proc/net/dev. */
export function netDevText(names: readonly string[]): string {
  const head = [
    'Inter-|   Receive                                                |  Transmit\n',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n',
  ];
  const zeros = Array.from({ length: 16 }, () => '0').join('       ');
  return [...head, ...names.map((name) => `${name.padStart(6)}: ${zeros}\n`)].join('');
}

/** /proc/net/tcp or tcp6 without a connection. */
export const noConnections =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

/** /proc/iomem of a machine whose firmware left no framebuffer. */
export const memoryMap =
  '00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n00100000-bfffffff : System RAM\n' +
  'c0000000-feafffff : PCI Bus 0000:00\nfec00000-fec003ff : IOAPIC 0\n';

/** /proc/interrupts of a machine with interrupt remapping. */
export const interruptsText =
  '            CPU0       CPU1\n  24:          0          0  IR-PCI-MSIX-0000:02:00.0    0-edge      nvme0q0\n';

const escapeSpace = (path: string): string => path.replaceAll('\\', '\\134').replaceAll(' ', '\\040');

function ipv4Prefix(cidr: string): { readonly address: number; readonly length: number } {
  if (cidr === 'default') return { address: 0, length: 0 };
  const [address = '0.0.0.0', length = '32'] = cidr.split('/');
  return { address: ipv4Number(address), length: Number(length) };
}

const ipv4Number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

const dotted = (number: number): string => [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');

function littleEndian(number: number): string {
  const bytes = [0, 8, 16, 24].map((shift) => ((number >>> shift) & 0xff).toString(16).padStart(2, '0'));
  return bytes.join('').toUpperCase();
}

function ipv6Hex(text: string): string {
  const [before = '', after = ''] = text.split('::');
  const groups = (part: string): string[] =>
    part === '' ? [] : part.split(':').map((group) => group.padStart(4, '0'));
  const head = groups(before);
  const tail = text.includes('::') ? groups(after) : [];
  const gap = Array.from({ length: 8 - head.length - tail.length }, () => '0000');
  return [...head, ...gap, ...tail].join('');
}
