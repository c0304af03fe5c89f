import { describe, expect, it } from 'vitest';
import { parseModuleIndex } from '../../../src/domain/module-index.ts';
import { encodeModuleIndex } from '../../support/module-index.ts';

const records = [
  ['acpi*:PNP0A03:*', 'pci_root'],
  ['vfio_cdx:v*d*sv*sd*c*', 'vfio_cdx'],
  ['vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci'],
  ['vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', 'mlx5_vfio_pci'],
  ['vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', 'other'],
  ['vfio', 'short'],
] as const;

const bytes = encodeModuleIndex(records);

describe('parseModuleIndex', () => {
  it('reads every record', () => {
    const { records: found, problem } = parseModuleIndex(bytes, '');
    expect(problem).toBeNull();
    expect(found.map(({ key, value }) => [key, value])).toEqual(expect.arrayContaining([...records]));
    expect(found).toHaveLength(records.length);
  });

  it('leaves out keys without the prefix', () => {
    const found = parseModuleIndex(bytes, 'vfio_pci').records.map(({ value }) => value);
    expect(found.toSorted()).toEqual(['mlx5_vfio_pci', 'other', 'vfio_pci']);
    expect(parseModuleIndex(bytes, 'usb').records).toEqual([]);
  });

  it('refuses what is no index of its version', () => {
    expect(parseModuleIndex(new Uint8Array(3), '').problem).toBe('no module index');
    expect(parseModuleIndex(new Uint8Array(64), '').problem).toBe('no module index');
    const newer = bytes.slice();
    newer[5] = 3;
    expect(parseModuleIndex(newer, '').problem).toBe('module index of version 3, not 2');
  });

  it('survives being cut anywhere', () => {
    for (let length = 0; length < bytes.length; length++) {
      const { records: found, problem } = parseModuleIndex(bytes.subarray(0, length), '');
      expect(problem).not.toBeNull();
      expect(found.length).toBeLessThan(records.length);
    }
  });

  it('survives any byte being wrong', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const damaged = bytes.slice();
        damaged[at] = value;
        expect(parseModuleIndex(damaged, '').records.length).toBeLessThan(10_000);
      }
    }
  });

  it('does not walk in circles', () => {
    const circle = Uint8Array.from([0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 12, 97, 97, 0x20, 0, 0, 12]);
    expect(parseModuleIndex(circle, '').problem).toBe('damaged module index: node 12 is reached twice');
  });

  it('does not take a key of any length', () => {
    const endless = encodeModuleIndex([['x'.repeat(5000), 'm']]);
    expect(parseModuleIndex(endless, '').problem).toContain('damaged or cut');
  });
});
