import { describe, expect, it } from 'vitest';
import { buildCdiSpecs, cdiKind, cdiNames } from '../../../src/domain/cdi-spec.ts';
import { cdiViolations } from '../../support/cdi-runtime.ts';
import { aFunction, aPool, anAdvertised } from '../../support/pools.ts';

const gpu = anAdvertised('0000:3b:00.0', {
  iommuGroup: 12,
  functions: [
    aFunction('0000:3b:00.0', { vfioDevice: 'vfio0' }),
    aFunction('0000:3b:00.1', { selected: false, vfioDevice: 'vfio1' }),
  ],
});
const nic = anAdvertised('0000:65:00.0', { iommuGroup: 20 });
const longest = `9${'x'.repeat(55)}-y.zzzzz`;

describe('the kind of a resource', () => {
  it.each([
    ['its name', 'vfio-operator.dev/gpu', 'vfio-operator.dev/gpu'],
    ['its name, with all that a class may hold', 'nvidia.com/GA102GL_A10.x-y', 'nvidia.com/GA102GL_A10.x-y'],
    ['a domain below one that begins with a digit', '3com.com/nic', 'cdi.3com.com/nic'],
    ['a class with a word before its digit', 'nvidia.com/3090', 'nvidia.com/device-3090'],
    ['both', '0.a/1', 'cdi.0.a/device-1'],
    ['longer than one character on either side', 'a/b', 'cdi.a/device-b'],
    ['cut where it would be too long', `a.b/${longest}`, `a.b/device-9${'x'.repeat(55)}`],
  ])('is %s', (_what, resource, kind) => {
    expect(cdiKind(resource)).toBe(kind);
  });
});

describe('names', () => {
  it('are the device ids under the kind', () => {
    expect(cdiNames('3com.com/nic', [nic, gpu])).toEqual({
      names: ['cdi.3com.com/nic=0000:65:00.0', 'cdi.3com.com/nic=0000:3b:00.0'],
    });
  });

  it('are not made where CDI allows none', () => {
    expect(cdiNames('a.b/c', [nic, anAdvertised('gpio@0')])).toEqual({
      missing: "CDI allows only letters, digits and _ - . : in a device's name, so gpio@0 cannot have one",
    });
  });
});

describe('the documents', () => {
  it('say what a runtime is to do', () => {
    const specs = buildCdiSpecs([
      aPool([nic], { resource: 'vfio-operator.dev/nic.v2', deviceNodes: 'Group' }),
      aPool([gpu]),
    ]);
    expect(specs).toEqual([
      {
        cdiVersion: '0.5.0',
        kind: 'vfio-operator.dev/gpu',
        devices: [
          {
            name: '0000:3b:00.0',
            containerEdits: {
              deviceNodes: [
                { path: '/dev/vfio/vfio', permissions: 'mrw' },
                { path: '/dev/vfio/12', permissions: 'mrw' },
                { path: '/dev/vfio/devices/vfio0', permissions: 'mrw' },
              ],
            },
          },
        ],
      },
      {
        cdiVersion: '0.6.0',
        kind: 'vfio-operator.dev/nic.v2',
        devices: [
          {
            name: '0000:65:00.0',
            containerEdits: {
              deviceNodes: [
                { path: '/dev/vfio/vfio', permissions: 'mrw' },
                { path: '/dev/vfio/20', permissions: 'mrw' },
              ],
            },
          },
        ],
      },
    ]);
    expect(specs.map(cdiViolations)).toEqual([[], []]);
  });

  it('leave out what has no nodes or no name, and are none without a device', () => {
    const other = anAdvertised('gpio@0');
    const [spec, ...more] = buildCdiSpecs([aPool([gpu, nic, other], { deviceNodes: 'Iommufd' })]);
    expect(spec?.devices).toEqual([
      {
        name: gpu.id,
        containerEdits: {
          deviceNodes: [
            { path: '/dev/iommu', permissions: 'mrw' },
            { path: '/dev/vfio/devices/vfio0', permissions: 'mrw' },
          ],
        },
      },
    ]);
    expect(more).toEqual([]);
    expect(buildCdiSpecs([aPool([nic, other], { deviceNodes: 'Cdev' }), aPool([], { resource: 'a.b/c' })])).toEqual([]);
  });

  it('keep what is unhealthy: a pod may have it', () => {
    const sick = { ...nic, healthy: false, unhealthyBecause: 'it is unplugged' };
    expect(buildCdiSpecs([aPool([sick])])).toEqual(buildCdiSpecs([aPool([nic])]));
  });

  it.each([
    ['0.3.0', 'a.b/uart', 'AMDI0020:00'],
    ['0.5.0', 'a.b/uart', '0000:3b:00.0'],
    ['0.6.0', 'a.b/uart.2', 'AMDI0020:00'],
  ])('have version %s for %s and %s, the oldest that allows them', (version, resource, id) => {
    const specs = buildCdiSpecs([aPool([anAdvertised(id, { iommuGroup: 12 })], { resource })]);
    expect(specs.map((spec) => spec.cdiVersion)).toEqual([version]);
    expect(specs.flatMap(cdiViolations)).toEqual([]);
  });

  it('are one where two resources come to one kind', () => {
    const specs = buildCdiSpecs([
      aPool([gpu], { resource: 'a.b/3090' }),
      aPool([nic], { resource: 'a.b/device-3090' }),
    ]);
    expect(specs).toHaveLength(1);
    expect(specs[0]?.devices.map((device) => device.name)).toEqual([gpu.id, nic.id]);
    expect(cdiViolations(specs[0])).toEqual([]);
  });
});
