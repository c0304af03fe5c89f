// Documents at the edges of the policy table: YAML's odder forms, limits met exactly, characters beyond ASCII, rules that meet.
import { head, metadata, quotes, rest, selector, spec, tooWide, wrongForm } from './policy-case.ts';
import type { PolicyCase } from './policy-case.ts';

const a63 = 'a'.repeat(63);
const many = (count: number, make: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => make(index)).join(', ')}]`;

export const edgeTable: readonly PolicyCase[] = [
  // YAML's forms of values.
  rest('a priority in hexadecimal', 'priority: 0x10'),
  rest('a priority in octal of YAML 1.2', 'priority: 0o17'),
  rest('a priority in octal of YAML 1.1', 'priority: 017'),
  rest('a priority in binary', 'priority: 0b101'),
  rest('a priority with a plus', 'priority: +5'),
  rest('a priority with underscores', 'priority: 1_000'),
  rest('a priority with an exponent', 'priority: 1e3'),
  rest('a label that only Go reads as a binary number', 'nodeSelector: { matchLabels: { rack: 0b12_0, row: 0b1_0 } }', [
    'spec.nodeSelector.matchLabels.row',
    quotes,
  ]),
  rest(
    'a label that is too large for a number',
    'nodeSelector: { matchLabels: { rack: 1e400, row: 0xFFFFFFFFFFFFFFFFF } }',
  ),
  rest('a priority in base 60', 'priority: 1:30', ['spec.priority', 'must be a whole number, and is text']),
  rest('a priority beyond all numbers', 'priority: .inf', ['spec.priority', 'must be a whole number']),
  rest('a priority that is no number', 'priority: .nan', ['spec.priority', 'must be a whole number']),
  rest('a priority larger than 2^53', 'priority: 9007199254740993', ['spec.priority', 'more than 1000000']),
  rest('a priority larger than 2^64', 'priority: 18446744073709551616', ['spec.priority', 'more than 1000000']),
  rest('a tilde', 'priority: ~'),
  rest('a null in words', 'mode: Null'),
  rest('a boolean in upper case', 'driver: { requireVariant: TRUE }'),
  rest('a boolean as yes', 'driver: { requireVariant: yes }'),
  rest('a boolean as off', 'resource: { name: a/b, cdi: Off }'),
  rest('a boolean as 1', 'resource: { name: a/b, cdi: 1 }', ['spec.resource.cdi', 'must be true or false']),
  rest('a folded text', 'resource:\n  name: >-\n    example.org/nic'),
  rest('a text with a newline at its end', 'resource:\n  name: |\n    example.org/nic\n', [
    'spec.resource.name',
    wrongForm,
  ]),
  rest('a quoted key', '"priority": 1'),
  rest('a complex key', '? priority\n: 1'),
  rest('a text in single quotes', "mode: 'DryRun'"),
  rest('a text with an escape', 'mode: "Dry\\x52un"'),
  rest('a label that is an empty text', 'nodeSelector: { matchLabels: { gpu: } }'),
  rest('a label key that YAML reads as a boolean', 'nodeSelector: { matchLabels: { yes: a } }'),
  rest('a label key that YAML reads as a number', 'nodeSelector: { matchLabels: { 12: a } }'),
  rest('a comment in a list', 'allow:\n  # because we know\n  - NotOurs'),
  // Empty things.
  rest('an empty node selector', 'nodeSelector: {}'),
  rest('empty parts of a node selector', 'nodeSelector: { matchLabels: {}, matchExpressions: [] }'),
  rest(
    'an expression with no values for In',
    'nodeSelector: { matchExpressions: [{ key: a, operator: In, values: [] }] }',
    ['spec.nodeSelector.matchExpressions[0].values', 'In and NotIn need values'],
  ),
  rest('an empty resource', 'resource: {}', ['spec.resource.name', 'is required']),
  rest('an exclusion without selectors', 'exclude: []'),
  rest('aliases without entries', 'driver: { aliases: [] }'),
  spec('an empty spec', '{}', ['spec.devices', 'is required']),
  selector('a selector with nothing but nulls', 'vendor:\nclass: ~', ['spec.devices[0]', tooWide]),
  spec('a null for a selector', 'devices: [null]', ['spec.devices[0]', 'must be a mapping, and is empty']),
  // Limits, met and passed.
  rest('the highest priority', 'priority: 1000000'),
  rest('the lowest priority', 'priority: -1000000'),
  rest('a priority too low', 'priority: -1000001', ['spec.priority', 'less than -1000000']),
  rest('all virtual functions', 'sriov: { virtualFunctions: 65535 }'),
  rest('too many virtual functions', 'sriov: { virtualFunctions: 65536 }', [
    'spec.sriov.virtualFunctions',
    'more than',
  ]),
  metadata('the longest name', `{ name: ${a63} }`),
  rest('64 exclusions', `exclude: ${many(64, () => '{}')}`),
  rest('65 exclusions', `exclude: ${many(65, () => '{}')}`, ['spec.exclude', 'at most 64']),
  rest(
    '33 labels',
    `nodeSelector: { matchLabels: { ${Array.from({ length: 33 }, (_, i) => `l${i}: a`).join(', ')} } }`,
    ['spec.nodeSelector.matchLabels', 'at most 32'],
  ),
  rest(
    '65 values',
    `nodeSelector: { matchExpressions: [{ key: a, operator: In, values: ${many(65, (i) => `v${i}`)} }] }`,
    ['spec.nodeSelector.matchExpressions[0].values', 'at most 64'],
  ),
  rest('a label value of 63', `nodeSelector: { matchLabels: { a: ${a63} } }`),
  rest('a label value of 64', `nodeSelector: { matchLabels: { a: ${a63}b } }`, [
    'spec.nodeSelector.matchLabels.a',
    'at most 63',
  ]),
  selector('128 addresses', `addresses: ${many(128, (index) => `"0000:${(index + 16).toString(16)}:00.0"`)}`),
  selector('the longest modalias', `modalias: "pci:v000015B3${'*'.repeat(243)}"`),
  selector('a modalias too long', `modalias: "pci:v000015B3${'*'.repeat(244)}"`, [
    'spec.devices[0].modalias',
    'at most 256',
  ]),
  rest('a domain of 244 characters', `resource: { name: ${'a.'.repeat(121)}bc/d }`),
  // Beyond ASCII.
  selector('a vendor in other digits', 'vendor: "\u0661\u0665b3"', ['spec.devices[0].vendor', wrongForm]),
  selector('four characters that are two units each', 'vendor: "\u{1D7CF}\u{1D7CF}\u{1D7CF}\u{1D7CF}"', [
    'spec.devices[0].vendor',
    wrongForm,
  ]),
  rest('a resource of 300 characters beyond the plane', `resource: { name: "${'\u{1F600}'.repeat(300)}" }`, [
    'spec.resource.name',
    wrongForm,
  ]),
  rest(
    'a long domain beyond the plane',
    `resource: { name: "${'\u{1F600}'.repeat(245)}/a" }`,
    ['spec.resource.name', wrongForm],
    ['spec.resource.name', 'at most 244 characters'],
  ),
  rest('a driver in Cyrillic', 'driver: { name: vfi\u043E-pci }', ['spec.driver.name', wrongForm]),
  rest('a NUL in a driver', 'driver: { name: "vfio\\0pci" }', ['spec.driver.name', wrongForm]),
  rest('a newline in a driver', 'driver: { name: "vfio-pci\\nnvme" }', ['spec.driver.name', wrongForm]),
  rest('a newline at the end of a driver', 'driver: { name: "vfio-pci\\n" }', ['spec.driver.name', wrongForm]),
  // Rules that meet.
  selector(
    'a parent that is an address in upper case, and physical',
    'physicalFunctions: ["0000:3B:00.0"]\nfunction: Physical',
    ['spec.devices[0].function', 'physicalFunctions selects virtual functions'],
    ['spec.devices[0].physicalFunctions[0]', 'a PCI address has its domain'],
  ),
  rest(
    "a domain that is Kubernetes's and a quota's",
    'resource: { name: requests.kubernetes.io/x }',
    ['spec.resource.name', 'belong to Kubernetes'],
    ['spec.resource.name', 'belong to resource quotas'],
  ),
  rest('all that is wrong with a driver', 'driver: { module: a, requireVariant: true }', [
    'spec.driver.module',
    'so it needs name',
  ]),
  spec(
    'rules in every corner',
    'devices: [{}, { class: "0" }]\nexclude: [{ physicalFunctions: [a], function: Physical }]\nallow: [RootStorage]\nnodeSelector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] }',
    ['spec.allow', 'only together with sriov'],
    ['spec.devices[0]', tooWide],
    ['spec.devices[1]', tooWide],
    ['spec.exclude[0].function', 'physicalFunctions selects virtual functions'],
    ['spec.nodeSelector.matchExpressions[0].values', 'take none'],
  ),
  spec('a rule that is not looked at beside a wrong type', 'devices: [{}]\npriority: high', [
    'spec.priority',
    'must be a whole number',
  ]),
  spec(
    'a rule that is looked at beside a wrong form',
    'devices: [{}]\ndriver: { name: a/b }',
    ['spec.driver.name', wrongForm],
    ['spec.devices[0]', tooWide],
  ),
  rest('sriov with a harmless override', 'sriov: { virtualFunctions: 1 }\nallow: [RootStorage, NotOurs]'),
  rest('sriov without a value', 'sriov:\nallow: [PrimaryNetwork]', ['spec.allow', 'only together with sriov']),
  spec(
    'sriov with physical functions',
    'devices: [{ vendor: "15b3", function: Physical }, { vendor: "8086", function: Any }]\nsriov: { virtualFunctions: 1 }',
  ),
  selector('an address that only looks like PCI', 'addresses: ["0000:3b:00"]'),
  selector('an address with a long domain', 'addresses: ["123456789:3b:00.0"]', [
    'spec.devices[0].addresses[0]',
    'a PCI address has its domain',
  ]),
  // Metadata.
  metadata('a name with dots', '{ name: a.b-c.d }'),
  metadata('a name with a dash at its end', '{ name: a- }', ['metadata.name', 'no valid name']),
  metadata('a name with a newline', '{ name: "a\\n" }', ['metadata.name', 'no valid name']),
  metadata('an annotation with a key in upper case', '{ name: example, annotations: { Example.org/Why: x } }'),
  metadata('an annotation with a wrong key', '{ name: example, annotations: { "a b": x } }', [
    'metadata.annotations',
    'no valid key',
  ]),
  metadata('a label with two slashes', '{ name: example, labels: { a/b/c: d } }', ['metadata.labels', 'no valid key']),
  metadata('a label of 64', `{ name: example, labels: { a: ${a63}b } }`, ['metadata.labels', 'no valid label value']),
  metadata('a label without a value', '{ name: example, labels: { a: } }'),
  metadata('an annotation that YAML reads as a number', '{ name: example, annotations: { a: 1 } }', [
    'metadata.annotations.a',
    quotes,
  ]),
  metadata('finalizers and owners', '{ name: example, finalizers: [example.org/wait], generation: 2 }'),
  metadata('an unknown field of the metadata', '{ name: example, title: A }', ['metadata.title', 'unknown field']),
  // Documents.
  {
    name: 'a spec that is a list',
    text: `${head}spec: []\n`,
    problems: [['spec', 'must be a mapping, and is a list']],
  },
  { name: 'a spec that is text', text: `${head}spec: all\n`, problems: [['spec', 'must be a mapping, and is text']] },
  { name: 'a spec without a value', text: `${head}spec:\n`, problems: [['spec', 'is required']] },
  {
    name: 'a status of its own',
    text: `${head}spec:\n  devices: [{ vendor: "15b3" }]\nstatus: { observedGeneration: 3 }\n`,
    problems: [],
  },
];
