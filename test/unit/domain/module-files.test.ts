import { describe, expect, it } from 'vitest';
import { findVfioModules, parseModulesBuiltin, parseModulesDep } from '../../../src/domain/module-files.ts';

describe('parseModulesDep', () => {
  it('names modules by their files', () => {
    const text = [
      '# comment',
      'kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/pci/vfio-pci-core.ko.xz kernel/drivers/vfio/vfio.ko.xz',
      '/opt/out-of-tree.ko:',
      '',
      'garbage',
    ].join('\n');
    const { modules, problems } = parseModulesDep(text, 'd');
    expect([...modules]).toEqual([
      ['vfio_pci', { path: 'kernel/drivers/vfio/pci/vfio-pci.ko.xz', needs: ['vfio_pci_core', 'vfio'] }],
      ['out_of_tree', { path: '/opt/out-of-tree.ko', needs: [] }],
    ]);
    expect(problems).toEqual([{ source: 'd', line: 5, text: 'garbage', why: 'not of the form "FILE: FILE..."' }]);
  });
});

describe('parseModulesBuiltin', () => {
  it('keeps where in the tree a module lies', () => {
    const modules = parseModulesBuiltin('kernel/drivers/vfio/pci/vfio-pci.ko\n\n# x\nkernel/fs/ext4/ext4.ko');
    expect([...modules]).toEqual([
      ['vfio_pci', 'kernel/drivers/vfio/pci/vfio-pci.ko'],
      ['ext4', 'kernel/fs/ext4/ext4.ko'],
    ]);
  });
});

describe('findVfioModules', () => {
  const found = (lines: readonly string[]) =>
    [...findVfioModules(parseModulesDep(lines.join('\n'), 'd').modules)].sort();

  it('follows dependencies, also where only direct ones are listed', () => {
    const lines = [
      'updates/mine.ko: updates/layer.ko',
      'updates/layer.ko: kernel/vfio.ko',
      'kernel/vfio.ko:',
      'kernel/drivers/net/mlx5_core.ko: kernel/x.ko',
      'kernel/x.ko:',
    ];
    expect(found(lines)).toEqual(['layer', 'mine']);
  });

  it('knows a driver in drivers/vfio where the core is built in and so not listed', () => {
    const variant = 'kernel/drivers/vfio/pci/mlx5/mlx5-vfio-pci.ko: kernel/drivers/net/mlx5_core.ko';
    expect(found([variant, 'kernel/drivers/net/mlx5_core.ko:'])).toEqual(['mlx5_vfio_pci']);
  });

  it('ends on a circle', () => {
    expect(found(['a.ko: b.ko', 'b.ko: a.ko', 'c.ko: a.ko vfio.ko'])).toEqual(['c']);
  });
});
