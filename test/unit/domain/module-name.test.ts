import { describe, expect, it } from 'vitest';
import { isModuleName, moduleOfPath, toLookupForm, toModuleName } from '../../../src/domain/module-name.ts';

describe('toLookupForm', () => {
  it.each([
    ['vfio_platform:foo-bar', 'vfio_platform:foo_bar'],
    ['plain', 'plain'],
    ['a-[b-d]-e', 'a_[b-d]_e'],
    ['a[b-', null],
    ['a]-b', null],
    ['[]-]', null],
  ])('%j becomes %j', (text, expected) => {
    expect(toLookupForm(text)).toBe(expected);
  });
});

describe('module names', () => {
  it('are in underscore form, without directory and suffixes', () => {
    expect(moduleOfPath('kernel/drivers/vfio/pci/vfio-pci.ko.xz')).toBe('vfio_pci');
    expect(moduleOfPath('extra/qat_vfio_pci.ko')).toBe('qat_vfio_pci');
    expect(moduleOfPath('vfio')).toBe('vfio');
    expect(toModuleName('xe-vfio-pci')).toBe('xe_vfio_pci');
  });

  it.each([
    ['vfio_pci', true],
    ['mlx5-vfio-pci', true],
    ['8021q', true],
    ['-r', false],
    ['', false],
    ['a b', false],
    ['../x', false],
    ['x'.repeat(56), false],
  ])('%j may be given to modprobe: %j', (name, expected) => {
    expect(isModuleName(name)).toBe(expected);
  });
});
