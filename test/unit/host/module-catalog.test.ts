import { describe, expect, it } from 'vitest';
import type { Unread } from '../../../src/domain/device.ts';
import { createAliasSourceReader } from '../../../src/host/alias-sources.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { buildModuleCatalog } from '../../../src/host/module-catalog.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import type { Entry } from '../../../src/simulation/memory/entry.ts';

const release = '6.12.95';
const lib = `/lib/modules/${release}`;

function catalogOf(
  entries: Readonly<Record<string, Entry>>,
  request: { readonly modules?: readonly string[]; readonly mayLoad?: boolean } = {},
) {
  const files = createMemoryFiles({ entries });
  const unread: Unread[] = [];
  const sources = createAliasSourceReader(files, hostPaths(), release).read();
  const catalog = buildModuleCatalog(files, hostPaths(), sources, { modules: [], mayLoad: true, ...request }, (one) =>
    unread.push(one),
  );
  return { ...catalog, unread, facts: (name: string) => catalog.modules.get(name) };
}

/** /sys of a loaded module with one driver. */
function loaded(module: string, bus: string, driver: string): Record<string, Entry> {
  return {
    [`/sys/module/${module}/initstate`]: 'live\n',
    [`/sys/module/${module}/drivers/${bus}:${driver}`]: { link: `../../../bus/${bus}/drivers/${driver}` },
    [`/sys/bus/${bus}/drivers/${driver}/module`]: { link: `../../../../module/${module}` },
  };
}

const files: Record<string, Entry> = {
  [`${lib}/modules.alias`]:
    'alias vfio_pci:v* vfio_pci\nalias vfio_pci:v000015B3* mlx5_vfio_pci\nalias vfio_pci:v1* gone\n',
  [`${lib}/modules.builtin.modinfo`]: '',
  [`${lib}/modules.builtin`]: 'kernel/fs/ext4/ext4.ko\n',
  [`${lib}/modules.dep`]: [
    'kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko',
    'updates/mlx5-vfio-pci.ko: kernel/drivers/vfio/vfio.ko kernel/net/mlx5_core.ko',
    'kernel/net/mlx5_core.ko:',
    'kernel/drivers/vfio/vfio.ko:',
    '',
  ].join('\n'),
};

describe('the state of a module', () => {
  it('is what the kernel shows, then what the files say', () => {
    const { facts } = catalogOf({
      ...files,
      ...loaded('vfio_pci', 'pci', 'vfio-pci'),
      '/etc/modprobe.d/x.conf': 'blacklist mlx5-vfio-pci\nblacklist mlx5-vfio-pci\n',
    });
    expect(facts('vfio_pci')).toEqual({
      name: 'vfio_pci',
      state: 'Loaded',
      blacklistedBy: null,
      isVfio: true,
      drivers: [{ bus: 'pci', name: 'vfio-pci' }],
    });
    expect(facts('mlx5_vfio_pci')).toEqual({
      name: 'mlx5_vfio_pci',
      state: 'Available',
      blacklistedBy: '/etc/modprobe.d/x.conf:1',
      isVfio: true,
      drivers: [],
    });
    expect(facts('gone')).toMatchObject({ state: 'Missing', isVfio: false });
    expect(facts('vfio_cdx')).toMatchObject({ state: 'Missing' });
  });

  it('is not Loaded before the module has initialised', () => {
    const { facts } = catalogOf({ ...files, '/sys/module/vfio_pci/initstate': 'coming\n' });
    expect(facts('vfio_pci')).toMatchObject({ state: 'Available', drivers: [] });
  });

  it('is BuiltIn without an initstate, or by modules.builtin', () => {
    const builtin = {
      ...files,
      [`${lib}/modules.builtin`]: 'kernel/drivers/vfio/pci/vfio-pci.ko\nkernel/drivers/vfio/cdx/vfio-cdx.ko\n',
      [`${lib}/modules.dep`]: '',
      '/sys/module/vfio_pci/drivers/pci:vfio-pci': { link: '../../../bus/pci/drivers/vfio-pci' },
      '/sys/module/vfio_pci/parameters/ids': '',
    };
    const { facts } = catalogOf(builtin);
    expect(facts('vfio_pci')).toMatchObject({
      state: 'BuiltIn',
      isVfio: true,
      drivers: [{ bus: 'pci', name: 'vfio-pci' }],
    });
    expect(facts('vfio_cdx')).toMatchObject({ state: 'BuiltIn', isVfio: true, drivers: [] });
  });

  it('is BuiltIn for a generic driver that is registered and shows no module at all', () => {
    const { facts } = catalogOf({ '/sys/bus/platform/drivers/vfio-platform/bind': '' });
    expect(facts('vfio_platform')).toMatchObject({
      state: 'BuiltIn',
      isVfio: true,
      drivers: [{ bus: 'platform', name: 'vfio-platform' }],
    });
  });
});

describe('whether a module is of VFIO', () => {
  const named = { modules: ['out-of-tree', 'mlx5_core'] };

  it('is told by modules.dep', () => {
    const { facts } = catalogOf(files, named);
    expect(facts('mlx5_core')).toMatchObject({ state: 'Available', isVfio: false });
    expect(facts('out_of_tree')).toMatchObject({ state: 'Missing', isVfio: false });
  });

  it('is told by what holds the core now, for a module loaded by hand', () => {
    const { facts } = catalogOf(
      {
        ...files,
        ...loaded('out_of_tree', 'pci', 'Odd-Name'),
        '/sys/module/vfio/holders/vfio_pci_core': { link: '../../vfio_pci_core' },
        '/sys/module/vfio_pci_core/holders/out_of_tree': { link: '../../out_of_tree' },
        '/sys/module/vfio_pci_core/holders/vfio': { link: '../../vfio' },
      },
      named,
    );
    expect(facts('out_of_tree')).toEqual({
      name: 'out_of_tree',
      state: 'Loaded',
      blacklistedBy: null,
      isVfio: true,
      drivers: [{ bus: 'pci', name: 'Odd-Name' }],
    });
  });

  it('is told by the alias of its own device table where the core is built in', () => {
    const core = { [`${lib}/modules.builtin`]: 'kernel/drivers/vfio/vfio.ko\n' };
    const variant = {
      [`${lib}/modules.alias`]: 'alias vfio_pci:v1* tabled\n',
      '/etc/modprobe.d/x.conf': 'alias vfio_pci:v2* merely_configured\n',
      [`${lib}/modules.dep`]: 'updates/tabled.ko:\nupdates/merely_configured.ko:\n',
    };
    const { facts } = catalogOf({ ...files, ...variant, ...core });
    expect(facts('tabled')).toMatchObject({ state: 'Available', isVfio: true });
    expect(facts('merely_configured')).toMatchObject({ state: 'Available', isVfio: false });
    expect(catalogOf({ ...files, ...variant }).facts('tabled')).toMatchObject({ isVfio: false });
  });

  it('is told by that alias where modules.dep cannot be read, as in a copy of a host', () => {
    const { facts } = catalogOf({ [`${lib}/modules.alias`]: 'alias vfio_pci:v1* tabled\n' });
    expect(facts('tabled')).toMatchObject({ state: 'Missing', isVfio: true });
  });

  it('is told by that alias for a built-in module', () => {
    const { facts } = catalogOf({
      ...files,
      [`${lib}/modules.builtin.modinfo`]: 'patched.alias=vfio_pci:v1*\0',
      [`${lib}/modules.builtin`]: 'kernel/vendor/patched.ko\n',
    });
    expect(facts('patched')).toMatchObject({ state: 'BuiltIn', isVfio: true });
  });
});

describe('the catalog', () => {
  it('knows the module of every driver, and no module for those that have none', () => {
    const { moduleOfDriver, facts } = catalogOf({
      ...loaded('nvme', 'pci', 'nvme'),
      ...loaded('xe_vfio_pci', 'pci', 'xe-vfio-pci'),
      '/sys/bus/pci/drivers/pcieport/bind': '',
    });
    expect([...moduleOfDriver].sort()).toEqual([
      ['pci:nvme', 'nvme'],
      ['pci:xe-vfio-pci', 'xe_vfio_pci'],
    ]);
    expect(facts('nvme')).toMatchObject({ state: 'Loaded', isVfio: false });
  });

  it('finds drivers by their module link where /sys/module lists none', () => {
    const { facts } = catalogOf({
      '/sys/module/mine/initstate': 'live\n',
      '/sys/bus/cdx/drivers/mine-driver/module': { link: '../../../../module/mine' },
      '/sys/module/mine/drivers/odd': { link: 'x' },
    });
    expect(facts('mine')?.drivers).toEqual([{ bus: 'cdx', name: 'mine-driver' }]);
  });

  it('may load only where it is allowed and the kernel still does', () => {
    expect(catalogOf({}).mayLoad).toBe(true);
    expect(catalogOf({}, { mayLoad: false }).mayLoad).toBe(false);
    expect(catalogOf({ '/proc/sys/kernel/modules_disabled': '1\n' }).mayLoad).toBe(false);
    expect(catalogOf({ '/proc/sys/kernel/modules_disabled': '0\n' }).mayLoad).toBe(true);
  });

  it('holds only what matters, in order, whatever the host', () => {
    expect([...catalogOf(files).modules.keys()]).toEqual([
      'gone',
      'mlx5_vfio_pci',
      'vfio_cdx',
      'vfio_fsl_mc',
      'vfio_pci',
      'vfio_platform',
    ]);
    expect(catalogOf({}).unread).toEqual([]);
  });
});
