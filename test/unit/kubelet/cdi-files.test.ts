import { beforeEach, describe, expect, it } from 'vitest';
import type { ResourcePool } from '../../../src/domain/resource-pool.ts';
import { cdiFileName, createCdiFiles } from '../../../src/kubelet/cdi-files.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import type { MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { cdiViolations } from '../../support/cdi-runtime.ts';
import { aPool, anAdvertised } from '../../support/pools.ts';

const gpu = anAdvertised('0000:3b:00.0', { iommuGroup: 12 });
const nic = anAdvertised('0000:65:00.0', { iommuGroup: 20 });
const gpus = aPool([gpu], { cdi: true });
const nics = aPool([nic], { resource: 'a.b/nic', cdi: true });
const gpuPath = `/cdi/${cdiFileName('vfio-operator.dev/gpu')}`;
const nicPath = `/cdi/${cdiFileName('a.b/nic')}`;
const nothing = { written: [], removed: [], problems: [] };

let files: MemoryFiles;
let writes: string[];
let cdi: ReturnType<typeof createCdiFiles>;
beforeEach(() => {
  // Not /var/run: a power cut spares nothing in this one.
  files = createMemoryFiles({ entries: { '/cdi': { directory: {} } } });
  cdi = createCdiFiles(files, '/cdi');
  writes = [];
  files.setFault((operation, path) => {
    if (['write', 'rename', 'unlink'].includes(operation)) writes.push(`${operation} ${path}`);
    return null;
  });
});

const offer = (pools: readonly ResourcePool[], inUse: readonly string[] = []) =>
  cdi.offer({ pools, inUse: new Set(inUse) });
const ensure = (resource: string, pools: readonly ResourcePool[]) => cdi.ensure(resource, { pools, inUse: new Set() });
const read = (path: string): unknown => JSON.parse(files.readText(path));

describe('a document', () => {
  it('has a name that runtimes read and that no resource can spoil', () => {
    expect(cdiFileName('vfio-operator.dev/gpu')).toMatch(/^vfio-operator-[0-9a-f]{16}\.json$/);
    expect(cdiFileName('a/b')).not.toBe(cdiFileName('a/c'));
  });

  it('appears whole, on disk, and by a rename from a name that runtimes do not read', async () => {
    expect(await offer([gpus, nics, aPool([nic], { resource: 'plain.dev/nic' })])).toEqual({
      written: [nicPath, gpuPath],
      removed: [],
      problems: [],
    });
    expect(cdiViolations(read(gpuPath))).toEqual([]);
    expect(read(nicPath)).toMatchObject({ kind: 'a.b/nic', devices: [{ name: nic.id }] });
    expect(writes.filter((line) => line.startsWith('rename'))).toEqual([
      `rename ${nicPath}.new`,
      `rename ${gpuPath}.new`,
    ]);
    files.powerCut();
    expect(files.list('/cdi').toSorted()).toEqual([gpuPath, nicPath].map((path) => path.slice(5)).toSorted());
  });

  it('is written only when it changes', async () => {
    await offer([gpus]);
    writes = [];
    expect(await offer([gpus])).toEqual(nothing);
    expect(await ensure(gpus.resource, [gpus])).toBeNull();
    expect(writes).toEqual([]);
    const moved = aPool([anAdvertised(gpu.id, { iommuGroup: 31 })], { cdi: true });
    expect(await offer([moved])).toEqual({ ...nothing, written: [gpuPath] });
    expect(files.readText(gpuPath)).toContain('"/dev/vfio/31"');
  });

  it('comes back when somebody removed or damaged it', async () => {
    await offer([gpus]);
    const text = files.readText(gpuPath);
    files.drop(gpuPath);
    expect(await ensure(gpus.resource, [gpus])).toBeNull();
    expect(files.readText(gpuPath)).toBe(text);
    files.put(gpuPath, '{"kind":');
    expect(await offer([gpus])).toEqual({ ...nothing, written: [gpuPath] });
    expect(files.readText(gpuPath)).toBe(text);
  });

  it('is the only one that ensure cares for', async () => {
    await offer([gpus, nics]);
    files.drop(nicPath);
    expect(await ensure(gpus.resource, [gpus])).toBeNull();
    expect(files.exists(nicPath)).toBe(false);
    expect(files.exists(gpuPath)).toBe(true);
  });

  it('is not written by two at once', async () => {
    const other = aPool([nic], { cdi: true });
    await Promise.all([offer([gpus]), ensure(other.resource, [other]), offer([gpus])]);
    expect(read(gpuPath)).toMatchObject({ devices: [{ name: gpu.id }] });
    expect(files.list('/cdi')).toHaveLength(1);
    expect(writes.map((line) => line.split(' ')[0])).toEqual(['write', 'rename', 'write', 'rename', 'write', 'rename']);
  });
});

describe('what is over', () => {
  it('goes, also when an earlier agent left it', async () => {
    await offer([gpus, nics]);
    cdi = createCdiFiles(files, '/cdi');
    expect(await offer([gpus])).toEqual({ ...nothing, removed: [nicPath] });
    expect(await offer([aPool([], { cdi: true })])).toEqual({ ...nothing, removed: [gpuPath] });
  });

  it('stays while a pod has a device that it was given by name', async () => {
    await offer([gpus]);
    const plain = aPool([gpu, nic]);
    expect(await offer([plain], [plain.resource])).toEqual({ ...nothing, written: [gpuPath] });
    expect(read(gpuPath)).toMatchObject({ devices: [{ name: gpu.id }, { name: nic.id }] });
    expect(await offer([plain], ['a.b/nic'])).toEqual({ ...nothing, removed: [gpuPath] });
    expect(await offer([plain], [plain.resource])).toEqual(nothing);
  });

  it('includes the leftover of an interrupted write', async () => {
    files.put(`${nicPath}.new`, '{"cdiVer');
    expect(await offer([gpus])).toEqual({ ...nothing, written: [gpuPath], removed: [`${nicPath}.new`] });
  });
});

describe('what is not ours', () => {
  const foreign = {
    '/cdi/nvidia.yaml': 'kind: nvidia.com/gpu\n',
    '/cdi/vfio-operator.json': '{"kind":"a.b/nic"}',
    '/cdi/vfio-operator-notes.json': '{"kind":"a.b/nic"}',
    '/cdi/vfio-operator-0123456789abcdef.json': '{"kind":"a.b/nic","devices":[]}',
    '/cdi/vfio-operator-fedcba9876543210.json': 'no JSON',
    '/cdi/vfio-operator-1111111111111111.json.new.bak': '',
  };

  it('is never touched, whatever it is called', async () => {
    for (const [path, text] of Object.entries(foreign)) files.put(path, text);
    await offer([gpus, nics]);
    await offer([]);
    expect(files.list('/cdi').toSorted()).toEqual(
      Object.keys(foreign)
        .map((path) => path.slice(5))
        .toSorted(),
    );
    for (const [path, text] of Object.entries(foreign)) expect(files.readText(path)).toBe(text);
  });

  it('is not overwritten where it has our very name', async () => {
    files.put(gpuPath, '{"kind":"other.dev/thing"}');
    const sentence = `${gpuPath} holds the kind other.dev/thing of somebody else, so it is left alone; remove it`;
    expect(await ensure(gpus.resource, [gpus])).toBe(sentence);
    expect(await offer([gpus, nics])).toEqual({ written: [nicPath], removed: [], problems: [sentence] });
    expect(read(gpuPath)).toEqual({ kind: 'other.dev/thing' });
  });
});

describe('a directory that cannot be used', () => {
  const cure = "/cdi (--cdi-dir) must be the runtime's CDI directory, exist, and be writable for the agent";

  it('is not made, and named when it is missing', async () => {
    files.drop('/cdi');
    const sentence = `the CDI document of vfio-operator.dev/gpu cannot be written: open ${gpuPath}.new: ENOENT; ${cure}`;
    expect(await ensure(gpus.resource, [gpus])).toBe(sentence);
    expect(await offer([gpus])).toEqual({ ...nothing, problems: [sentence] });
    expect(files.exists('/cdi')).toBe(false);
    expect(await offer([aPool([gpu])])).toEqual(nothing);
  });

  it.each(['EROFS', 'EACCES', 'ENOSPC'])('is named with %s, and the old document is still there', async (errno) => {
    await offer([gpus, nics]);
    const text = files.readText(gpuPath);
    files.setFault((operation) => (['write', 'unlink'].includes(operation) ? errno : null));
    const both = aPool([gpu, nic], { cdi: true });
    expect(await ensure(both.resource, [both])).toBe(
      `the CDI document of vfio-operator.dev/gpu cannot be written: write ${gpuPath}.new: ${errno}; ${cure}`,
    );
    expect(files.readText(gpuPath)).toBe(text);
    const { problems } = await offer([gpus]);
    expect(problems).toContain(
      `${nicPath} is not needed any more and cannot be removed: unlink ${nicPath}: ${errno}; ${cure}`,
    );
    files.setFault(null);
    expect(await ensure(both.resource, [both])).toBeNull();
  });
});
