import { describe, expect, it } from 'vitest';
import { FileError } from '../../../src/runtime/ports.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
  return 'ok';
}

async function codeOfAsync(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => 'ok',
    (error: unknown) => (error instanceof FileError ? error.code : String(error)),
  );
}

const tree = {
  '/sys/devices/pci0000:00/0000:00:02.0/vendor': '0x8086\n',
  '/sys/devices/pci0000:00/0000:00:02.0/driver': { link: '../../../bus/pci/drivers/e1000e' },
  '/sys/bus/pci/drivers/e1000e': { directory: {} },
  '/sys/bus/pci/devices/0000:00:02.0': { link: '../../../devices/pci0000:00/0000:00:02.0' },
  '/loop/a': { link: 'b' },
  '/loop/b': { link: 'a' },
  '/dangling': { link: '/nowhere' },
  '/dev/vfio/12': { node: 'char', number: '243:0' },
} as const;

describe('paths', () => {
  const files = createMemoryFiles({ entries: tree });

  it('follows relative links and the .. of the directory really reached', () => {
    expect(files.readText('/sys/bus/pci/devices/0000:00:02.0/vendor')).toBe('0x8086\n');
    expect(files.realPath('/sys/bus/pci/devices/0000:00:02.0/driver')).toBe('/sys/bus/pci/drivers/e1000e');
    expect(files.realPath('/sys/bus/pci/devices/0000:00:02.0/..')).toBe('/sys/devices/pci0000:00');
    expect(files.readLink('/sys/bus/pci/devices/0000:00:02.0')).toBe('../../../devices/pci0000:00/0000:00:02.0');
    expect(files.realPath('/../..//sys/./bus/')).toBe('/sys/bus');
  });

  it('fails as Linux does', () => {
    expect(codeOf(() => files.readText('/none'))).toBe('ENOENT');
    expect(codeOf(() => files.readText('/none/below'))).toBe('ENOENT');
    expect(codeOf(() => files.readText('/sys/bus/pci/devices/0000:00:02.0/vendor/x'))).toBe('ENOTDIR');
    expect(codeOf(() => files.readText('/sys/bus/pci/devices/0000:00:02.0/vendor/'))).toBe('ENOTDIR');
    expect(codeOf(() => files.readText('/sys'))).toBe('EISDIR');
    expect(codeOf(() => files.list('/sys/bus/pci/devices/0000:00:02.0/vendor'))).toBe('ENOTDIR');
    expect(codeOf(() => files.readText('/loop/a'))).toBe('ELOOP');
    expect(codeOf(() => files.stat('/dangling'))).toBe('ENOENT');
    expect(codeOf(() => files.readLink('/sys'))).toBe('EINVAL');
    expect(codeOf(() => files.readText(`/${'n'.repeat(256)}`))).toBe('ENAMETOOLONG');
    expect(codeOf(() => files.readText(''))).toBe('ENOENT');
  });

  it('tells kinds and node numbers', () => {
    expect(files.stat('/dev/vfio/12')).toMatchObject({ kind: 'char', node: '243:0', mode: 0o600 });
    expect(files.linkStat('/dangling').kind).toBe('link');
    expect(files.stat('/sys').kind).toBe('directory');
  });
});

describe('computed files', () => {
  it('computes on reading, hands writes to the handler, refuses what it lacks', async () => {
    const written: string[] = [];
    let reads = 0;
    const files = createMemoryFiles({
      entries: {
        '/sys/count': { computed: true, read: () => `${(reads += 1)}\n` },
        '/sys/bind': { computed: true, write: (text) => void written.push(text) },
      },
    });
    expect([files.readText('/sys/count'), files.readText('/sys/count')]).toEqual(['1\n', '2\n']);
    expect(codeOf(() => files.readText('/sys/bind'))).toBe('EACCES');
    await (await files.openLog('/sys/bind', { truncate: false })).append('0000:00:02.0');
    expect(written).toEqual(['0000:00:02.0']);
    expect(await codeOfAsync(files.openLog('/sys/count', { truncate: false }))).toBe('EACCES');
    expect(await codeOfAsync(files.openLog('/sys/missing', { truncate: false }))).toBe('EACCES');
  });
});

describe('durability', () => {
  it('loses what was not fsynced, entry and content apart', async () => {
    const files = createMemoryFiles({ entries: { '/var/lib/state': { directory: {} } } });
    const log = await files.openLog('/var/lib/state/journal', { truncate: false });
    await log.append('one\n');
    await log.sync();
    files.powerCut();
    expect(files.exists('/var/lib/state/journal')).toBe(false);

    const again = await files.openLog('/var/lib/state/journal', { truncate: false });
    await again.append('one\n');
    await again.sync();
    await files.syncDirectory('/var/lib/state');
    await again.append('two\n');
    expect(files.readText('/var/lib/state/journal')).toBe('one\ntwo\n');
    files.powerCut();
    expect(files.readText('/var/lib/state/journal')).toBe('one\n');
    expect(await codeOfAsync(again.append('late'))).toBe('EIO');
  });

  it('keeps the old file until the directory is fsynced after a rename', async () => {
    const files = createMemoryFiles({ entries: { '/state/ledger': 'old' } });
    const log = await files.openLog('/state/new', { truncate: true });
    await log.append('new');
    await log.sync();
    await files.rename('/state/new', '/state/ledger');
    expect(files.readText('/state/ledger')).toBe('new');
    files.powerCut();
    expect(files.readText('/state/ledger')).toBe('old');

    const second = await files.openLog('/state/new', { truncate: true });
    await second.append('new');
    await second.sync();
    await files.rename('/state/new', '/state/ledger');
    await files.syncDirectory('/state');
    files.powerCut();
    expect(files.readText('/state/ledger')).toBe('new');
    expect(files.list('/state')).toEqual(['ledger']);
  });

  it('tears an unsynced append at a place the seed decides, never what was synced', async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 40; seed += 1) {
      const files = createMemoryFiles({ entries: { '/state/journal': 'synced;' } });
      const log = await files.openLog('/state/journal', { truncate: false });
      await log.append('lost?');
      files.powerCut(createSeededRandom(seed));
      const text = files.readText('/state/journal');
      expect('synced;lost?'.startsWith(text) && text.startsWith('synced;')).toBe(true);
      lengths.add(text.length);
    }
    expect(lengths.size).toBeGreaterThan(3);
  });

  it('creates exclusively, whole and durable', async () => {
    const files = createMemoryFiles({ entries: { '/run2': { directory: {} } } });
    await files.createExclusive('/run2/lock', 'me');
    expect(await codeOfAsync(files.createExclusive('/run2/lock', 'you'))).toBe('EEXIST');
    files.powerCut();
    expect(files.readText('/run2/lock')).toBe('me');
  });
});

describe('watches', () => {
  it('tells entries of a directory, ceases when it is replaced, and is mute on sysfs', async () => {
    const files = createMemoryFiles({ entries: { '/dev/vfio': { directory: {} }, '/sys/x/a': '1' } });
    const seen: (string | null)[] = [];
    files.watch('/dev/vfio', (name) => seen.push(name));
    files.watch('/sys/x', (name) => seen.push(`sysfs ${name ?? ''}`));
    files.put('/dev/vfio/12', { node: 'char', number: '243:0' });
    files.put('/sys/x/b', '2');
    expect(seen).toEqual([]);
    await Promise.resolve();
    expect(seen).toEqual(['12']);
    files.drop('/dev/vfio');
    files.put('/dev/vfio/13', { node: 'char', number: '243:1' });
    await Promise.resolve();
    expect(seen).toEqual(['12', null]);
    expect(codeOf(() => files.watch('/none', () => {}))).toBe('ENOENT');
  });
});

describe('faults and removal', () => {
  it('writes a part before the disk is full', async () => {
    const files = createMemoryFiles({ entries: { '/state/journal': '' } });
    files.setFault((operation) => (operation === 'write' ? { errno: 'ENOSPC', written: 3 } : null));
    const log = await files.openLog('/state/journal', { truncate: false });
    expect(await codeOfAsync(log.append('record\n'))).toBe('ENOSPC');
    files.setFault(null);
    expect(files.readText('/state/journal')).toBe('rec');
    await log.truncate(0);
    await log.append('whole\n');
    expect(files.readText('/state/journal')).toBe('whole\n');
  });

  it('fails operations by the hook', async () => {
    const files = createMemoryFiles({ entries: { '/state/journal': '' } });
    files.setFault((operation) => (operation === 'write' ? 'ENOSPC' : null));
    const log = await files.openLog('/state/journal', { truncate: false });
    expect(await codeOfAsync(log.append('x'))).toBe('ENOSPC');
    files.setFault(null);
    await log.append('x');
    expect(files.readText('/state/journal')).toBe('x');
    await files.remove('/state/journal');
    expect(await codeOfAsync(files.remove('/state/journal'))).toBe('ENOENT');
    expect(await codeOfAsync(files.remove('/state'))).toBe('EISDIR');
    await files.makeDirectory('/state/a/b', 0o700);
    await files.makeDirectory('/state/a/b', 0o700);
    expect(files.stat('/state/a/b').mode).toBe(0o700);
  });
});
