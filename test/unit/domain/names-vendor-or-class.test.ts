// Which modalias patterns are narrow enough to select by.
import { describe, expect, it } from 'vitest';
import { namesVendorOrClass } from '../../../src/domain/parse-policy.ts';

describe('namesVendorOrClass', () => {
  it.each([
    ['pci:v000015B3d0000101Esv*sd*bc*sc*i*', true],
    ['pci:v000015B3*', true],
    ['pci:v*d*sv*sd*bc03sc*i*', true],
    ['pci:*bc0108*', true],
    ['pci:v[0-9]*bc02*', true],
    ['pci:*', false],
    ['pci:v*', false],
    ['pci:v000015b3*', false],
    ['pci:v0000*', false],
    ['pci:v*d*sv000015B3sd*bc*sc*i*', false],
    ['pci:v*d*sv*sd*bc0?sc*i*', false],
    ['pci:v*d*sv*sd*bc[03]*', false],
    ['pci:*[bc03]*', false],
    ['pci:?[!bc03]*', false],
    ['cdx:v15B3d*', true],
    ['cdx:v*d*sv*sd*c02*', true],
    ['cdx:v*d*sv*sd*c*', false],
    ['fsl-mc:v00001957ddpni', true],
    ['fsl-mc:v*ddpni', false],
    ['platform:vfio-test', true],
    ['platform:*', false],
    ['acpi:ARMH0011:*', true],
    ['acpi:*', false],
    ['of:N*T*Carm,pl330*', true],
    ['of:NdmaT(null)Carm,pl330', true],
    ['of:N*T*C*', false],
    ['of:N*', false],
  ])('%s: %s', (modalias, names) => {
    expect(namesVendorOrClass(modalias)).toBe(names);
  });
});
