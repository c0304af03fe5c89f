// Whether a bound device can be handed out, on the trees that different kernels make.
import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { verifyBound } from '../../../src/host/verify-bound.ts';
import { createMemoryFiles, type MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

const address = '0000:01:00.0';
const device = `/sys/bus/pci/devices/${address}`;
const node = { node: 'char', number: '511:0' } as const;

function tree(entries: Parameters<typeof createMemoryFiles>[0] = {}): MemoryFiles {
  return createMemoryFiles({
    entries: {
      [`${device}/driver`]: { link: '../../bus/pci/drivers/vfio-pci' },
      [`${device}/iommu_group`]: { link: '../../kernel/iommu_groups/12' },
      ...entries.entries,
    },
  });
}

async function verify(files: MemoryFiles, later?: (files: MemoryFiles) => void): Promise<string | null> {
  const clock = createVirtualClock();
  let answer: string | null | undefined;
  void verifyBound({ files, paths: hostPaths(), clock, nodeDeadline: 1_000 }, 'pci', address, 'vfio-pci').then(
    (missing) => {
      answer = missing;
    },
  );
  if (later !== undefined) clock.after(500, () => later(files));
  await clock.runUntil(() => answer !== undefined, 10_000);
  if (answer === undefined) throw new Error('no answer');
  return answer;
}

describe('a bound device', () => {
  it('with its group node is ready (5.10)', async () => {
    expect(await verify(tree({ entries: { '/dev/vfio/vfio': node, '/dev/vfio/12': node } }))).toBeNull();
  });

  it('may take a moment to get its node', async () => {
    expect(await verify(tree(), (files) => files.put('/dev/vfio/12', node))).toBeNull();
  });

  it('without an IOMMU has a node of another name', async () => {
    expect(await verify(tree({ entries: { '/dev/vfio/noiommu-12': node } }))).toBeNull();
  });

  it('with a cdev needs its node as well', async () => {
    const entries = { '/dev/vfio/vfio': node, '/dev/vfio/12': node, [`${device}/vfio-dev/vfio3/dev`]: '511:3\n' };
    expect(await verify(tree({ entries }))).toBe(
      `${address} is on vfio-pci, and its device node /dev/vfio/devices/vfio3 does not appear`,
    );
    expect(await verify(tree({ entries: { ...entries, '/dev/vfio/devices/vfio3': node } }))).toBeNull();
  });

  it('with a name and no number in vfio-dev has no cdev (6.1)', async () => {
    const entries = { '/dev/vfio/12': node, [`${device}/vfio-dev/vfio3`]: { directory: {} } };
    expect(await verify(tree({ entries }))).toBeNull();
  });

  it('on a kernel without groups for VFIO has a cdev alone', async () => {
    const entries = { [`${device}/vfio-dev/vfio3/dev`]: '511:3\n', '/dev/vfio/devices/vfio3': node };
    expect(await verify(tree({ entries }))).toBeNull();
    expect(await verify(tree({ entries: { ...entries, '/dev/vfio/vfio': node } }))).toContain(
      'group node /dev/vfio/12',
    );
  });

  it('that is none is named', async () => {
    const files = tree({ entries: { '/dev/vfio/12': 'a file is no node' } });
    expect(await verify(files)).toContain('/dev/vfio/12 does not appear');
    files.drop(`${device}/iommu_group`);
    expect(await verify(files)).toBe(`${address} is on vfio-pci and has no IOMMU group`);
    files.drop(`${device}/driver`);
    expect(await verify(files)).toBe(`${address} has no driver instead of vfio-pci`);
  });
});
