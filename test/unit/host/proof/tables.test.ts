import { describe, expect, it } from 'vitest';
import { findMount, parseMountInfo, unescapePath } from '../../../../src/host/proof/mount-info.ts';
import {
  covers,
  parseAddresses6,
  parseConnections,
  parseInterfaceNames,
  parseLocalAddresses4,
  parseRoutes4,
  parseRoutes6,
  toBits,
  toText,
} from '../../../../src/host/proof/net-tables.ts';

describe('mount tables', () => {
  const text = [
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
    '30 27 0:44 /@home /home\\040dir rw shared:5 master:2 propagate_from:1 - btrfs /dev/sda2 rw,subvol=/@home',
    '31 27 0:45 / /empty rw - tmpfs  rw',
    '32 27 8:1 / /home rw unbindable - xfs /dev/sda1 rw',
    '',
  ].join('\n');

  it('reads numbers, points, types, sources and options', () => {
    const { mounts, whole } = parseMountInfo(text);
    expect(whole).toBe(true);
    expect(mounts[1]).toEqual({
      number: '0:44',
      point: '/home dir',
      type: 'btrfs',
      source: '/dev/sda2',
      options: 'rw,subvol=/@home',
    });
    expect(mounts[2]).toMatchObject({ type: 'tmpfs', source: '' });
  });

  it('is not whole with a line that is none', () => {
    expect(parseMountInfo(`${text}33 27 8:1 /`).whole).toBe(false);
    expect(parseMountInfo('nonsense').mounts).toEqual([]);
  });

  it('finds the mount below a path by whole components', () => {
    const table = parseMountInfo(text);
    expect(findMount(table, '/home/x')?.number).toBe('8:1');
    expect(findMount(table, '/homes/x')?.number).toBe('254:0');
    expect(findMount(table, 'relative')).toBeNull();
  });

  it('undoes octal escapes alone', () => {
    expect(unescapePath('/a\\040b\\134c\\x')).toBe('/a b\\c\\x');
  });
});

describe('routes', () => {
  it('reads IPv4 routes with their prefix, and leaves out those that are down', () => {
    const { rows, whole } = parseRoutes4(
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n' +
        'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0   \n' +
        'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0   \n' +
        '*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0   \n' +
        'eth9\t0000000B\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0   \n',
    );
    expect(whole).toBe(true);
    expect(rows.map((route) => [route.interface, route.prefix, route.rejects])).toEqual([
      ['eth0', 0, false],
      ['eth0', 24, false],
      ['*', 8, true],
    ]);
    const [, net] = rows;
    expect(net !== undefined && covers(net, toBits('192.0.2.77') ?? '')).toBe(true);
    expect(net !== undefined && covers(net, toBits('192.0.3.77') ?? '')).toBe(false);
    expect(net !== undefined && covers(net, toBits('::1') ?? '')).toBe(false);
  });

  it('wants the header that tells the columns', () => {
    expect(parseRoutes4('').whole).toBe(false);
    expect(parseRoutes4('eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n').whole).toBe(false);
  });

  it('reads IPv6 routes', () => {
    const zero = '0'.repeat(32);
    const { rows, whole } = parseRoutes6(
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth0\n` +
        `fd000000000000000000000000000000 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth1\n` +
        `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo\n`,
    );
    expect(whole).toBe(true);
    expect(rows.map((route) => [route.interface, route.prefix])).toEqual([
      ['eth0', 0],
      ['eth1', 64],
    ]);
    expect(parseRoutes6('').whole).toBe(false);
    expect(parseRoutes6(`${zero} 00\n`).whole).toBe(false);
  });
});

describe('addresses', () => {
  it('reads our own IPv4 addresses from the trie, and default routes of other tables', () => {
    const { addresses, foreignDefault, whole } = parseLocalAddresses4(
      'Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n' +
        '     +-- 192.0.2.0/24 2 0 2\n        |-- 192.0.2.0\n           /24 link UNICAST\n' +
        '        |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n' +
        'Id 100:\n  |-- 0.0.0.0\n     /0 universe UNICAST\n',
    );
    expect(whole).toBe(true);
    expect(addresses.map(toText)).toEqual(['192.0.2.2']);
    expect(foreignDefault).toBe(true);
    expect(parseLocalAddresses4('').whole).toBe(false);
    expect(parseLocalAddresses4('Main:\n  |-- 300.0.0.1\n').whole).toBe(false);
  });

  it('reads IPv6 addresses with their interface', () => {
    const { rows, whole } = parseAddresses6(
      'fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n20010db8000000000000000000000001 04 40 00 80     eth0\n',
    );
    expect(whole).toBe(true);
    expect(rows.map(({ address, linkLocal }) => [toText(address), linkLocal])).toEqual([
      ['fe80::fc:ff:fe00:1', true],
      ['2001:db8::1', false],
    ]);
    expect(parseAddresses6('what').whole).toBe(false);
  });

  it('turns text to bits and back', () => {
    for (const text of ['10.0.0.1', '::', '::1', '2001:db8::5', 'fd00::2', '1:2:3:4:5:6:7:8', 'fe80:0:0:1::']) {
      expect(toText(toBits(text) ?? '')).toBe(text);
    }
    expect(toText(toBits('::ffff:192.0.2.1') ?? '')).toBe('192.0.2.1');
    for (const text of ['', '10.0.0', '10.0.0.256', '1::2::3', ':::', '12345::', 'host', '1:2:3:4:5:6:7:8:9']) {
      expect(toBits(text)).toBeNull();
    }
  });
});

describe('interfaces and connections', () => {
  it('reads names, also with counters grown together with the colon', () => {
    const head = 'Inter-|   Receive  |  Transmit\n face |bytes    packets\n';
    expect(parseInterfaceNames(`${head}    lo: 1 2\nenp59s0f0np0:123456 3\n`)).toEqual({
      rows: ['lo', 'enp59s0f0np0'],
      whole: true,
    });
    expect(parseInterfaceNames('').whole).toBe(false);
  });

  it('reads established connections, IPv4 also where it is mapped into IPv6', () => {
    const head = '  sl  local_address rem_address   st\n';
    const v4 = parseConnections(
      `${head}   0: 020200C0:1F90 0A0200C0:192B 01 0:0\n   1: 00000000:0016 00000000:0000 0A 0:0\n`,
    );
    const v6 = parseConnections(
      `${head}   0: 0000000000000000FFFF0000020200C0:1F90 0000000000000000FFFF00000A0200C0:192B 01\n`,
    );
    for (const { rows, whole } of [v4, v6]) {
      expect(whole).toBe(true);
      expect(rows.map(({ local, remote, remotePort }) => [toText(local), toText(remote), remotePort])).toEqual([
        ['192.0.2.2', '192.0.2.10', 6443],
      ]);
    }
    expect(parseConnections('').whole).toBe(false);
  });
});
