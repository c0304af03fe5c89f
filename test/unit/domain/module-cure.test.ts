import { expect, it } from 'vitest';
import { describeBootLoading } from '../../../src/domain/module-cure.ts';

it('gives the lines of configuration', () => {
  const text = describeBootLoading('vfio_pci');
  expect(text).toContain('"vfio_pci" in /etc/modules-load.d/');
  expect(text).toContain('machine: {kernel: {modules: [{name: vfio_pci}]}}');
});
