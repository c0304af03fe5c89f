import { describe, expect, it } from 'vitest';
import { buildAliasTable } from '../../../src/domain/alias-table.ts';
import { chooseDriver } from '../../../src/domain/choose-driver.ts';
import type { Bus } from '../../../src/domain/device.ts';
import type { AliasEntry, ModuleCatalog, ModuleFacts } from '../../../src/domain/driver-choice.ts';

function entry(pattern: string, module: string, more: Partial<AliasEntry> = {}): AliasEntry {
  return { pattern, module, origin: 'file', source: 'modules.alias', line: 1, ...more };
}

function catalog(...modules: (Partial<ModuleFacts> & { readonly name: string })[]): ModuleCatalog {
  const facts = modules.map((module): ModuleFacts => {
    return { state: 'Available', blacklistedBy: null, isVfio: true, drivers: [], ...module };
  });
  return { modules: new Map(facts.map((module) => [module.name, module])), moduleOfDriver: new Map(), mayLoad: true };
}

const generic = entry('vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci', { line: 9 });
const variant = entry('vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', 'mlx5_vfio_pci', { line: 3 });
const modalias = 'pci:v000015B3d0000101Esv000015B3sd00000051bc02sc00i00';
const device = { bus: 'pci' as Bus, modalias };
const none = { policyAliases: [] };

describe('chooseDriver', () => {
  it('takes the entry with the fewest wildcards and shows the others', () => {
    const table = buildAliasTable([generic, variant]);
    const choice = chooseDriver(device, table, catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci' }), none);
    expect(choice).toEqual({
      lookup: `vfio_${modalias}`,
      candidates: [
        { ...variant, wildcards: 5 },
        { ...generic, wildcards: 7 },
      ],
      rejected: [],
      chosen: { ...variant, wildcards: 5 },
      fallback: false,
      tie: false,
    });
  });

  it('passes over a blacklisted module and names the line that says so', () => {
    const blacklistedBy = '/etc/modprobe.d/no.conf:4';
    const choice = chooseDriver(
      device,
      buildAliasTable([generic, variant]),
      catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci', blacklistedBy }),
      none,
    );
    expect(choice.chosen?.module).toBe('vfio_pci');
    expect(choice.fallback).toBe(false);
    expect(choice.candidates).toEqual([{ ...generic, wildcards: 7 }]);
    expect(choice.rejected).toEqual([
      { ...variant, wildcards: 5, reason: 'module mlx5_vfio_pci is blacklisted in /etc/modprobe.d/no.conf:4' },
    ]);
  });

  it('passes over modules that are no VFIO drivers, or of which the host shows nothing', () => {
    const wrong = entry('vfio_pci:v000015B3*', 'mlx5_core', { origin: 'modprobe.d', source: '/etc/x.conf', line: 2 });
    const unknown = entry('vfio_pci:v000015B3d*', 'ghost', { source: '/etc/x.conf', line: 3 });
    const choice = chooseDriver(
      device,
      buildAliasTable([generic, wrong, unknown]),
      catalog({ name: 'vfio_pci' }, { name: 'mlx5_core', isVfio: false, state: 'Loaded' }),
      none,
    );
    expect(choice.chosen?.module).toBe('vfio_pci');
    expect(choice.rejected.map((candidate) => candidate.reason)).toEqual([
      '/etc/x.conf:3 names module ghost, of which this host shows nothing',
      '/etc/x.conf:2 names module mlx5_core, which is no VFIO driver: it does not depend on the VFIO core',
    ]);
  });

  it('keeps a missing module chosen, so that its absence is told', () => {
    const facts = catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci', state: 'Missing', isVfio: false });
    const choice = chooseDriver(device, buildAliasTable([generic, variant]), facts, none);
    expect(choice.chosen?.module).toBe('mlx5_vfio_pci');
  });

  it.each([
    ['pci', 'vfio_pci'],
    ['platform', 'vfio_platform'],
    ['cdx', 'vfio_cdx'],
    ['fsl-mc', 'vfio_fsl_mc'],
  ] as const)('falls back to the generic module of bus %s and says so', (bus, name) => {
    const choice = chooseDriver({ bus, modalias: `${bus}:x` }, buildAliasTable([]), catalog({ name }), none);
    expect(choice).toMatchObject({ candidates: [], rejected: [], fallback: true, tie: false });
    expect(choice.chosen).toEqual({
      pattern: '',
      module: name,
      origin: 'builtin',
      source: `generic VFIO driver of bus ${bus}`,
      line: 0,
      wildcards: 0,
    });
  });

  it('falls back for a device without a modalias', () => {
    const choice = chooseDriver(
      { bus: 'pci', modalias: null },
      buildAliasTable([generic]),
      catalog({ name: 'vfio_pci' }),
      {
        policyAliases: [entry('vfio_*', 'x', { origin: 'policy' })],
      },
    );
    expect(choice).toMatchObject({ lookup: null, candidates: [], fallback: true, chosen: { module: 'vfio_pci' } });
  });

  it('falls back when every match is rejected', () => {
    const facts = catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci', blacklistedBy: 'f:1' });
    const choice = chooseDriver(device, buildAliasTable([variant]), facts, none);
    expect(choice).toMatchObject({ fallback: true, chosen: { module: 'vfio_pci', pattern: '' } });
    expect(choice.rejected).toHaveLength(1);
  });

  it.each([
    [catalog(), 'no usable alias matches, and the generic module vfio_pci is not on this host'],
    [
      catalog({ name: 'vfio_pci', state: 'Missing' }),
      'no usable alias matches, and the generic module vfio_pci is not on this host',
    ],
    [
      catalog({ name: 'vfio_pci', blacklistedBy: 'f:1' }),
      'no usable alias matches, and the generic module vfio_pci is blacklisted in f:1',
    ],
  ])('chooses nothing when the generic module cannot serve either (%#)', (facts, reason) => {
    const choice = chooseDriver(device, buildAliasTable([]), facts, none);
    expect(choice).toMatchObject({ chosen: null, fallback: false, candidates: [] });
    expect(choice.rejected.map((candidate) => candidate.reason)).toEqual([reason]);
  });

  describe('ties', () => {
    const other = entry('vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', 'my_vfio_pci', { line: 2 });
    const facts = catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci' }, { name: 'my_vfio_pci' });

    it('are told, and decided by the documented order', () => {
      const choice = chooseDriver(device, buildAliasTable([variant, other]), facts, none);
      expect(choice).toMatchObject({ tie: true, chosen: { module: 'my_vfio_pci' } });
    });

    it('are none between two lines for one module', () => {
      const again = entry('vfio_pci:v*d0000101Esv*sd*bc*sc*i00', 'mlx5_vfio_pci');
      expect(chooseDriver(device, buildAliasTable([variant, again]), facts, none).tie).toBe(false);
    });

    it('are none with a rejected module', () => {
      const blacklisted = catalog({ name: 'mlx5_vfio_pci' }, { name: 'my_vfio_pci', blacklistedBy: 'f:1' });
      const choice = chooseDriver(device, buildAliasTable([variant, other]), blacklisted, none);
      expect(choice).toMatchObject({ tie: false, chosen: { module: 'mlx5_vfio_pci' } });
    });
  });

  it("weighs the policy's aliases by the same order", () => {
    const table = buildAliasTable([generic, variant]);
    const facts = catalog({ name: 'vfio_pci' }, { name: 'mlx5_vfio_pci' }, { name: 'mine' });
    const declare = (pattern: string) => ({
      policyAliases: [entry(pattern, 'mine', { origin: 'policy', source: 'policy gpu', line: 0 })],
    });
    const same = chooseDriver(device, table, facts, declare('vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*'));
    expect(same).toMatchObject({ tie: true, chosen: { module: 'mine', origin: 'policy' } });
    const wider = chooseDriver(device, table, facts, declare('vfio_pci:v*d*sv*sd*bc02sc*i*'));
    expect(wider.candidates.map((candidate) => candidate.module)).toEqual(['mlx5_vfio_pci', 'mine', 'vfio_pci']);
    const elsewhere = declare('vfio_pci:v00008086*');
    expect(chooseDriver(device, table, facts, elsewhere)).toEqual(chooseDriver(device, table, facts, elsewhere));
    expect(chooseDriver(device, table, facts, elsewhere).candidates).toHaveLength(2);
  });
});
