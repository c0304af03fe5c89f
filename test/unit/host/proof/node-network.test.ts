// What Kubernetes knows of the node's network, brought together with what the kernel shows.
import { describe, expect, it } from 'vitest';
import { addNic, subject } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';
import type { ProofOptions } from '../../../../src/host/proof/collect-proofs.ts';

async function codesOf(host: ProofHost, more: Partial<ProofOptions>): Promise<Record<string, string>> {
  const { findings } = await host.prove(more);
  return Object.fromEntries(
    findings.filter(({ address }) => address === subject).map(({ code, proof }) => [code, proof]),
  );
}

function withAddress(): ProofHost {
  const host = createProofHost();
  addNic(host);
  host.address4('10.1.2.3');
  host.route4('eth1', '0000010A', '0000FFFF');
  return host;
}

describe('the node', () => {
  it('keeps the interface with its address', async () => {
    expect((await codesOf(withAddress(), { nodeAddresses: ['10.1.2.3'] }))['PrimaryNetwork']).toMatch(
      /^eth1 carries the node's address 10\.1\.2\.3 \(\/proc\/1\/net\/fib_trie, \/proc\/1\/net\/route\)/,
    );
  });

  it('does not look for an address that is not on it, e.g. behind NAT', async () => {
    expect(Object.keys(await codesOf(withAddress(), { nodeAddresses: ['203.0.113.5'] }))).toEqual(['NetworkInUse']);
  });

  it('says so when its address is on no known interface', async () => {
    const host = createProofHost();
    addNic(host);
    host.address4('10.1.2.3');
    expect((await codesOf(host, { nodeAddresses: ['10.1.2.3'] }))['Unproven']).toMatch(
      /does not tell which interface carries the node's address 10\.1\.2\.3/,
    );
  });

  it('does not accept what is no address', async () => {
    expect((await codesOf(withAddress(), { nodeAddresses: ['node-1'] }))['Unproven']).toMatch(
      /node-1: this is no address/,
    );
  });

  it('keeps the interface that its connection to an API server runs over', async () => {
    const host = withAddress();
    host.files.put(
      '/proc/1/net/tcp',
      '  sl  local_address rem_address   st\n   0: 0302010A:C001 0902010A:192B 01 00000000:00000000\n',
    );
    expect((await codesOf(host, { endpoints: [{ address: '10.1.2.9', port: 6443 }] }))['PrimaryNetwork']).toMatch(
      /^eth1 carries the connection to 10\.1\.2\.9:6443/,
    );
    expect(Object.keys(await codesOf(host, { endpoints: [{ address: '10.1.2.9', port: 443 }] }))).toEqual([
      'NetworkInUse',
    ]);
    host.files.drop('/proc/1/net/tcp');
    expect(Object.keys(await codesOf(host, { endpoints: [{ address: '10.1.2.9', port: 443 }] }))).toContain('Unproven');
  });

  it('believes netlink where our process is in the network namespace of PID 1, and only there', async () => {
    const host = createProofHost();
    addNic(host);
    host.address4('10.1.2.3');
    const ownAddresses = () => [
      { name: 'dummy0', address: '10.1.2.3' },
      { name: 'eth1', address: 'fe80::1%eth1' },
    ];
    expect(await codesOf(host, { ownAddresses })).toEqual({});
    host.files.put('/proc/self/ns/net', { link: 'net:[4026533000]' });
    expect(Object.keys(await codesOf(host, { ownAddresses }))).toEqual(['NetworkInUse']);
  });

  it('is unproven when the only default route is in a table whose interfaces are not shown', async () => {
    const host = createProofHost();
    addNic(host);
    host.files.put(
      '/proc/1/net/fib_trie',
      `${host.files.readText('/proc/1/net/fib_trie')}Id 100:\n  |-- 0.0.0.0\n     /0 universe UNICAST\n`,
    );
    expect((await codesOf(host, {}))['Unproven']).toMatch(
      /default route in a table whose interfaces \/proc does not name/,
    );
  });
});
