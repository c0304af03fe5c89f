// From the candidates and the policy's wishes to the driver, or the sentence that says why there is none.
import { describe, expect, test } from 'vitest';
import { buildAliasTable } from '../../../src/domain/alias-table.ts';
import { chooseTarget, declaredEntries } from '../../../src/domain/choose-target.ts';
import type { Device } from '../../../src/domain/device.ts';
import type { ModuleCatalog } from '../../../src/domain/driver-choice.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { aCatalog, aDevice, aliasLines, anAlias, aPolicy } from '../../support/builders.ts';

const vf = aDevice({ address: '0000:02:00.1', vendor: '15b3', device: '101e' });
const withDriver = (driver: Partial<Policy['driver']>): Policy =>
  aPolicy({ name: 'p', driver: { name: null, module: null, requireVariant: false, aliases: [], ...driver } });

/** `module driver`, or the refusal as text. */
function target(
  driver: Partial<Policy['driver']>,
  {
    catalog = aCatalog(),
    device = vf,
    lines = aliasLines,
  }: { catalog?: ModuleCatalog; device?: Device; lines?: typeof aliasLines } = {},
): string {
  const { target: chosen, refusal } = chooseTarget(device, withDriver(driver), buildAliasTable(lines), catalog);
  if (refusal !== null) return `${refusal.code}: ${refusal.message}`;
  return `${chosen?.module ?? 'no module'} ${chosen?.name ?? 'unnamed'}`;
}

describe('by the algorithm', () => {
  test('the driver that the module has registered on that bus', () => {
    expect(target({})).toBe('mlx5_vfio_pci mlx5_vfio_pci');
    expect(target({ requireVariant: true })).toBe('mlx5_vfio_pci mlx5_vfio_pci');
  });

  test('a variant is required and there is only the generic one', () => {
    const device = aDevice({ address: '0000:01:00.0' });
    expect(target({ requireVariant: true }, { device })).toMatch(
      /^NoDriver: no variant driver matches vfio_pci:v00008086/,
    );
    expect(target({ requireVariant: true }, { device, lines: [] })).toMatch(/^NoDriver: no variant driver matches/);
  });

  test('nothing is usable', () => {
    const catalog = aCatalog([{ name: 'vfio_pci', state: 'Missing' }]);
    expect(target({}, { catalog, lines: [] })).toBe(
      `NoDriver: no VFIO driver for ${vf.modalias ?? ''}: no usable alias matches, and the generic module vfio_pci is not on this host`,
    );
    expect(target({}, { catalog, device: { ...vf, modalias: null } })).toMatch(
      /^NoDriver: no VFIO driver for a device without modalias/,
    );
  });

  test('the module is loaded and has registered nothing on this bus', () => {
    const catalog = aCatalog([{ name: 'mlx5_vfio_pci', drivers: [{ bus: 'platform', name: 'x' }] }]);
    expect(target({}, { catalog })).toBe(
      'NoDriver: module mlx5_vfio_pci is loaded but has registered no driver on bus pci',
    );
  });

  test('the module is not installed, or must not be loaded', () => {
    expect(target({}, { catalog: aCatalog([{ name: 'mlx5_vfio_pci', state: 'Missing' }]) })).toBe(
      'ModuleMissing: module mlx5_vfio_pci is not installed for this kernel',
    );
    const catalog = { ...aCatalog([{ name: 'mlx5_vfio_pci', state: 'Available' }]), mayLoad: false };
    expect(target({}, { catalog })).toMatch(
      /^ModuleMissing: module mlx5_vfio_pci is not loaded, and this agent may not/,
    );
    expect(target({}, { catalog: { ...catalog, mayLoad: true } })).toBe('mlx5_vfio_pci unnamed');
  });

  test('the policy adds an entry of its own', () => {
    const aliases = [{ pattern: 'vfio_pci:v000015B3d0000101Esv*sd*bc02sc*i*', module: 'my-vfio' }];
    const catalog = aCatalog([{ name: 'my_vfio', drivers: [{ bus: 'pci', name: 'mine' }] }]);
    expect(target({ aliases }, { catalog })).toBe('my_vfio mine');
    const policy = withDriver({ aliases });
    expect(declaredEntries(policy)).toBe(declaredEntries(policy));
  });
});

describe('by name', () => {
  test('the module that has registered it', () => {
    expect(target({ name: 'vfio-pci' })).toBe('vfio_pci vfio-pci');
  });

  test('the module that the policy gives', () => {
    const catalog = aCatalog([{ name: 'my_vfio', drivers: [{ bus: 'pci', name: 'mine' }] }]);
    expect(target({ name: 'mine', module: 'my-vfio' }, { catalog })).toBe('my_vfio mine');
    expect(target({ name: 'other', module: 'my-vfio' }, { catalog })).toBe(
      'NoDriver: module my_vfio is loaded but has not registered driver other',
    );
    expect(target({ name: 'mine', module: 'nothing' }, { catalog })).toMatch(/^ModuleMissing: module nothing is not/);
  });

  test('else the candidate that is not loaded and goes by that name', () => {
    const lines = [anAlias('vfio_pci:v000015B3d*sv*sd*bc*sc*i*', 'other_vfio', 3), ...aliasLines];
    const names = ['mlx5_vfio_pci', 'other_vfio'].map((name) => ({ name, state: 'Available' as const, drivers: [] }));
    const catalog = { ...aCatalog(names), moduleOfDriver: new Map() };
    expect(target({ name: 'other-vfio' }, { lines, catalog })).toBe('other_vfio other-vfio');
  });

  test('else the only candidate that is not loaded', () => {
    const catalog = aCatalog([{ name: 'mlx5_vfio_pci', state: 'Available', drivers: [] }]);
    expect(target({ name: 'mlx5-special' }, { catalog })).toBe('mlx5_vfio_pci mlx5-special');
  });

  test('else nobody can say which module', () => {
    expect(target({ name: 'mystery' })).toBe(
      'NoDriver: no module is known to register driver mystery; name it in driver.module',
    );
    const nothing = aCatalog([{ name: 'vfio_pci', state: 'Missing' }]);
    expect(target({ name: 'mystery' }, { catalog: nothing, lines: [] })).toMatch(/^NoDriver: no module is known/);
  });

  test('a host driver is no VFIO driver, and a blacklisted one is none', () => {
    expect(target({ name: 'e1000e' })).toBe(
      'NoDriver: module e1000e is no VFIO driver: it does not depend on the VFIO core',
    );
    const catalog = aCatalog([
      { name: 'vfio_pci', blacklistedBy: '/etc/modprobe.d/a.conf:1', drivers: [{ bus: 'pci', name: 'vfio-pci' }] },
    ]);
    expect(target({ name: 'vfio-pci' }, { catalog })).toBe(
      'NoDriver: module vfio_pci is blacklisted in /etc/modprobe.d/a.conf:1',
    );
  });
});
