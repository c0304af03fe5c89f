import { describe, expect, it } from 'vitest';
import type { VfioDeviceSelector, VfioPolicy, VfioPolicySpec } from '../../../src/api/generated/types.ts';
import { parsePolicy } from '../../../src/domain/parse-policy.ts';
import { policySentences as say } from '../../../src/domain/policy-sentences.ts';

function document(spec: Partial<VfioPolicySpec>): VfioPolicy {
  return {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: { name: 'nics' },
    spec: { devices: [{ vendor: '15b3' }], ...spec },
  };
}

function problemsOf(spec: Partial<VfioPolicySpec>): readonly { path: string; message: string }[] {
  const parsed = parsePolicy(document(spec), 'nics.yaml:1');
  return 'problems' in parsed ? parsed.problems : [];
}

describe('parsePolicy', () => {
  it('fills in every default', () => {
    expect(parsePolicy(document({}), 'nics.yaml:1')).toEqual({
      policy: {
        name: 'nics',
        uid: null,
        generation: 0,
        createdAt: null,
        source: 'nics.yaml:1',
        nodeSelector: { matchLabels: {}, matchExpressions: [] },
        priority: 0,
        mode: 'Enforce',
        devices: [
          {
            bus: null,
            vendor: '15b3',
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
          },
        ],
        exclude: [],
        driver: { name: null, module: null, requireVariant: false, aliases: [] },
        iommuGroup: 'RequireSelected',
        virtualFunctions: null,
        resource: null,
        allow: [],
        onDelete: 'Restore',
      },
    });
  });

  it('keeps everything that is given', () => {
    const selector: Required<VfioDeviceSelector> = {
      bus: 'pci',
      vendor: '15b3',
      device: '101d',
      subsystemVendor: '15b3',
      subsystemDevice: '0001',
      class: '0200',
      modalias: 'pci:v000015B3*',
      addresses: ['0000:3b:00.0'],
      slots: ['4'],
      serialNumbers: ['b8-ce-f6-03-00-4a-1c-2e'],
      acpiIndexes: [3],
      numaNodes: [1],
      drivers: ['mlx5_core'],
      function: 'Physical',
      physicalFunctions: ['enp1s0f0'],
    };
    const { physicalFunctions: _, ...parent } = selector;
    const full: VfioPolicy = {
      ...document({
        nodeSelector: {
          matchLabels: { rack: 'a1' },
          matchExpressions: [
            { key: 'kubernetes.io/arch', operator: 'In', values: ['amd64'] },
            { key: 'gpu', operator: 'Exists' },
          ],
        },
        priority: 7,
        mode: 'DryRun',
        devices: [parent],
        exclude: [{}, { ...parent, physicalFunctions: ['0000:3b:00.1'], function: 'Virtual' }],
        driver: { requireVariant: true, aliases: [{ pattern: 'vfio_pci:v000015B3d*', module: 'mlx5_vfio_pci' }] },
        iommuGroup: 'BindCompanions',
        sriov: { virtualFunctions: 8 },
        resource: {
          name: 'example.org/nic',
          unit: 'Function',
          deviceNodes: 'Cdev',
          allocation: 'SpreadPhysicalFunctions',
          environment: [],
          cdi: true,
        },
        allow: ['PrimaryNetwork', 'NetworkInUse'],
        onDelete: 'Retain',
      }),
      metadata: {
        name: 'nics',
        uid: '5e1f0d3a-0000-4000-8000-000000000001',
        generation: 4,
        creationTimestamp: '2026-11-01T12:00:00Z',
      },
    };
    const parsed = parsePolicy(full, 'VfioPolicy/nics');
    expect(parsed).toMatchObject({
      policy: {
        uid: '5e1f0d3a-0000-4000-8000-000000000001',
        generation: 4,
        createdAt: Date.UTC(2026, 10, 1, 12),
        source: 'VfioPolicy/nics',
        nodeSelector: {
          matchLabels: { rack: 'a1' },
          matchExpressions: [
            { key: 'kubernetes.io/arch', operator: 'In', values: ['amd64'] },
            { key: 'gpu', operator: 'Exists', values: [] },
          ],
        },
        priority: 7,
        mode: 'DryRun',
        devices: [{ ...parent, physicalFunctions: [] }],
        exclude: [
          { vendor: null, function: 'Any' },
          { vendor: '15b3', physicalFunctions: ['0000:3b:00.1'] },
        ],
        driver: {
          name: null,
          module: null,
          requireVariant: true,
          aliases: [{ pattern: 'vfio_pci:v000015B3d*', module: 'mlx5_vfio_pci' }],
        },
        iommuGroup: 'BindCompanions',
        virtualFunctions: 8,
        resource: {
          name: 'example.org/nic',
          unit: 'Function',
          deviceNodes: 'Cdev',
          allocation: 'SpreadPhysicalFunctions',
          environment: [],
          cdi: true,
        },
        allow: ['PrimaryNetwork', 'NetworkInUse'],
        onDelete: 'Retain',
      },
    });
  });

  it('does not make up a creation time from a text that is none', () => {
    const odd = { ...document({}), metadata: { name: 'nics', creationTimestamp: 'yesterday' } };
    expect(parsePolicy(odd, '')).toMatchObject({ policy: { createdAt: null } });
  });

  it.each<[string, VfioDeviceSelector]>([
    ['nothing at all', {}],
    ['a device without a vendor', { device: '101e' }],
    ['one digit of a class', { class: '0' }],
    ['a driver', { drivers: ['nvme'] }],
    ['a NUMA node', { numaNodes: [0] }],
    ['a bus', { bus: 'pci' }],
    ['a function', { function: 'Virtual' }],
    ['a modalias without vendor and class', { modalias: 'pci:v*d*sv*' }],
    ['empty lists', { addresses: [], slots: [], serialNumbers: [], acpiIndexes: [], physicalFunctions: [] }],
    ['all the weak parts together', { bus: 'pci', device: '101e', numaNodes: [0], drivers: ['nvme'], class: '0' }],
  ])('refuses a selector that could take a node: %s', (_, selector) => {
    expect(problemsOf({ devices: [{ vendor: '8086' }, selector] })).toEqual([
      { path: 'spec.devices[1]', message: say.selectorTooWide },
    ]);
  });

  it.each<[string, VfioDeviceSelector]>([
    ['a vendor', { vendor: '15b3' }],
    ['two digits of a class', { class: '03' }],
    ['a modalias with a vendor', { modalias: 'pci:v000015B3*' }],
    ['an address', { addresses: ['0000:3b:00.0'] }],
    ['a slot', { slots: ['4'] }],
    ['a serial number', { serialNumbers: ['b8-ce-f6-03-00-4a-1c-2e'] }],
    ['an ACPI index', { acpiIndexes: [1] }],
    ['a parent', { physicalFunctions: ['enp1s0f0'] }],
  ])('takes a selector with %s', (_, selector) => {
    expect(problemsOf({ devices: [selector] })).toEqual([]);
  });

  it('takes an exclusion of everything', () => {
    expect(problemsOf({ exclude: [{}] })).toEqual([]);
  });

  it.each(['PrimaryNetwork', 'RootStorage'] as const)('allows %s only together with sriov', (code) => {
    expect(problemsOf({ allow: ['NotOurs', code] })).toEqual([{ path: 'spec.allow', message: say.onlyWithSriov }]);
    expect(problemsOf({ allow: ['NotOurs', code], sriov: { virtualFunctions: 1 } })).toEqual([]);
    expect(problemsOf({ allow: ['NotOurs'] })).toEqual([]);
  });

  it('tells all problems at once', () => {
    const paths = problemsOf({ devices: [{ vendor: '15b3' }, {}, { class: '0' }], allow: ['RootStorage'] }).map(
      ({ path }) => path,
    );
    expect(paths).toEqual(['spec.devices[1]', 'spec.devices[2]', 'spec.allow']);
  });

  it('refuses fields of a newer API, which could narrow or forbid something', () => {
    const newer = {
      schedule: {},
      devices: [{ vendor: '15b3', firmware: '1.2' }],
      exclude: [{ vendor: '15b3', firmware: '1.2' }],
      nodeSelector: { matchFields: [], matchExpressions: [{ key: 'a', operator: 'Exists', of: 'x' }] },
      driver: { parameters: {}, aliases: [{ pattern: 'vfio_pci:v*', module: 'a', weight: 1 }] },
      sriov: { virtualFunctions: 1, trust: true },
      resource: { name: 'example.org/gpu', limit: 1 },
    };
    expect(problemsOf(newer as unknown as Partial<VfioPolicySpec>)).toEqual(
      [
        'spec.schedule',
        'spec.nodeSelector.matchFields',
        'spec.nodeSelector.matchExpressions[0].of',
        'spec.devices[0].firmware',
        'spec.exclude[0].firmware',
        'spec.driver.parameters',
        'spec.driver.aliases[0].weight',
        'spec.sriov.trust',
        'spec.resource.limit',
      ].map((path) => ({ path, message: 'this version does not know this field' })),
    );
  });

  it('refuses words of a newer API instead of guessing', () => {
    const newer = {
      ...document({}),
      spec: {
        devices: [{ vendor: '15b3' }],
        exclude: [{ bus: 'usb' }, { function: 'Both' }],
        nodeSelector: { matchExpressions: [{ key: 'a', operator: 'Gt' }] },
        mode: 'Observe',
        allow: ['Everything'],
        resource: { name: 'example.org/gpu', environment: ['KubeVirt', 'Other'] },
      },
    };
    // What the types exclude can still arrive: the API server may run a newer CRD than this program knows.
    const parsed = parsePolicy(newer as unknown as VfioPolicy, 'VfioPolicy/nics');
    expect('problems' in parsed && parsed.problems).toEqual([
      { path: 'spec.mode', message: 'this version does not know "Observe"; it knows Enforce, DryRun' },
      {
        path: 'spec.allow',
        message:
          'this version does not know "Everything"; it knows BootDisplay, ActiveGpu, NetworkInUse, StorageHasData, NotOurs, NoIommu, PrimaryNetwork, RootStorage',
      },
      {
        path: 'spec.nodeSelector.matchExpressions[0].operator',
        message: 'this version does not know "Gt"; it knows In, NotIn, Exists, DoesNotExist',
      },
      {
        path: 'spec.exclude[0].bus',
        message: 'this version does not know "usb"; it knows pci, platform, cdx, fsl-mc',
      },
      {
        path: 'spec.exclude[1].function',
        message: 'this version does not know "Both"; it knows Physical, Virtual, Any',
      },
      {
        path: 'spec.resource.environment',
        message: 'this version does not know "Other"; it knows KubeVirt, SriovNetwork',
      },
    ]);
  });
});
