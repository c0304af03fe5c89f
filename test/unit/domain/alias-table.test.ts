import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseModulesAlias } from '../../../src/domain/alias-file.ts';
import { buildAliasTable, compareCandidates, toCandidate } from '../../../src/domain/alias-table.ts';
import type { AliasEntry } from '../../../src/domain/driver-choice.ts';

function entry(pattern: string, module: string, more: Partial<AliasEntry> = {}): AliasEntry {
  return { pattern, module, origin: 'file', source: 'modules.alias', line: 1, ...more };
}

function best(entries: readonly AliasEntry[], lookup: string): string[] {
  return buildAliasTable(entries)
    .match(lookup)
    .map((candidate) => candidate.module);
}

const fixture = readFileSync(new URL('../../fixtures/modules.alias-vfio-variants', import.meta.url), 'utf8');

describe('the aliases of a 7.3.4 kernel with all variant drivers', () => {
  const parsed = parseModulesAlias(fixture, 'modules.alias');
  const table = buildAliasTable(parsed.entries);
  const modules = (modalias: string): string[] => table.match(modalias).map((candidate) => candidate.module);

  it('are read without a problem', () => {
    expect(parsed.problems).toEqual([]);
    expect(table.problems).toEqual([]);
    expect(table.size).toBe(fixture.split('\n').filter((line) => line.startsWith('alias vfio_')).length);
  });

  it.each([
    ['ConnectX VF', 'v000015B3d0000101Esv000015B3sd00000051bc02sc00i00', 'mlx5_vfio_pci'],
    ['E810 QAT 4xxx VF', 'v00008086d00004941sv00008086sd00000000bc0Bsc40i00', 'qat_vfio_pci'],
    ['Grace Hopper GPU', 'v000010DEd00002342sv000010DEsd000016EBbc03sc02i00', 'nvgrace_gpu_vfio_pci'],
    ['virtio-net', 'v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00', 'virtio_vfio_pci'],
    ['Kunpeng accelerator VF', 'v000019E5d0000A256sv000019E5sd00000000bc12sc00i00', 'hisi_acc_vfio_pci'],
    ['Pensando VF', 'v00001DD8d00001003sv00001DD8sd00004000bc02sc00i00', 'pds_vfio_pci'],
    ['Xe2 graphics', 'v00008086d0000E20Bsv00008086sd00001100bc03sc00i00', 'xe_vfio_pci'],
  ])('%s: the variant, then vfio_pci', (_name, ids, variant) => {
    expect(modules(`vfio_pci:${ids}`)).toEqual([variant, 'vfio_pci']);
  });

  it('serve every other PCI and CDX device with the generic module', () => {
    expect(modules('vfio_pci:v00008086d00001521sv00008086sd00000001bc02sc00i00')).toEqual(['vfio_pci']);
    expect(modules('vfio_cdx:v000010EEd00005084sv0000sd0000c000000')).toEqual(['vfio_cdx']);
  });

  it('tell upper from lower case: a lower-case id is another text', () => {
    expect(modules('vfio_pci:v000015b3d0000101esv000015B3sd00000051bc02sc00i00')).toEqual(['vfio_pci']);
  });

  it('know nothing of other buses and of texts without the prefix', () => {
    expect(modules('vfio_platform:foo')).toEqual([]);
    expect(modules('pci:v000015B3d0000101Esv000015B3sd00000051bc02sc00i00')).toEqual([]);
  });
});

describe('matching', () => {
  const gpu = 'vfio_pci:v000010DEd00002342sv000010DEsd000016EBbc03sc02i00';

  it('understands class patterns with literal and star in one field', () => {
    const entries = [
      entry('vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci'),
      entry('vfio_pci:v*d*sv*sd*bc03sc02i00*', 'by_class'),
      entry('vfio_pci:v*d*sv*sd*bc03sc02i01*', 'other_class'),
      entry('vfio_pci:v000010DEd000023*sv*sd*bc*sc*i*', 'part_of_a_field'),
    ];
    expect(best(entries, gpu)).toEqual(['by_class', 'part_of_a_field', 'vfio_pci']);
  });

  it('finds patterns that begin with a wildcard, beside many that do not', () => {
    const many = Array.from({ length: 50 }, (_, i) => entry(`vfio_pci:v0000${1000 + i}d*`, `m${i}`, { line: i }));
    const entries = [...many, entry('*bc03*', 'star'), entry('?fio_pci:v000010DE*', 'any'), entry('[u-w]fio_*', 'set')];
    expect(best(entries, gpu)).toEqual(['any', 'set', 'star']);
  });

  it('does not count an entry twice when the text is shorter than the other prefixes', () => {
    const entries = ['vfio_x', 'vfio_xy*', 'vfio_xyz*', 'vfio_xyzz', 'vfio_*', 'v*'].map((text) => entry(text, text));
    expect(best(entries, 'vfio_x')).toEqual(['vfio_x', 'vfio_*', 'v*']);
  });

  it('takes "-" and "_" for one letter, outside sets', () => {
    const entries = [entry('vfio_platform:foo-bar', 'a'), entry('vfio_platform:foo[-]bar', 'b')];
    expect(best(entries, 'vfio_platform:foo_bar')).toEqual(['a']);
    expect(best(entries, 'vfio_platform:foo-bar')).toEqual(['a']);
  });

  it('matches long device tree texts whole', () => {
    const lookup = 'vfio_of:Nethernet-phyT(null)Cvendor,phy-1Cvendor,phy';
    expect(best([entry('vfio_of:N*T*Cvendor,phy', 'last'), entry('vfio_of:N*T*Cvendor', 'cut')], lookup)).toEqual([
      'last',
    ]);
  });

  it('answers a text that kmod would refuse with nothing', () => {
    expect(best([entry('vfio_*', 'a')], 'vfio_x[')).toEqual([]);
  });

  it('reports patterns that are none', () => {
    const table = buildAliasTable([entry('vfio_pci:[', 'x', { source: 's', line: 7 })]);
    expect(table.size).toBe(0);
    expect(table.problems).toEqual([
      { source: 's', line: 7, text: 'vfio_pci:[', why: 'bad alias pattern: "[" at character 10 is never closed' },
    ]);
  });
});

describe('the order of candidates', () => {
  const lookup = 'vfio_pci:v000015B3d0000101E';
  it.each([
    ['fewer wildcards', entry('vfio_pci:v000015B3*', 'z'), entry('vfio_pci:v*d0000101E*', 'a')],
    ['more literal characters', entry('vfio_pci:v000015B3d*', 'z'), entry('vfio_pci:v*', 'a')],
    ['a variant before the generic module', entry('vfio_pci:v*', 'z'), entry('vfio_pci:v*', 'vfio_pci')],
    [
      'a policy before modprobe.d',
      entry('vfio_*', 'z', { origin: 'policy' }),
      entry('vfio_*', 'a', { origin: 'modprobe.d' }),
    ],
    ['modprobe.d before the file', entry('vfio_*', 'z', { origin: 'modprobe.d' }), entry('vfio_*', 'a')],
    ['the file before builtin', entry('vfio_*', 'z'), entry('vfio_*', 'a', { origin: 'builtin' })],
    ['the source by name', entry('vfio_*', 'z', { source: '1' }), entry('vfio_*', 'a', { source: '2' })],
    ['the line', entry('vfio_*', 'z', { line: 2 }), entry('vfio_*', 'a', { line: 10 })],
    ['the pattern', entry('vfio_?*', 'z'), entry('vfio_[p]*', 'a')],
    ['the module', entry('vfio_*', 'a'), entry('vfio_*', 'z')],
  ])('%s', (_rule, first, second) => {
    for (const entries of [
      [first, second],
      [second, first],
    ]) {
      expect(buildAliasTable(entries).match(lookup)).toEqual([toCandidate(first), toCandidate(second)]);
    }
    expect(compareCandidates(toCandidate(first), toCandidate(second))).toBeLessThan(0);
    expect(compareCandidates(toCandidate(second), toCandidate(first))).toBeGreaterThan(0);
    expect(compareCandidates(toCandidate(first), toCandidate(first))).toBe(0);
  });

  it('ranks patterns that are none last among equals', () => {
    const broken = toCandidate(entry('vfio_[*', 'a'));
    expect(compareCandidates(toCandidate(entry('vfio_*', 'b')), broken)).toBeLessThan(0);
  });
});
