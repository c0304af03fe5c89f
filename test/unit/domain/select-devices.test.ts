import { describe, expect, it } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import type { DeviceSelector, LabelSelector } from '../../../src/domain/policy.ts';
import { describeMismatch, matchesSelector, nodeMatches } from '../../../src/domain/select-devices.ts';
import type { SelectionContext } from '../../../src/domain/select-devices.ts';

const everything: DeviceSelector = {
  bus: null,
  vendor: null,
  device: null,
  subsystemVendor: null,
  subsystemDevice: null,
  class: null,
  modalias: null,
  addresses: [],
  slots: [],
  serialNumbers: [],
  acpiIndexes: [],
  numaNodes: [],
  drivers: [],
  function: 'Any',
  physicalFunctions: [],
};

const virtualFunction: Device = {
  bus: 'pci',
  address: '0000:3b:00.2',
  modalias: 'pci:v000015B3d0000101Esv000015B3sd00000051bc02sc00i00',
  vendor: '15b3',
  device: '101e',
  subsystemVendor: '15b3',
  subsystemDevice: '0051',
  classCode: '020000',
  driver: 'mlx5_vfio_pci',
  iommuGroup: 41,
  numaNode: 0,
  physicalFunction: '0000:3b:00.0',
  virtualFunctions: [],
  totalVirtualFunctions: 0,
  isBridge: false,
  serialNumber: '00-11-22-33-44-55-66-77',
  diskSerial: null,
  acpiIndex: 7,
  slot: '2-1',
  interfaces: [],
  vfioDevice: 'vfio3',
  guarded: null,
};

const bare: Device = {
  ...virtualFunction,
  bus: 'platform',
  address: 'fd000000.ethernet',
  modalias: null,
  vendor: null,
  device: null,
  subsystemVendor: null,
  subsystemDevice: null,
  classCode: null,
  driver: null,
  numaNode: null,
  physicalFunction: null,
  serialNumber: null,
  acpiIndex: null,
  slot: null,
};

const context: SelectionContext = {
  driverBefore: (address) => (address === virtualFunction.address ? 'mlx5_core' : null),
  interfacesOf: (address) => (address === '0000:3b:00.0' ? ['ens1f0np0', 'ens1f0np1'] : []),
};

const cases: readonly [
  name: string,
  accepts: Partial<DeviceSelector>,
  rejects: Partial<DeviceSelector>,
  why: string,
][] = [
  ['bus', { bus: 'pci' }, { bus: 'cdx' }, 'bus is pci, not cdx'],
  ['vendor', { vendor: '15b3' }, { vendor: '8086' }, 'vendor is 15b3, not 8086'],
  ['device', { device: '101e' }, { device: '1017' }, 'device is 101e, not 1017'],
  ['subsystem vendor', { subsystemVendor: '15b3' }, { subsystemVendor: '0' }, 'subsystemVendor is 15b3, not 0'],
  ['subsystem device', { subsystemDevice: '0051' }, { subsystemDevice: '0052' }, 'subsystemDevice is 0051, not 0052'],
  ['class prefix', { class: '02' }, { class: '03' }, 'class is 020000, not 03xxxx'],
  ['whole class', { class: '020000' }, { class: '020700' }, 'class is 020000, not 020700'],
  [
    'modalias',
    { modalias: 'pci:v000015B3d*' },
    { modalias: 'pci:v000015b3d*' },
    'modalias is pci:v000015B3d0000101Esv000015B3sd00000051bc02sc00i00, not pci:v000015b3d*',
  ],
  [
    'addresses',
    { addresses: ['0000:00:02.0', '0000:3b:00.2'] },
    { addresses: ['0000:00:02.0', '0000:3b:00'] },
    'addresses is 0000:3b:00.2, not one of 0000:00:02.0, 0000:3b:00',
  ],
  ['slots', { slots: ['2-1'] }, { slots: ['2'] }, 'slots is 2-1, not 2'],
  [
    'serial numbers',
    { serialNumbers: ['00-11-22-33-44-55-66-77'] },
    { serialNumbers: ['00-00-00-00-00-00-00-00'] },
    'serialNumbers is 00-11-22-33-44-55-66-77, not 00-00-00-00-00-00-00-00',
  ],
  ['ACPI indexes', { acpiIndexes: [1, 7] }, { acpiIndexes: [1] }, 'acpiIndexes is 7, not 1'],
  ['NUMA nodes', { numaNodes: [0] }, { numaNodes: [1, 2] }, 'numaNodes is 0, not one of 1, 2'],
  [
    'its driver',
    { drivers: ['mlx5_vfio_pci'] },
    { drivers: ['ice'] },
    'drivers is mlx5_vfio_pci (before: mlx5_core), not ice',
  ],
  [
    'the driver it had',
    { drivers: ['mlx5_core'] },
    { drivers: ['nvme'] },
    'drivers is mlx5_vfio_pci (before: mlx5_core), not nvme',
  ],
  ['function', { function: 'Virtual' }, { function: 'Physical' }, 'function is Virtual, not Physical'],
  [
    'PF by address',
    { physicalFunctions: ['0000:3b:00.0'] },
    { physicalFunctions: ['0000:3b:00.1'] },
    'physicalFunctions is 0000:3b:00.0 (ens1f0np0, ens1f0np1), not 0000:3b:00.1',
  ],
  [
    'PF by interface',
    { physicalFunctions: ['eth0', 'ens1f0np1'] },
    { physicalFunctions: ['eth0', 'ens1f0'] },
    'physicalFunctions is 0000:3b:00.0 (ens1f0np0, ens1f0np1), not one of eth0, ens1f0',
  ],
];

describe('matchesSelector', () => {
  it.each(cases)('%s', (_name, accepts, rejects, why) => {
    expect(matchesSelector({ ...everything, ...accepts }, virtualFunction, context)).toEqual({ matches: true });
    const mismatch = matchesSelector({ ...everything, ...rejects }, virtualFunction, context);
    expect(mismatch).toMatchObject({ matches: false, failed: Object.keys(rejects)[0] });
    expect(describeMismatch(mismatch)).toBe(why);
  });

  it('asks nothing: every device', () => {
    const match = matchesSelector(everything, bare, context);
    expect(match).toEqual({ matches: true });
    expect(describeMismatch(match)).toBeNull();
  });

  it.each([
    [{ vendor: '15b3' }, 'vendor is none, not 15b3'],
    [{ class: '02' }, 'class is none, not 02xxxx'],
    [{ modalias: '*' }, 'modalias is none, not *'],
    [{ slots: ['1'] }, 'slots is none, not 1'],
    [{ numaNodes: [0] }, 'numaNodes is none, not 0'],
    [{ drivers: ['a', 'b'] }, 'drivers is none, not one of a, b'],
    [{ function: 'Virtual' }, 'function is Physical, not Virtual'],
    [{ physicalFunctions: ['0000:3b:00.0'] }, 'physicalFunctions is none (no VF), not 0000:3b:00.0'],
  ] satisfies [Partial<DeviceSelector>, string][])('a device without the attribute: %j', (asked, why) => {
    expect(describeMismatch(matchesSelector({ ...everything, ...asked }, bare, context))).toBe(why);
  });

  it('needs all parts, and names the first that fails', () => {
    const selector: DeviceSelector = { ...everything, vendor: '15b3', device: '1017', numaNodes: [9] };
    expect(matchesSelector(selector, virtualFunction, context)).toMatchObject({ matches: false, failed: 'device' });
  });

  it('names a PF whose interfaces it does not see', () => {
    const orphan: Device = { ...virtualFunction, physicalFunction: '0000:00:01.0' };
    const match = matchesSelector({ ...everything, physicalFunctions: ['eth0'] }, orphan, context);
    expect(describeMismatch(match)).toBe('physicalFunctions is 0000:00:01.0, not eth0');
  });

  it('says when the pattern is none', () => {
    const match = matchesSelector({ ...everything, modalias: 'pci:[' }, virtualFunction, context);
    expect(describeMismatch(match)).toContain('a pattern ("[" at character 5 is never closed: pci:[)');
  });
});

describe('nodeMatches', () => {
  const labels = { 'kubernetes.io/arch': 'amd64', pool: 'gpu', empty: '' };
  const selects = (selector: Partial<LabelSelector>): boolean =>
    nodeMatches({ matchLabels: {}, matchExpressions: [], ...selector }, labels);

  it.each<[Partial<LabelSelector>, boolean]>([
    [{}, true],
    [{ matchLabels: { pool: 'gpu', empty: '' } }, true],
    [{ matchLabels: { pool: 'gpu', empty: 'x' } }, false],
    [{ matchLabels: { constructor: 'x' } }, false],
    [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['cpu', 'gpu'] }] }, true],
    [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['cpu'] }] }, false],
    [{ matchExpressions: [{ key: 'absent', operator: 'In', values: ['x'] }] }, false],
    [{ matchExpressions: [{ key: 'pool', operator: 'NotIn', values: ['gpu'] }] }, false],
    [{ matchExpressions: [{ key: 'pool', operator: 'NotIn', values: ['cpu'] }] }, true],
    [{ matchExpressions: [{ key: 'absent', operator: 'NotIn', values: ['x'] }] }, true],
    [{ matchExpressions: [{ key: 'pool', operator: 'Exists', values: [] }] }, true],
    [{ matchExpressions: [{ key: 'toString', operator: 'Exists', values: [] }] }, false],
    [{ matchExpressions: [{ key: 'pool', operator: 'DoesNotExist', values: [] }] }, false],
    [{ matchExpressions: [{ key: 'absent', operator: 'DoesNotExist', values: [] }] }, true],
    [
      {
        matchLabels: { pool: 'gpu' },
        matchExpressions: [{ key: 'empty', operator: 'DoesNotExist', values: [] }],
      },
      false,
    ],
  ])('%j is %j', (selector, expected) => {
    expect(selects(selector)).toBe(expected);
  });
});
