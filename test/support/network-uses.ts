// Networks in use; each is also tested with each of its sources taken away.
import { addNic, init, nic, type CriticalUse } from './critical-use.ts';

const netSources = ['/proc/1/net/dev', '/sys/class/net', init];
const route6 = `${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003`;

/** Networks. */
export const networkUses: readonly CriticalUse[] = [
  {
    name: 'IPv4 default route',
    make(host) {
      addNic(host);
      host.route4('eth1', '00000000', '00000000');
    },
    code: 'PrimaryNetwork',
    proof: /eth1 carries the default route \(\/proc\/1\/net\/route\)/,
    sources: ['/proc/1/net/route', ...netSources],
  },
  {
    name: 'IPv6 default route',
    make(host) {
      addNic(host);
      host.route6(`${route6}     eth1`);
    },
    code: 'PrimaryNetwork',
    proof: /eth1 carries the default route \(\/proc\/1\/net\/ipv6_route\)/,
    sources: ['/proc/1/net/ipv6_route', '/proc/1/net/if_inet6', ...netSources],
  },
  {
    name: 'bond',
    make(host) {
      host.interface('bond0', {});
      host.interface('eth1', { under: host.device(nic), master: 'bond0', flags: '0x1803' });
      host.route4('bond0', '00000000', '00000000');
    },
    code: 'PrimaryNetwork',
    proof: /eth1 is under bond0, which carries the default route/,
    sources: ['/proc/1/net/route', ...netSources],
  },
  {
    name: 'bridge over a VLAN',
    make(host) {
      addNic(host);
      host.interface('br0', {});
      host.interface('eth1.100', { lower: ['eth1'], master: 'br0' });
      host.route4('br0', '00000000', '00000000');
    },
    code: 'PrimaryNetwork',
    proof: /eth1 is under br0, which carries the default route/,
    sources: ['/proc/1/net/route', ...netSources],
  },
  {
    name: 'VLAN',
    make(host) {
      addNic(host);
      host.interface('vlan5', { lower: ['eth1'] });
      host.route6(`${route6}    vlan5`);
    },
    code: 'PrimaryNetwork',
    proof: /eth1 is under vlan5, which carries the default route/,
    sources: ['/proc/1/net/ipv6_route', ...netSources],
  },
  {
    name: 'macvlan',
    make(host) {
      addNic(host);
      host.interface('mac0', { lower: ['eth1'] });
      host.route4('mac0', '00000000', '00000000');
    },
    code: 'PrimaryNetwork',
    proof: /eth1 is under mac0/,
    sources: ['/proc/1/net/route', ...netSources],
  },
  {
    name: 'team member without routes',
    make(host) {
      host.interface('team0', { flags: '0x1002' });
      host.interface('eth1', { under: host.device(nic), master: 'team0', flags: '0x1002' });
    },
    code: 'NetworkInUse',
    proof: /eth1 is under team0/,
    sources: netSources,
  },
  {
    name: 'up with an IPv4 address',
    make(host) {
      addNic(host);
      host.address4('10.1.2.3');
      host.route4('eth1', '0000010A', '0000FFFF');
    },
    code: 'NetworkInUse',
    proof: /eth1 is up and carries 10\.1\.2\.3/,
    sources: ['/proc/1/net/fib_trie', '/proc/1/net/route', ...netSources],
  },
  {
    name: 'up, and an IPv4 address that no route covers',
    make(host) {
      addNic(host);
      host.address4('10.1.2.3');
    },
    code: 'NetworkInUse',
    proof: /may carry one of the IPv4 addresses/,
    sources: ['/proc/1/net/fib_trie', ...netSources],
  },
  {
    name: 'up with a global IPv6 address',
    make(host) {
      addNic(host);
      host.address6('20010db8000000000000000000000005 02 40 00 80     eth1');
    },
    code: 'NetworkInUse',
    proof: /eth1 is up and has the address 2001:db8::5 \(\/proc\/1\/net\/if_inet6\)/,
    sources: ['/proc/1/net/if_inet6', ...netSources],
  },
  {
    name: 'in another network namespace',
    make: (host) => void host.device(nic),
    code: 'NetworkInUse',
    proof: /driver mlx5_core is bound and no interface is to be seen/,
    sources: netSources,
  },
  {
    name: 'RDMA open',
    make(host) {
      const path = host.device({ ...nic, classCode: '020700' });
      host.interface('ib0', { under: path, flags: '0x1002' });
      host.files.put(`${path}/infiniband_verbs/uverbs0`, { directory: {} });
      host.charNode('231:192', `${path}/infiniband_verbs/uverbs0`);
      host.process(4711, 'ib_write_bw');
      host.open(4711, '/dev/infiniband/uverbs0', 'char', '231:192');
    },
    code: 'NetworkInUse',
    proof: /process ib_write_bw \(4711\) has \/dev\/infiniband\/uverbs0 open/,
    sources: ['/proc/4711/fd', '/sys/dev/char', init],
  },
  {
    name: 'RDMA in software open, over a NIC without addresses',
    make(host) {
      const verbs = '/sys/devices/virtual/infiniband_verbs/uverbs0';
      const rxe = '/sys/devices/virtual/infiniband/rxe0';
      addNic(host);
      host.files.put(`${verbs}/ibdev`, { file: 'rxe0\n' });
      host.files.put(`${rxe}/parent`, { file: 'eth1\n' });
      host.files.put('/sys/class/infiniband/rxe0', { link: rxe });
      host.charNode('231:192', verbs);
      host.process(4711, 'ib_write_bw');
      host.open(4711, '/dev/infiniband/uverbs0', 'char', '231:192');
    },
    code: 'NetworkInUse',
    proof: /process ib_write_bw \(4711\) has \/dev\/infiniband\/uverbs0 open/,
    sources: [
      '/proc/4711/fd',
      '/sys/dev/char',
      '/sys/devices/virtual/infiniband_verbs/uverbs0/ibdev',
      '/sys/class/infiniband/rxe0/parent',
      '/sys/class/net',
      init,
    ],
  },
];
