// The CRD's CEL rules on plain values: each rule on both sides of its edge, at the path and in the words of the CRD.
import { describe, expect, it } from 'vitest';
import type { VfioDeviceSelector, VfioPolicySpec } from '../../../src/api/generated/types.ts';
import { checkRules } from '../../../src/kube/check-rules.ts';
import { formatFieldPath } from '../../../src/kube/check-schema.ts';
import { vfioPolicySpecSchema } from '../../../src/kube/generated/vfio-policy-schema.ts';
import type { StructuralSchema } from '../../../src/kube/structural-schema.ts';

function problemsOf(spec: Partial<VfioPolicySpec>): readonly { path: string; message: string }[] {
  return checkRules({ devices: [{ vendor: '15b3' }], ...spec }, vfioPolicySpecSchema, ['spec']).map(
    ({ keys, message }) => ({ path: formatFieldPath(keys), message }),
  );
}

const say = {
  selectorTooWide: expect.stringContaining('a selector needs at least one of vendor'),
  parentsArePhysical: 'physicalFunctions selects virtual functions, so function cannot be Physical',
  pciAddressForm: 'a PCI address has its domain and is lower case, such as 0000:3b:00.0',
  sriovSelectsParents:
    'with sriov the selectors name the physical functions that get virtual functions: leave out physicalFunctions and function Virtual',
  labelValues: 'In and NotIn need values; Exists and DoesNotExist take none',
  moduleNeedsName: 'module says where the driver named by name comes from, so it needs name',
  variantOrName: 'requireVariant is a demand on the choice by module aliases, which name replaces; give one of the two',
  kubernetesDomain: 'domains that end in kubernetes.io belong to Kubernetes; kubelet refuses them',
  requestsPrefix: 'names that begin with requests. belong to resource quotas; kubelet refuses them',
  longDomain: 'the domain before the slash has at most 244 characters',
};

describe('checkRules', () => {
  it('takes an exclusion of everything', () => {
    expect(problemsOf({ exclude: [{}] })).toEqual([]);
  });

  it.each([
    ['3b:00.0', false],
    ['0000:3B:00.0', false],
    ['0000:3b:20.0', false],
    ['0000:3b:00.8', false],
    ['0:3b:00.0', false],
    ['0000:3b:00.7', true],
    ['10000:e1:1f.7', true],
    ['cdx-00:01', true],
    ['dpni.1', true],
    ['fd000000.ethernet', true],
    ['ARMH0011:00', true],
  ])('reads the address %s as well-formed: %s', (address, wellFormed) => {
    const wrong = (path: string) => [{ path, message: say.pciAddressForm }];
    expect(problemsOf({ devices: [{ addresses: ['0000:00:00.0', address] }] })).toEqual(
      wellFormed ? [] : wrong('spec.devices[0].addresses[1]'),
    );
    expect(problemsOf({ exclude: [{ physicalFunctions: [address] }] })).toEqual(
      wellFormed ? [] : wrong('spec.exclude[0].physicalFunctions[0]'),
    );
  });

  it('refuses contradictions about functions', () => {
    const contradiction: VfioDeviceSelector = { physicalFunctions: ['enp1s0f0'], function: 'Physical' };
    expect(problemsOf({ devices: [contradiction], exclude: [contradiction] })).toEqual([
      { path: 'spec.devices[0].function', message: say.parentsArePhysical },
      { path: 'spec.exclude[0].function', message: say.parentsArePhysical },
    ]);
    for (const selector of [{ physicalFunctions: ['enp1s0f0'] }, { vendor: '15b3', function: 'Virtual' as const }]) {
      expect(problemsOf({ devices: [selector], sriov: { virtualFunctions: 1 } })).toEqual([
        { path: 'spec.devices', message: say.sriovSelectsParents },
      ]);
    }
  });

  it('holds the parts of driver together', () => {
    expect(problemsOf({ driver: {} })).toEqual([]);
    expect(problemsOf({ driver: { name: 'vfio-pci', module: 'vfio_pci' } })).toEqual([]);
    expect(problemsOf({ driver: { module: 'vfio_pci' } })).toEqual([
      { path: 'spec.driver.module', message: say.moduleNeedsName },
    ]);
    expect(problemsOf({ driver: { name: 'vfio-pci', requireVariant: true } })).toEqual([
      { path: 'spec.driver.requireVariant', message: say.variantOrName },
    ]);
  });

  it.each([
    ['example.org/gpu', []],
    ['kubernetes.io/gpu', [say.kubernetesDomain]],
    ['gpu.kubernetes.io/a', [say.kubernetesDomain]],
    ['notkubernetes.io/a', [say.kubernetesDomain]],
    ['requests.example.org/gpu', [say.requestsPrefix]],
    [`${'a.'.repeat(122)}b/gpu`, [say.longDomain]],
    [`${'a.'.repeat(121)}bc/gpu`, []],
    // Characters are counted, not their halves; and a name without a domain is the pattern's business.
    [`${'\u{1F600}'.repeat(244)}/gpu`, []],
    [`${'\u{1F600}'.repeat(245)}/gpu`, [say.longDomain]],
    ['a'.repeat(300), []],
  ])('judges the resource name %s', (name, sentences) => {
    expect(problemsOf({ resource: { name } })).toEqual(
      sentences.map((message) => ({ path: 'spec.resource.name', message })),
    );
  });

  it.each([
    ['In', [], false],
    ['In', ['a'], true],
    ['NotIn', undefined, false],
    ['NotIn', ['a', 'b'], true],
    ['Exists', undefined, true],
    ['Exists', [], true],
    ['Exists', ['a'], false],
    ['DoesNotExist', ['a'], false],
  ] as const)('judges the label expression %s %j', (operator, values, good) => {
    const expression = values === undefined ? { key: 'a', operator } : { key: 'a', operator, values };
    expect(problemsOf({ nodeSelector: { matchExpressions: [expression] } })).toEqual(
      good ? [] : [{ path: 'spec.nodeSelector.matchExpressions[0].values', message: say.labelValues }],
    );
  });

  it('tells all problems at once', () => {
    const paths = problemsOf({
      devices: [{}, { addresses: ['3b:00.0'] }],
      driver: { module: 'x' },
      allow: ['RootStorage'],
      resource: { name: 'requests.kubernetes.io/x' },
    }).map(({ path }) => path);
    expect(paths).toEqual([
      'spec.allow',
      'spec.devices[0]',
      'spec.devices[1].addresses[0]',
      'spec.driver.module',
      'spec.resource.name',
      'spec.resource.name',
    ]);
  });

  it('refuses where a rule cannot be evaluated', () => {
    const schema: StructuralSchema = {
      type: 'object',
      properties: { a: { type: 'string' } },
      rules: [{ rule: 'self.a == "b"', message: 'a must be b', fieldPath: '.a' }],
    };
    expect(checkRules({ a: 'b' }, schema, [])).toEqual([]);
    expect(checkRules({}, schema, ['spec'])).toMatchObject([
      {
        keys: ['spec', 'a'],
        message: expect.stringContaining('a must be b (the rule could not be evaluated: No such key'),
      },
    ]);
  });

  it('shows values to rules as the API server does', () => {
    const schema: StructuralSchema = {
      type: 'object',
      properties: {
        count: { type: 'integer' },
        function: { type: 'string' },
        labels: { type: 'object', additionalProperties: { type: 'integer' } },
        flags: { type: 'array', items: { type: 'boolean' } },
      },
      rules: [
        { rule: 'type(self.count) == int && self.count / 2 == 2', message: 'whole numbers are int' },
        { rule: 'self.__function__ == "x" && !has(self.__in__)', message: 'fields with reserved names are escaped' },
        { rule: 'self.labels["function"] == 7', message: 'keys of maps are as they are' },
        { rule: 'self.flags.all(flag, flag)', message: 'lists are lists' },
      ],
    };
    const value = { count: 5, function: 'x', labels: { function: 7 }, flags: [true, true], unknown: 1 };
    expect(checkRules(value, schema, [])).toEqual([]);
    expect(checkRules({ ...value, flags: [true, false] }, schema, []).map(({ message }) => message)).toEqual([
      'lists are lists',
    ]);
  });
});
