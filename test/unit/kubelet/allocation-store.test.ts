import { beforeEach, describe, expect, it } from 'vitest';
import type { AllocationRecord } from '../../../src/kubelet/allocation-record.ts';
import { AllocationStore, recentPeriod } from '../../../src/kubelet/allocation-store.ts';
import type { PodHolder } from '../../../src/kubelet/pod-resources.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import type { MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../../src/simulation/virtual-clock.ts';

const path = '/var/lib/vfio-operator/allocations';
const resource = 'a.b/gpu';

let clock: VirtualClock;
let files: MemoryFiles;
beforeEach(() => {
  clock = createVirtualClock();
  files = createMemoryFiles({ entries: { '/var/lib/vfio-operator': { directory: {} } } });
});

const open = () => AllocationStore.open({ files, clock }, path);
const record = (id: string, parts: Partial<AllocationRecord> = {}): AllocationRecord => ({
  resource,
  id,
  ids: [id],
  group: 12,
  groupNode: '12',
  functions: [{ address: id, driver: 'vfio-pci', cdev: null }],
  bootId: 'boot-1',
  at: clock.now(),
  ...parts,
});
const pod = (id: string): PodHolder => ({ resource, id, namespace: 'n', pod: 'p', container: 'c' });
const used = (store: AllocationStore) => store.inUse().map((entry) => entry.record.id);

describe('the allocations file', () => {
  it('keeps every answer over a restart and a power cut', async () => {
    const store = await open();
    await store.record([record('a', { ids: ['a', 'b'] }), record('b', { ids: ['a', 'b'], group: 13 })]);
    await store.hold(12, 'n/p');
    files.powerCut();
    const next = await open();
    expect(next.find(resource, 'a')).toEqual(record('a', { ids: ['a', 'b'] }));
    expect(next.find(resource, 'b')?.group).toBe(13);
    expect(next.find('other', 'a')).toBeNull();
    expect(next.holder(12)).toBe('n/p');
    expect(next.problems).toEqual([]);
  });

  it('is on disk when record has resolved, and not before', async () => {
    const store = await open();
    const written = store.record([record('a')]);
    expect(files.readText(path)).toBe('');
    await written;
    expect(files.readText(path)).toContain('"id":"a"');
  });

  it('loses the record that was being written, and nothing before it', async () => {
    const store = await open();
    await store.record([record('a')]);
    await store.record([record('b')]);
    const text = files.readText(path);
    for (const cut of [2, 20, 60]) {
      files.put(path, text.slice(0, -cut));
      const next = await open();
      expect(next.find(resource, 'a')).not.toBeNull();
      expect(next.find(resource, 'b')).toBeNull();
      expect(next.problems).toEqual([]);
    }
  });

  it('says which line in the middle is broken, and keeps the others', async () => {
    const store = await open();
    for (const id of ['a', 'b', 'c']) await store.record([record(id)]);
    const lines = files.readText(path).split('\n');
    lines[1] = lines[1]?.replace('"b"', '"x"') ?? '';
    files.put(path, lines.join('\n'));
    const next = await open();
    expect(next.problems).toEqual([`${path}:2: the checksum does not match; line left out`]);
    expect(used(next)).toEqual(['a', 'c']);
  });

  it('rejects and forgets what could not be written, and heals at the next write', async () => {
    const store = await open();
    await store.record([record('a', { group: 1 })]);
    files.setFault((operation) => (operation === 'fsync' ? 'EIO' : null));
    await expect(store.record([record('a', { group: 2 }), record('b')])).rejects.toThrow('EIO');
    expect(store.find(resource, 'a')?.group).toBe(1);
    expect(store.find(resource, 'b')).toBeNull();
    files.setFault(null);
    await store.record([record('c')]);
    const next = await open();
    expect(next.find(resource, 'a')?.group).toBe(1);
    expect(next.find(resource, 'b')).toBeNull();
    expect(next.find(resource, 'c')).not.toBeNull();
  });

  it('does not grow without end', async () => {
    const store = await open();
    for (let round = 0; round < 1000; round += 1) await store.record([record('a')]);
    expect(files.readText(path).split('\n').length).toBeLessThan(300);
    expect(used(await open())).toEqual(['a']);
  });

  it('cannot be opened where its directory is missing', async () => {
    files.drop('/var/lib/vfio-operator');
    await expect(open()).rejects.toThrow('ENOENT');
  });
});

describe('an allocation counts as use', () => {
  it('until pods have shown and dropped it', async () => {
    const store = await open();
    await store.record([record('a')]);
    await clock.advance(1000);
    await store.observe([], clock.monotonic());
    expect(used(store)).toEqual(['a']);
    await store.observe([pod('a')], clock.monotonic());
    await clock.advance(10 * recentPeriod);
    expect(used(store)).toEqual(['a']);
    await store.observe([], clock.monotonic());
    expect(used(store)).toEqual([]);
    expect(store.find(resource, 'a')).toBeNull();
  });

  it('for five minutes if no pod ever shows it; the answer is kept for PreStartContainer', async () => {
    const store = await open();
    await store.record([record('a')]);
    await clock.advance(recentPeriod - 1);
    expect(used(store)).toEqual(['a']);
    await clock.advance(1);
    expect(used(store)).toEqual([]);
    expect(store.find(resource, 'a')).not.toBeNull();
  });

  it('over restarts, with what was shown', async () => {
    const store = await open();
    await store.record([record('a'), record('b')]);
    await clock.advance(1000);
    await store.observe([pod('a')], clock.monotonic());
    await clock.advance(2 * recentPeriod);
    const next = await open();
    expect(used(next)).toEqual(['a']);
    await next.observe([], clock.monotonic());
    expect(used(next)).toEqual([]);
  });

  it.each([
    ['back by a year', -365 * 86_400_000],
    ['ahead by a minute', 60_000],
  ])('for at most five more minutes when the wall clock jumped %s over a restart', async (_name, jump) => {
    const store = await open();
    await store.record([record('a')]);
    clock.jump(jump);
    const next = await open();
    expect(used(next)).toEqual(['a']);
    await clock.advance(recentPeriod);
    expect(used(next)).toEqual([]);
  });

  it('also where an older reading comes in after a newer one', async () => {
    const store = await open();
    const begun = clock.monotonic();
    await clock.advance(10);
    await store.record([record('a')]);
    await clock.advance(10);
    await store.observe([pod('a')], clock.monotonic());
    await store.observe([], begun);
    expect(used(store)).toEqual(['a']);
  });

  it('also where a reading that began before it says nothing of it', async () => {
    const store = await open();
    await store.record([record('a')]);
    await clock.advance(1000);
    await store.observe([pod('a')], clock.monotonic());
    const begun = clock.monotonic();
    await clock.advance(10);
    await store.record([record('a')]);
    await store.observe([], begun);
    expect(used(store)).toEqual(['a']);
  });
});
