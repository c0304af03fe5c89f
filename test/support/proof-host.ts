// A host in memory as the proofs see it: /proc with PID 1, mount tables, open files and network tables; /sys with block devices,
// interfaces and displays; /run/udev. It starts as a healthy host on which nothing is in use, and uses are added one by one.
import type { Device } from '../../src/domain/device.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { collectProofs, type ProofOptions } from '../../src/host/proof/collect-proofs.ts';
import type { Proofs } from '../../src/host/proof/proof-notes.ts';
import { createMemoryFiles, type MemoryFiles } from '../../src/simulation/memory-files.ts';
import { aDevice, anInventory } from './builders.ts';

/** A block device to add. */
interface BlockSpec {
  /** The directory above it; a virtual device when absent. */
  readonly under?: string;
  readonly number: string;
  readonly sectors?: number;
  readonly slaves?: readonly string[];
  readonly hidden?: boolean;
  /** Name of a dm device. */
  readonly mapName?: string;
  readonly partitionOf?: string;
  /** Properties that udev found; null: udev has no record. */
  readonly udev?: Readonly<Record<string, string>> | null;
}

/** An interface to add. */
interface InterfaceSpec {
  readonly under?: string;
  /** Default 0x1003: up, broadcast, multicast. */
  readonly flags?: string;
  /** Bond, team or bridge it is enslaved to; added before. */
  readonly master?: string;
  /** Interfaces it is stacked on; added before. */
  readonly lower?: readonly string[];
}

/** A host that can be changed. */
export interface ProofHost {
  readonly files: MemoryFiles;
  /** Adds a PCI function, of interest unless `idle`; returns its directory. */
  device(
    parts: Partial<Device> & { readonly address: string; readonly behind?: string; readonly idle?: boolean },
  ): string;
  /** Adds a block device and its node; returns its directory. */
  block(name: string, spec: BlockSpec): string;
  interface(name: string, spec: InterfaceSpec): void;
  /** `options` are the superblock's. */
  mount(number: string, point: string, type: string, source: string, pid?: string, options?: string): void;
  swap(row: string): void;
  route4(name: string, destination: string, mask: string): void;
  route6(row: string): void;
  address4(address: string): void;
  address6(row: string): void;
  /** Adds a process in PID 1's mount namespace, or in one of its own. */
  process(pid: number, name: string, namespace?: string): void;
  /** Opens a node: `path` as the process sees it. */
  open(pid: number, path: string, kind: 'char' | 'block', number: string): void;
  /** Says where /sys/dev/char leads for a char number. */
  charNode(number: string, target: string): void;
  prove(more?: Partial<ProofOptions>): Promise<Proofs>;
}

const netHeader =
  'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';

/** A host with nothing but lo, an ext4 root on a virtio disk that no device of interest carries, and PID 1. */
export function createProofHost(): ProofHost {
  const files = createMemoryFiles({
    entries: {
      '/proc/1/ns/pid': { link: 'pid:[4026531836]' },
      '/proc/1/ns/mnt': { link: 'mnt:[4026531841]' },
      '/proc/1/ns/net': { link: 'net:[4026531840]' },
      '/proc/1/root': { link: '/' },
      '/proc/1/comm': 'systemd\n',
      '/proc/1/stat': '1 (systemd) S 0 1 1 0 -1 4194560 1 1 1 1\n',
      '/proc/1/fd': { directory: {} },
      '/proc/self/ns/pid': { link: 'pid:[4026531836]' },
      '/proc/self/ns/net': { link: 'net:[4026531840]' },
      '/proc/2/ns/mnt': { link: 'mnt:[4026531841]' },
      '/proc/2/root': { link: '/' },
      '/proc/2/fd': { directory: {} },
      '/proc/cmdline': 'root=/dev/vda ro\n',
      '/proc/fb': '',
      '/proc/iomem': '00000000-00000fff : Reserved\nc0000000-febfffff : PCI Bus 0000:00\n',
      '/proc/1/net/tcp':
        '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n',
      '/proc/1/net/tcp6': '  sl  local_address                         remote_address                        st\n',
      '/sys/class/graphics': { directory: {} },
      '/sys/class/drm': { directory: {} },
      '/sys/dev/char/1:3': { link: '../../devices/virtual/mem/null' },
      '/sys/bus/pci/devices': { directory: {} },
      '/run/udev/data': { directory: {} },
    },
  });
  const devices: Device[] = [];
  const directories = new Map<string, string>();
  const interest = new Set<string>();
  const mounts = new Map<string, string[]>();
  const lines = { swaps: '', route: '', ipv6: '', inet6: '', dev: '', trie: [] as string[] };
  const descriptors = new Map<number, number>();

  const writeNetwork = (): void => {
    files.put(
      '/proc/1/net/route',
      `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n${lines.route}`,
    );
    files.put(
      '/proc/1/net/ipv6_route',
      `${lines.ipv6}${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} ffffffff 00000001 00000000 00200200       lo\n`,
    );
    files.put('/proc/1/net/if_inet6', `${'0'.repeat(31)}1 01 80 10 80       lo\n${lines.inet6}`);
    files.put('/proc/1/net/dev', netHeader + lines.dev);
    const leaves = lines.trie.map((address) => `     |-- ${address}\n        /32 host LOCAL\n`).join('');
    const table = `  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n${leaves}`;
    files.put('/proc/1/net/fib_trie', `Main:\n${table}Local:\n${table}`);
  };
  const writeMounts = (pid: string): void => {
    const rows = mounts.get(pid) ?? [];
    files.put(`/proc/${pid}/mountinfo`, rows.map((row, index) => `${index + 20} 1 ${row}\n`).join(''));
  };
  const directoryOf = (address: string): string => directories.get(address) ?? `/sys/devices/pci${address.slice(0, 7)}`;

  const host: ProofHost = {
    files,
    device({ behind, idle = false, ...parts }) {
      const device = aDevice(parts);
      devices.push(device);
      if (!idle) interest.add(device.address);
      const path = `${behind === undefined ? `/sys/devices/pci${device.address.slice(0, 7)}` : directoryOf(behind)}/${device.address}`;
      directories.set(device.address, path);
      files.put(`${path}/class`, `0x${device.classCode ?? ''}\n`);
      if (device.classCode?.startsWith('0300') ?? false) files.put(`${path}/boot_vga`, '0\n');
      files.put(`/sys/bus/pci/devices/${device.address}`, { link: path });
      return path;
    },
    block(name, spec) {
      const parent = spec.under ?? `/sys/devices/virtual/block`;
      const path = `${parent}/${name}`;
      files.put(`${path}/size`, `${spec.sectors ?? 2_097_152}\n`);
      if (spec.hidden === true) files.put(`${path}/hidden`, '1\n');
      else {
        files.put(`${path}/dev`, `${spec.number}\n`);
        files.put(`/sys/dev/block/${spec.number}`, { link: path });
        files.put(`/dev/${name}`, { node: 'block', number: spec.number });
      }
      files.put(`${path}/holders`, { directory: {} });
      if (spec.partitionOf === undefined) files.put(`${path}/slaves`, { directory: {} });
      else files.put(`${path}/partition`, '1\n');
      for (const slave of spec.slaves ?? []) {
        const below = files.realPath(`/sys/class/block/${slave}`);
        files.put(`${path}/slaves/${slave}`, { link: below });
        files.put(`${below}/holders/${name}`, { link: path });
      }
      if (spec.mapName !== undefined) {
        files.put(`${path}/dm/name`, `${spec.mapName}\n`);
        files.put(`/dev/mapper/${spec.mapName}`, { link: `../${name}` });
      }
      files.put(`/sys/class/block/${name}`, { link: path });
      if (spec.udev !== null) {
        const properties = Object.entries(spec.udev ?? {}).map(([key, value]) => `E:${key}=${value}\n`);
        files.put(`/run/udev/data/b${spec.number}`, `S:disk/by-id/${name}\nI:1234567\n${properties.join('')}V:1\n`);
      }
      return path;
    },
    interface(name, spec) {
      const path = `${spec.under ?? '/sys/devices/virtual'}/net/${name}`;
      files.put(`${path}/flags`, `${spec.flags ?? '0x1003'}\n`);
      files.put(`/sys/class/net/${name}`, { link: path });
      for (const below of spec.lower ?? []) {
        const lower = files.realPath(`/sys/class/net/${below}`);
        files.put(`${path}/lower_${below}`, { link: lower });
        files.put(`${lower}/upper_${name}`, { link: path });
      }
      if (spec.master !== undefined) {
        const master = files.realPath(`/sys/class/net/${spec.master}`);
        files.put(`${path}/master`, { link: master });
        files.put(`${path}/upper_${spec.master}`, { link: master });
        files.put(`${master}/lower_${name}`, { link: path });
      }
      lines.dev += `${name.padStart(6)}: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n`;
      writeNetwork();
    },
    mount(number, point, type, source, pid = '1', options = 'rw') {
      mounts.set(pid, [
        ...(mounts.get(pid) ?? []),
        `${number} / ${point} rw,relatime shared:1 - ${type} ${source} ${options}`,
      ]);
      writeMounts(pid);
    },
    swap(row) {
      lines.swaps += `${row}\n`;
      files.put('/proc/swaps', `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${lines.swaps}`);
    },
    route4(name, destination, mask) {
      lines.route += `${name}\t${destination}\t00000000\t0001\t0\t0\t0\t${mask}\t0\t0\t0\n`;
      writeNetwork();
    },
    route6(row) {
      lines.ipv6 += `${row}\n`;
      writeNetwork();
    },
    address4(address) {
      lines.trie.push(address);
      writeNetwork();
    },
    address6(row) {
      const [address = '', , , , , name = ''] = row.split(/\s+/);
      const zero = '0'.repeat(32);
      lines.inet6 += `${row}\n`;
      lines.ipv6 += `${address} 80 ${zero} 00 ${zero} 00000000 00000002 00000000 80200001 ${name.padStart(8)}\n`;
      writeNetwork();
    },
    process(pid, name, namespace) {
      files.put(`/proc/${pid}/comm`, `${name}\n`);
      files.put(`/proc/${pid}/stat`, `${pid} (${name}) S 1 1 1 0 -1 4194560 1 1 1 1\n`);
      files.put(`/proc/${pid}/fd`, { directory: {} });
      files.put(`/proc/${pid}/root`, { link: '/' });
      files.put(`/proc/${pid}/ns/mnt`, { link: namespace ?? 'mnt:[4026531841]' });
      if (namespace !== undefined) host.mount('0:55', '/', 'overlay', 'overlay', String(pid));
    },
    open(pid, path, kind, number) {
      const stand = `/nodes/${kind}-${number}`;
      files.put(stand, { node: kind, number });
      const descriptor = descriptors.get(pid) ?? 3;
      descriptors.set(pid, descriptor + 1);
      const node = files.find(stand);
      files.put(`/proc/${pid}/fd/${descriptor}`, { link: path, ...(node === null ? {} : { leadsTo: node }) });
    },
    charNode: (number, target) => files.put(`/sys/dev/char/${number}`, { link: target }),
    prove: (more = {}) =>
      collectProofs({ files, paths: hostPaths('/'), inventory: anInventory(devices), interest, ...more }),
  };
  host.block('vda', {
    under: '/sys/devices/pci0000:00/0000:00:1f.7/virtio1/block',
    number: '254:0',
    udev: { ID_FS_TYPE: 'ext4' },
  });
  host.mount('254:0', '/', 'ext4', '/dev/vda');
  host.mount('0:21', '/proc', 'proc', 'proc');
  files.put('/proc/swaps', 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n');
  host.interface('lo', { flags: '0x9' });
  return host;
}
