// Stacked devices are known from either end: the kernel keeps links both ways, and one of them is enough.
import { describe, expect, it } from 'vitest';
import { addNic, addNvme, nic } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';

async function proofOf(host: ProofHost, code: string): Promise<string | undefined> {
  return (await host.prove()).findings.find((finding) => finding.code === code)?.proof;
}

function mountedVolume(): ProofHost {
  const host = createProofHost();
  addNvme(host);
  host.block('dm-0', { number: '253:0', slaves: ['nvme0n1'], mapName: 'vg-root' });
  host.mount('253:0', '/home', 'xfs', '/dev/mapper/vg-root');
  return host;
}

describe('a block device under another', () => {
  const carried = /^nvme0n1 carries dm-0 \(vg-root\), which is mounted on \/home/;

  it('is known by the holder that it names', async () => {
    const host = mountedVolume();
    host.files.drop('/sys/devices/virtual/block/dm-0/slaves/nvme0n1');
    expect(await proofOf(host, 'RootStorage')).toMatch(carried);
  });

  it('is known by the slave that the other names', async () => {
    const host = mountedVolume();
    host.files.drop(`${host.files.realPath('/sys/class/block/nvme0n1')}/holders/dm-0`);
    expect(await proofOf(host, 'RootStorage')).toMatch(carried);
  });

  it('does not send us in circles', async () => {
    const host = mountedVolume();
    host.files.put('/sys/devices/virtual/block/dm-0/slaves/dm-0', { link: '..' });
    expect(await proofOf(host, 'RootStorage')).toMatch(carried);
  });
});

describe('an interface under another', () => {
  it('is known by the upper one that it names', async () => {
    const host = createProofHost();
    host.interface('br0', {});
    host.interface('eth1', { under: host.device(nic), master: 'br0' });
    host.files.drop('/sys/devices/virtual/net/br0/lower_eth1');
    host.route4('br0', '00000000', '00000000');
    expect(await proofOf(host, 'PrimaryNetwork')).toMatch(/^eth1 is under br0/);
  });

  it('is known by the lower one that the other names', async () => {
    const host = createProofHost();
    addNic(host);
    host.interface('vlan5', { lower: ['eth1'] });
    host.files.drop(`${host.files.realPath('/sys/class/net/eth1')}/upper_vlan5`);
    host.route4('vlan5', '00000000', '00000000');
    expect(await proofOf(host, 'PrimaryNetwork')).toMatch(/^eth1 is under vlan5/);
  });
});
