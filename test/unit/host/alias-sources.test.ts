import { describe, expect, it } from 'vitest';
import { createAliasSourceReader } from '../../../src/host/alias-sources.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { encodeModuleIndex } from '../../support/module-index.ts';

const release = '6.12.95';
const lib = `/lib/modules/${release}`;

const entries = {
  [`${lib}/modules.alias`]: '# x\nalias pci:v* e1000e\nalias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\nbroken\n',
  [`${lib}/modules.builtin.modinfo`]: 'virtio_vfio_pci.alias=vfio_pci:v00001AF4d00001041sv*sd*bc*sc*i*\0',
  [`${lib}/modules.builtin`]: 'kernel/drivers/vfio/pci/virtio/virtio-vfio-pci.ko\n',
  [`${lib}/modules.dep`]:
    'kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko\nkernel/drivers/vfio/vfio.ko:\nkernel/net/e1000e.ko:\n',
  '/etc/modprobe.d/vfio.conf':
    'alias vfio_pci:v000015B3* mine\nblacklist xe-vfio-pci\ninstall qat-vfio-pci /bin/true\n',
  '/usr/lib/modprobe.d/vfio.conf': 'blacklist hidden_by_the_file_in_etc\n',
  '/usr/lib/modprobe.d/aaa.conf': 'blacklist first\n',
  '/usr/lib/modprobe.d/README': 'blacklist not_a_configuration_file\n',
  '/proc/cmdline': 'quiet modprobe.blacklist=nouveau\n',
};

function read(tree: Parameters<typeof createMemoryFiles>[0], root = '/') {
  return createAliasSourceReader(createMemoryFiles(tree), hostPaths(root), release).read();
}

describe('the alias sources of a host', () => {
  it('are read together, each entry with where it stands', () => {
    const sources = read({ entries });
    expect(sources.entries).toEqual([
      {
        pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*',
        module: 'vfio_pci',
        origin: 'file',
        source: `${lib}/modules.alias`,
        line: 3,
      },
      {
        pattern: 'vfio_pci:v00001AF4d00001041sv*sd*bc*sc*i*',
        module: 'virtio_vfio_pci',
        origin: 'builtin',
        source: `${lib}/modules.builtin.modinfo`,
        line: 1,
      },
      {
        pattern: 'vfio_pci:v000015B3*',
        module: 'mine',
        origin: 'modprobe.d',
        source: '/etc/modprobe.d/vfio.conf',
        line: 1,
      },
    ]);
    expect(sources.table.size).toBe(3);
    expect(sources.blacklist).toEqual([
      { module: 'first', source: '/usr/lib/modprobe.d/aaa.conf', line: 1 },
      { module: 'xe_vfio_pci', source: '/etc/modprobe.d/vfio.conf', line: 2 },
      { module: 'nouveau', source: '/proc/cmdline', line: 1 },
    ]);
    expect(sources.installs).toHaveLength(1);
    expect(sources.available).toEqual(new Set(['vfio_pci', 'vfio', 'e1000e']));
    expect(sources.vfio).toEqual(new Set(['vfio_pci']));
    expect(sources.builtin).toEqual(
      new Map([['virtio_vfio_pci', 'kernel/drivers/vfio/pci/virtio/virtio-vfio-pci.ko']]),
    );
    expect(sources.problems).toEqual([
      { source: `${lib}/modules.alias`, line: 4, text: 'broken', why: 'not of the form "alias PATTERN MODULE"' },
    ]);
    expect(sources.unread).toEqual([]);
  });

  it('are read from the binary indexes where the text files are missing, and that is told', () => {
    const sources = read({
      entries: {
        [`${lib}/modules.alias.bin`]: {
          file: encodeModuleIndex([
            ['pci:v*', 'e1000e'],
            ['vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci'],
          ]),
        },
        [`${lib}/modules.builtin.alias.bin`]: { file: encodeModuleIndex([['vfio_cdx:v*d*sv*sd*c*', 'vfio_cdx']]) },
        [`${lib}/modules.dep.bin`]: {
          file: encodeModuleIndex([['vfio_pci', 'kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko']]),
        },
        [`${lib}/modules.builtin.bin`]: { file: encodeModuleIndex([['vfio_cdx', '']]) },
      },
    });
    expect(sources.entries.map(({ module, origin, source }) => [module, origin, source])).toEqual([
      ['vfio_pci', 'file', `${lib}/modules.alias.bin`],
      ['vfio_cdx', 'builtin', `${lib}/modules.builtin.alias.bin`],
    ]);
    expect(sources.vfio).toEqual(new Set(['vfio_pci']));
    expect(sources.builtin?.has('vfio_cdx')).toBe(true);
    expect(sources.unread).toContainEqual({
      source: `${lib}/modules.alias`,
      why: 'ENOENT; modules.alias.bin is read instead',
    });
    expect(sources.unread).toHaveLength(4);
  });

  it('are unread where neither form is there, or the index is damaged', () => {
    const sources = read({ entries: { [`${lib}/modules.alias.bin`]: 'nonsense', [`${lib}/modules.order`]: '' } });
    expect(sources.entries).toEqual([]);
    expect(sources.available).toBeNull();
    expect(sources.builtin).toBeNull();
    expect(sources.unread).toEqual([
      { source: `${lib}/modules.alias`, why: 'ENOENT; modules.alias.bin is read instead' },
      { source: `${lib}/modules.alias.bin`, why: 'no module index' },
      { source: `${lib}/modules.builtin.modinfo`, why: 'ENOENT, and modules.builtin.alias.bin: ENOENT' },
      { source: `${lib}/modules.dep`, why: 'ENOENT, and modules.dep.bin: ENOENT' },
      { source: `${lib}/modules.builtin`, why: 'ENOENT, and modules.builtin.bin: ENOENT' },
    ]);
  });

  it('lack the kernel directory after an update without a reboot: said, and modprobe.d still counts', () => {
    const sources = read({
      entries: { '/lib/modules/6.13.0/modules.alias': '', '/etc/modprobe.d/a.conf': 'blacklist x\n' },
    });
    expect(sources.unread).toEqual([
      {
        source: lib,
        why: 'no module directory for the running kernel: its aliases and dependencies are unknown',
      },
    ]);
    expect(sources.blacklist).toHaveLength(1);
  });

  it('tell which configuration cannot be read', () => {
    const files = createMemoryFiles({ entries });
    files.setFault((operation, path) =>
      path === '/etc/modprobe.d/vfio.conf' && operation === 'open' ? 'EACCES' : null,
    );
    const sources = createAliasSourceReader(files, hostPaths(), release).read();
    expect(sources.unread).toEqual([{ source: '/etc/modprobe.d/vfio.conf', why: 'EACCES' }]);
    files.setFault((operation, path) => (path === '/etc/modprobe.d' ? 'EACCES' : null));
    const again = createAliasSourceReader(files, hostPaths(), release).read();
    expect(again.unread).toEqual([{ source: '/etc/modprobe.d', why: 'EACCES' }]);
  });

  it('honour a file masked by a link to /dev/null', () => {
    const masked = {
      ...entries,
      '/etc/modprobe.d/vfio.conf': { link: '/dev/null' },
      '/dev/null': { node: 'char', number: '1:3' },
    } as const;
    const sources = read({ entries: masked });
    expect(sources.blacklist.map(({ module }) => module)).toEqual(['first', 'nouveau']);
    expect(sources.unread).toEqual([]);
  });
});

describe('a host mounted elsewhere', () => {
  it('is followed by its own links, not into our root', () => {
    const tree = {
      '/host/lib': { link: '/usr/lib' },
      [`/host/usr/lib/modules/${release}/modules.alias`]: 'alias vfio_pci:v* theirs\n',
      '/host/etc/modprobe.d/x.conf': { link: '/usr/share/x' },
      '/host/usr/share/x': 'blacklist theirs\n',
      [`/usr/lib/modules/${release}/modules.alias`]: 'alias vfio_pci:v* ours\n',
      '/usr/share/x': 'blacklist ours\n',
    } as const;
    const sources = read({ entries: tree }, '/host');
    expect(sources.entries.map(({ module, source }) => [module, source])).toEqual([
      ['theirs', `/host/usr/lib/modules/${release}/modules.alias`],
    ]);
    expect(sources.blacklist).toEqual([{ module: 'theirs', source: '/host/usr/share/x', line: 1 }]);
  });

  it('finds the modules of NixOS', () => {
    const tree = {
      '/host/run/booted-system': { link: '/nix/store/abc-system' },
      [`/host/nix/store/abc-system/kernel-modules/lib/modules/${release}/modules.alias`]:
        'alias vfio_pci:v* vfio_pci\n',
    } as const;
    expect(read({ entries: tree }, '/host').entries).toHaveLength(1);
  });
});

describe('reading again', () => {
  const setUp = () => {
    const files = createMemoryFiles({ entries });
    let reads = 0;
    files.setFault((operation, path) => {
      if (operation === 'open' && path.startsWith('/lib/modules')) reads += 1;
      return null;
    });
    const reader = createAliasSourceReader(files, hostPaths(), release);
    return { files, reader, reads: () => reads };
  };

  it('gives the same object while nothing changed, without reading a module file', () => {
    const { reader, reads } = setUp();
    const first = reader.read();
    const before = reads();
    expect(before).toBeGreaterThan(0);
    expect(reader.read()).toBe(first);
    expect(reads()).toBe(before);
  });

  it.each([
    [`${lib}/modules.alias`, 'alias vfio_pci:v* another\n'],
    [`${lib}/modules.builtin.modinfo`, ''],
    [`${lib}/modules.dep`, ''],
    ['/etc/modprobe.d/vfio.conf', ''],
    ['/etc/modprobe.d/new.conf', 'blacklist new\n'],
    ['/run/modprobe.d/vfio.conf', 'blacklist now_hidden_by_etc_still\n'],
    ['/proc/cmdline', 'quiet\n'],
  ])('sees a change of %s', (path, text) => {
    const { files, reader } = setUp();
    const first = reader.read();
    files.put(path, text);
    const second = reader.read();
    if (path === '/run/modprobe.d/vfio.conf') expect(second).toBe(first);
    else expect(second).not.toBe(first);
  });

  it('sees a source go and come', () => {
    const { files, reader } = setUp();
    files.drop(`${lib}/modules.alias`);
    expect(reader.read().unread).toHaveLength(1);
    files.put(`${lib}/modules.alias`, 'alias vfio_pci:v* back\n');
    expect(reader.read().entries[0]?.module).toBe('back');
  });
});
