// The list of block devices is held against the kernel's own: one that leaves disks out makes nothing free.
import { describe, expect, it } from 'vitest';
import { addNvme } from '../../../support/critical-use.ts';
import { createProofHost, type ProofHost } from '../../../support/proof-host.ts';

const partitions = 'major minor  #blocks  name\n\n 254        0    1048576 vda\n 259        0    1048576 nvme0n1\n';

async function codesOf(host: ProofHost): Promise<readonly string[]> {
  return (await host.prove()).findings.map(({ code, proof }) => `${code} ${proof}`);
}

function mounted(): ProofHost {
  const host = createProofHost();
  addNvme(host);
  host.mount('259:0', '/data', 'ext4', '/dev/nvme0n1');
  host.files.put('/proc/partitions', partitions);
  return host;
}

describe('/sys/class/block', () => {
  it('that is a whole list proves the use', async () => {
    expect(await codesOf(mounted())).toContainEqual(expect.stringMatching(/^RootStorage nvme0n1 is mounted on \/data/));
  });

  it('that is empty makes every device with a host driver Unproven', async () => {
    const host = mounted();
    host.files.drop('/sys/class/block');
    host.files.put('/sys/class/block', { directory: {} });
    expect(await codesOf(host)).toContainEqual(
      expect.stringMatching(/^Unproven \/sys\/class\/block: .*\/proc\/partitions has nvme0n1, vda/),
    );
  });

  it('whose disk cannot be followed proves nothing', async () => {
    const host = mounted();
    host.files.drop(host.files.realPath('/sys/class/block/nvme0n1'));
    expect(await codesOf(host)).toContainEqual(expect.stringMatching(/^Unproven .*\/proc\/partitions has nvme0n1/));
  });

  it('may lack a disk that is going while it is read', async () => {
    const host = mounted();
    host.files.put('/proc/partitions', `${partitions} 259        7       1024 nvme9n1\n`);
    const gone = host.files.readText.bind(host.files);
    let reads = 0;
    host.files.readText = (path, limit) => {
      if (path === '/proc/partitions' && (reads += 1) > 1) return partitions;
      return gone(path, limit);
    };
    expect((await codesOf(host)).filter((finding) => finding.startsWith('Unproven'))).toEqual([]);
  });
});
