// Policy documents, good and bad, with the verdict that a policy file gets; the API server must come to the same.
import { edgeTable } from './edge-table.ts';
import { head, metadata, quotes, rest, spec, wrongForm } from './policy-case.ts';
import type { PolicyCase } from './policy-case.ts';
import { selectorTable } from './selector-table.ts';

export const policyTable: readonly PolicyCase[] = [
  ...selectorTable,
  ...edgeTable,
  // The lists of selectors.
  spec('no selectors', 'devices: []', ['spec.devices', 'has no items']),
  spec('devices left out', 'priority: 1', ['spec.devices', 'is required']),
  spec('devices without a value', 'devices:', ['spec.devices', 'is required']),
  spec('devices as a mapping', 'devices: { vendor: "15b3" }', ['spec.devices', 'must be a list, and is a mapping']),
  spec('a selector that is text', 'devices: ["15b3"]', ['spec.devices[0]', 'must be a mapping']),
  spec('65 selectors', `devices: [${Array.from({ length: 65 }, () => '{ class: "03" }').join(', ')}]`, [
    'spec.devices',
    'at most 64',
  ]),
  rest('exclusions', 'exclude: [{ addresses: ["0000:3b:00.1"] }, { function: Virtual }]'),
  rest('an exclusion of everything', 'exclude: [{}]'),
  rest('an exclusion with a wrong id', 'exclude: [{ vendor: "XYZ" }]', ['spec.exclude[0].vendor', wrongForm]),
  rest('an exclusion with a short address', 'exclude: [{ addresses: ["3b:00.0"] }]', [
    'spec.exclude[0].addresses[0]',
    'a PCI address has its domain',
  ]),
  // Nodes.
  rest('labels', 'nodeSelector: { matchLabels: { kubernetes.io/arch: amd64, rack: "" } }'),
  rest('a label that YAML reads as a boolean', 'nodeSelector: { matchLabels: { gpu: true } }', [
    'spec.nodeSelector.matchLabels.gpu',
    quotes,
  ]),
  rest('a label that only Go reads as a boolean', 'nodeSelector: { matchLabels: { gpu: yes } }', [
    'spec.nodeSelector.matchLabels.gpu',
    quotes,
  ]),
  rest('a label that only Go reads as a boolean, one letter', 'nodeSelector: { matchLabels: { gpu: n } }', [
    'spec.nodeSelector.matchLabels.gpu',
    quotes,
  ]),
  rest('a label that YAML reads as a number', 'nodeSelector: { matchLabels: { rack: 12 } }', [
    'spec.nodeSelector.matchLabels.rack',
    quotes,
  ]),
  rest('a label with an underscore that Go reads as a number', 'nodeSelector: { matchLabels: { rack: 1_2 } }', [
    'spec.nodeSelector.matchLabels.rack',
    quotes,
  ]),
  rest('a label that looks like a date', 'nodeSelector: { matchLabels: { since: 2026-11-01 } }'),
  rest('a label with a space', 'nodeSelector: { matchLabels: { rack: "a b" } }', [
    'spec.nodeSelector.matchLabels.rack',
    wrongForm,
  ]),
  rest('an expression', 'nodeSelector: { matchExpressions: [{ key: rack, operator: In, values: [a1, a2] }] }'),
  rest('an expression without values', 'nodeSelector: { matchExpressions: [{ key: rack, operator: In }] }', [
    'spec.nodeSelector.matchExpressions[0].values',
    'In and NotIn need values',
  ]),
  rest('an existence with values', 'nodeSelector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] }', [
    'spec.nodeSelector.matchExpressions[0].values',
    'Exists and DoesNotExist take none',
  ]),
  rest('an expression with an unknown operator', 'nodeSelector: { matchExpressions: [{ key: a, operator: Gt }] }', [
    'spec.nodeSelector.matchExpressions[0].operator',
    'none of In, NotIn',
  ]),
  rest('an expression without a key', 'nodeSelector: { matchExpressions: [{ operator: Exists }] }', [
    'spec.nodeSelector.matchExpressions[0].key',
    'is required',
  ]),
  rest('an expression with a wrong key', 'nodeSelector: { matchExpressions: [{ key: "a b", operator: Exists }] }', [
    'spec.nodeSelector.matchExpressions[0].key',
    wrongForm,
  ]),
  // Plain fields.
  rest('priority and mode', 'priority: -5\nmode: DryRun'),
  rest('a priority without a value', 'priority:'),
  rest('a priority as text', 'priority: "5"', ['spec.priority', 'must be a whole number, and is text']),
  rest('a priority with a fraction', 'priority: 1.5', ['spec.priority', 'must be a whole number']),
  rest('a priority written as a float', 'priority: 5.0'),
  rest('a priority too high', 'priority: 1000001', ['spec.priority', 'more than 1000000']),
  rest('an unknown mode', 'mode: enforce', ['spec.mode', 'none of Enforce, DryRun']),
  rest('groups', 'iommuGroup: BindCompanions\nonDelete: Retain'),
  rest('an unknown way with groups', 'iommuGroup: Ignore', ['spec.iommuGroup', 'none of RequireSelected']),
  rest('an unknown end', 'onDelete: Delete', ['spec.onDelete', 'none of Restore, Retain']),
  rest('an unknown field of the spec', 'resources: { name: example.org/nic }', ['spec.resources', 'unknown field']),
  // Driver.
  rest('a driver', 'driver: { name: vfio-pci, module: vfio_pci }'),
  rest('a demand for a variant', 'driver: { requireVariant: true }'),
  rest('an empty driver', 'driver: {}'),
  rest('a driver without a value', 'driver:'),
  rest('a driver as text', 'driver: vfio-pci', ['spec.driver', 'must be a mapping, and is text']),
  rest('a wanted driver with a slash', 'driver: { name: "../vfio-pci" }', ['spec.driver.name', wrongForm]),
  rest('a driver with an empty name', 'driver: { name: "" }', ['spec.driver.name', 'is empty']),
  rest('a module without a driver', 'driver: { module: vfio_pci }', ['spec.driver.module', 'so it needs name']),
  rest('a driver and a demand for a variant', 'driver: { name: vfio-pci, requireVariant: true }', [
    'spec.driver.requireVariant',
    'give one of the two',
  ]),
  rest('a driver and no demand for a variant', 'driver: { name: vfio-pci, requireVariant: false }'),
  rest('a demand as text', 'driver: { requireVariant: "true" }', [
    'spec.driver.requireVariant',
    'must be true or false',
  ]),
  rest('aliases', 'driver: { aliases: [{ pattern: "vfio_pci:v000015B3d*", module: mlx5_vfio_pci }] }'),
  rest('an alias without vfio_', 'driver: { aliases: [{ pattern: "pci:v000015B3d*", module: mlx5_vfio_pci }] }', [
    'spec.driver.aliases[0].pattern',
    'vfio_ and a bus prefix',
  ]),
  rest('an alias without a module', 'driver: { aliases: [{ pattern: "vfio_pci:v*" }] }', [
    'spec.driver.aliases[0].module',
    'is required',
  ]),
  rest(
    'an alias twice',
    'driver: { aliases: [{ pattern: "vfio_pci:v*", module: a }, { pattern: "vfio_pci:v*", module: b }] }',
    ['spec.driver.aliases[1]', 'repeats item 0'],
  ),
  // SR-IOV.
  rest('virtual functions', 'sriov: { virtualFunctions: 8 }\nallow: [PrimaryNetwork]'),
  rest('no virtual functions', 'sriov: { virtualFunctions: 0 }', ['spec.sriov.virtualFunctions', 'less than 1']),
  rest('sriov without a number', 'sriov: {}', ['spec.sriov.virtualFunctions', 'is required']),
  rest('the primary network without sriov', 'allow: [PrimaryNetwork]', ['spec.allow', 'only together with sriov']),
  rest('the root disk without sriov', 'allow: [NotOurs, RootStorage]', ['spec.allow', 'only together with sriov']),
  spec(
    'virtual functions on virtual functions',
    'devices: [{ vendor: "15b3", function: Virtual }]\nsriov: { virtualFunctions: 2 }',
    ['spec.devices', 'with sriov the selectors name the physical functions'],
  ),
  spec(
    'virtual functions on parents of some',
    'devices: [{ physicalFunctions: [enp1s0] }]\nsriov: { virtualFunctions: 2 }',
    ['spec.devices', 'with sriov the selectors name the physical functions'],
  ),
  // Allow.
  rest('overrides', 'allow: [BootDisplay, ActiveGpu, NetworkInUse, StorageHasData, NotOurs, NoIommu]'),
  rest('no overrides', 'allow: []'),
  rest('an override that there is not', 'allow: [Bridge]', ['spec.allow[0]', 'none of BootDisplay']),
  rest('an override twice', 'allow: [NotOurs, NotOurs]', ['spec.allow[1]', 'repeats item 0']),
  // Resource.
  rest('a resource', 'resource: { name: vfio-operator.dev/connectx7-vf }'),
  rest(
    'a resource with everything',
    'resource: { name: a/b, unit: Function, deviceNodes: Iommufd, allocation: SpreadPhysicalFunctions, environment: [KubeVirt, SriovNetwork], cdi: true }',
  ),
  rest('a resource without variables', 'resource: { name: example.org/nic, environment: [] }'),
  rest('a resource without a name', 'resource: { unit: Group }', ['spec.resource.name', 'is required']),
  rest('a resource without a domain', 'resource: { name: nic }', ['spec.resource.name', wrongForm]),
  rest('a resource in upper case', 'resource: { name: Example.org/nic }', [
    'spec.resource.name',
    'a DNS domain, a slash',
  ]),
  rest('a resource with two slashes', 'resource: { name: example.org/a/b }', ['spec.resource.name', wrongForm]),
  rest("a resource in Kubernetes's domain", 'resource: { name: kubernetes.io/nic }', [
    'spec.resource.name',
    'belong to Kubernetes',
  ]),
  rest('a resource that is a request', 'resource: { name: requests.example.org/nic }', [
    'spec.resource.name',
    'belong to resource quotas',
  ]),
  rest('a resource with a long domain', `resource: { name: ${'a.'.repeat(123)}b/c }`, [
    'spec.resource.name',
    'at most 244 characters',
  ]),
  rest('a resource with a long name', `resource: { name: a/${'b'.repeat(64)} }`, ['spec.resource.name', wrongForm]),
  rest('a variable twice', 'resource: { name: a/b, environment: [KubeVirt, KubeVirt] }', [
    'spec.resource.environment',
    'may stand here once',
  ]),
  rest('an unknown unit', 'resource: { name: a/b, unit: Device }', ['spec.resource.unit', 'none of Group, Function']),
  rest('unknown device nodes', 'resource: { name: a/b, deviceNodes: auto }', [
    'spec.resource.deviceNodes',
    'none of Auto',
  ]),
  // Several at once.
  rest(
    'three things at once',
    'mode: Off\nonDelete: never\nallow: [Everything]',
    ['spec.mode', 'must be text, and is true or false'],
    ['spec.onDelete', 'none of'],
    ['spec.allow[0]', 'none of'],
  ),
  // YAML itself.
  rest('anchors and merge keys', 'exclude:\n  - &one { vendor: "8086" }\n  - { <<: *one, device: "1521" }'),
  {
    name: 'JSON',
    text: JSON.stringify(
      {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioPolicy',
        metadata: { name: 'example' },
        spec: { devices: [{ vendor: '15b3' }] },
      },
      null,
      2,
    ),
    problems: [],
  },
  // Metadata.
  metadata(
    'labels and annotations',
    '{ name: example, labels: { a: b }, annotations: { example.org/why: "because of this" } }',
  ),
  metadata(
    'what the API server sets',
    '{ name: example, uid: 5e1f0d3a-0000-4000-8000-000000000001, generation: 3, resourceVersion: "12" }',
  ),
  metadata('no name', '{ labels: { a: b } }', ['metadata.name', 'is required']),
  metadata('no metadata', '', ['metadata.name', 'is required']),
  metadata('a name in upper case', '{ name: Example }', ['metadata.name', 'no valid name']),
  metadata('a name with a slash', '{ name: a/b }', ['metadata.name', 'no valid name']),
  metadata('a long name', `{ name: ${'a'.repeat(64)} }`, ['metadata.name', 'at most 63']),
  metadata('a name that YAML reads as a number', '{ name: 12 }', ['metadata.name', quotes]),
  metadata('a namespace', '{ name: example, namespace: default }'),
  metadata('a wrong label', '{ name: example, labels: { "a b": c } }', ['metadata.labels', 'no valid key']),
  metadata('a wrong label value', '{ name: example, labels: { a: "b c" } }', [
    'metadata.labels',
    'no valid label value',
  ]),
  // Other documents.
  { name: 'no spec', text: head, problems: [['spec', 'is required']] },
  {
    name: 'an unknown field beside the spec',
    text: `${head}spec:\n  devices: [{ vendor: "15b3" }]\ndata: {}\n`,
    problems: [['data', 'unknown field']],
  },
];
