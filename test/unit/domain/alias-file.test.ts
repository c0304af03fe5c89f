import { describe, expect, it } from 'vitest';
import { parseBuiltinModinfo, parseModulesAlias, problemLimit } from '../../../src/domain/alias-file.ts';

describe('parseModulesAlias', () => {
  it('keeps the entries of VFIO with their lines, of any bus, and drops the rest', () => {
    const text = [
      '# Aliases extracted from modules themselves.',
      'alias pci:v000015B3d00001021sv*sd*bc*sc*i* mlx5_core',
      'alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci',
      'alias vfio_cdx:v*d*sv*sd*c* vfio_cdx',
      'alias devname:vfio/vfio vfio',
      '',
    ].join('\n');
    expect(parseModulesAlias(text, '/lib/modules/6.1/modules.alias')).toEqual({
      entries: [
        {
          pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*',
          module: 'vfio_pci',
          origin: 'file',
          source: '/lib/modules/6.1/modules.alias',
          line: 3,
        },
        {
          pattern: 'vfio_cdx:v*d*sv*sd*c*',
          module: 'vfio_cdx',
          origin: 'file',
          source: '/lib/modules/6.1/modules.alias',
          line: 4,
        },
      ],
      problems: [],
    });
  });

  it('reports bad lines with their place and goes on', () => {
    const text =
      'alias vfio_pci:v[0 a\nnonsense\nalias vfio_pci:v* a b\nalias x\nalias vfio_pci:v* ba]d\nalias vfio-pci:v* my-mod';
    const { entries, problems } = parseModulesAlias(text, 'f');
    expect(entries).toEqual([{ pattern: 'vfio-pci:v*', module: 'my_mod', origin: 'file', source: 'f', line: 6 }]);
    expect(problems).toEqual([
      {
        source: 'f',
        line: 1,
        text: 'alias vfio_pci:v[0 a',
        why: 'bad alias pattern: "[" at character 11 is never closed',
      },
      { source: 'f', line: 2, text: 'nonsense', why: 'not of the form "alias PATTERN MODULE"' },
      { source: 'f', line: 3, text: 'alias vfio_pci:v* a b', why: 'not of the form "alias PATTERN MODULE"' },
      { source: 'f', line: 4, text: 'alias x', why: 'not of the form "alias PATTERN MODULE"' },
      { source: 'f', line: 5, text: 'alias vfio_pci:v* ba]d', why: 'bad module name "ba]d"' },
    ]);
  });

  it('bounds what it reports and says how much it left out', () => {
    const { problems } = parseModulesAlias('x\n'.repeat(problemLimit + 50), 'f');
    expect(problems).toHaveLength(problemLimit);
    expect(problems.at(-1)).toEqual({
      source: 'f',
      line: problemLimit,
      text: 'x',
      why: '51 more bad lines, of which this is the first',
    });
    expect(parseModulesAlias('y'.repeat(1000), 'f').problems[0]?.text).toHaveLength(200);
  });
});

describe('parseBuiltinModinfo', () => {
  it('reads NUL-separated records', () => {
    const text =
      'vfio_pci.license=GPL v2\0vfio_pci.alias=vfio_pci:v*d*sv*sd*bc*sc*i*\0ext4.alias=fs-ext4\0broken\0\0' +
      'virtio-vfio-pci.alias=vfio_pci:v00001AF4d00001041sv*sd*bc*sc*i*\0';
    expect(parseBuiltinModinfo(text, 'm')).toEqual({
      entries: [
        { pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*', module: 'vfio_pci', origin: 'builtin', source: 'm', line: 2 },
        {
          pattern: 'vfio_pci:v00001AF4d00001041sv*sd*bc*sc*i*',
          module: 'virtio_vfio_pci',
          origin: 'builtin',
          source: 'm',
          line: 6,
        },
      ],
      problems: [{ source: 'm', line: 4, text: 'broken', why: 'not of the form "MODULE.KEY=VALUE"' }],
    });
  });
});
