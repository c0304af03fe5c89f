import { expect, test } from 'vitest';
import { parseAddress, parseMatchSubject } from '../../../src/cli/match-subject.ts';

test.each([
  ['pci:v00001AF4d1', 'pci', 'pci:v00001AF4d1'],
  ['vfio_pci:v00001AF4d1', 'pci', 'pci:v00001AF4d1'],
  ['vfio-pci:v00001AF4d1\n', 'pci', 'pci:v00001AF4d1'],
  ['cdx:v000010EEd00001234', 'cdx', 'cdx:v000010EEd00001234'],
  ['fsl-mc:v00001957ddpni', 'fsl-mc', 'fsl-mc:v00001957ddpni'],
  ['of:NserialT(null)Carm,pl011', 'platform', 'of:NserialT(null)Carm,pl011'],
  ['acpi:PNP0C02:', 'platform', 'acpi:PNP0C02:'],
  ['platform:rtc', 'platform', 'platform:rtc'],
])('%j is a modalias of bus %s', (text, bus, modalias) => {
  expect(parseMatchSubject(text)).toEqual({ kind: 'Modalias', bus, modalias });
});

test.each([
  ['0000:01:00.0', '0000:01:00.0'],
  ['3B:00.1', '0000:3b:00.1'],
  [' 10000:E1:00.0 ', '10000:e1:00.0'],
  ['PNP0C02:00', 'PNP0C02:00'],
  ['dpni.0', 'dpni.0'],
  ['fe300000.usb', 'fe300000.usb'],
  ['usb:v1D6Bp0002', 'usb:v1D6Bp0002'],
])('%j is the address %s', (text, address) => {
  expect(parseMatchSubject(text)).toEqual({ kind: 'Address', address });
  expect(parseAddress(text)).toBe(address);
});
