// The planner's own guards and the CRD's rules of the same sentence never differ, whatever the policy.
import { array, assert, constantFrom, oneof, option, property, record, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VfioPolicy } from '../../src/api/generated/types.ts';
import { parsePolicy } from '../../src/domain/parse-policy.ts';
import { policySentences } from '../../src/domain/policy-sentences.ts';
import { checkRules } from '../../src/kube/check-rules.ts';
import { formatFieldPath } from '../../src/kube/check-schema.ts';
import { vfioPolicySpecSchema } from '../../src/kube/generated/vfio-policy-schema.ts';

const piece = constantFrom(
  ...'pci: cdx: of: acpi: platform: fsl-mc: v d bc c C N T 03 0302 15B3 000015B3 15b3 * ? [ ] [bc03] [!0] ab - _ ,'.split(
    ' ',
  ),
  ' ',
  '\n',
);
const modalias = oneof(
  array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
  string({ unit: 'binary', maxLength: 20 }),
);
const maybe = <T>(...values: readonly T[]) => option(constantFrom(...values), { nil: undefined });
const selector = record(
  {
    vendor: maybe('15b3'),
    device: maybe('101e'),
    class: maybe('0', '03', '0302'),
    modalias,
    addresses: maybe<readonly string[]>([], ['0000:3b:00.0']),
    slots: maybe<readonly string[]>([], ['4']),
    serialNumbers: maybe<readonly string[]>([], ['b8-ce-f6-03-00-4a-1c-2e']),
    acpiIndexes: maybe<readonly number[]>([], [1]),
    numaNodes: maybe<readonly number[]>([], [0]),
    drivers: maybe<readonly string[]>([], ['nvme']),
    function: maybe('Physical', 'Virtual', 'Any'),
    physicalFunctions: maybe<readonly string[]>([], ['enp1s0']),
  },
  { requiredKeys: [] },
);
const spec = record(
  {
    devices: array(selector, { minLength: 1, maxLength: 3 }),
    allow: array(constantFrom('PrimaryNetwork', 'RootStorage', 'NotOurs'), { maxLength: 3 }),
    sriov: maybe({ virtualFunctions: 2 }),
  },
  { requiredKeys: ['devices'] },
);

describe('the guards of parsePolicy', () => {
  it('say the same as the rules of the CRD', () => {
    const guarded: readonly string[] = Object.values(policySentences);
    assert(
      property(spec, (any) => {
        // Fields without a value are not there in a document.
        const plain = JSON.parse(JSON.stringify(any)) as VfioPolicy['spec'];
        const parsed = parsePolicy(
          { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioPolicy', metadata: { name: 'any' }, spec: plain },
          '',
        );
        const byRule = checkRules(plain, vfioPolicySpecSchema, ['spec'])
          .filter(({ message }) => guarded.includes(message))
          .map(({ keys, message }) => `${formatFieldPath(keys)}: ${message}`);
        const byGuard = 'problems' in parsed ? parsed.problems.map(({ path, message }) => `${path}: ${message}`) : [];
        expect(byGuard.toSorted()).toEqual(byRule.toSorted());
      }),
      { numRuns: 2000 },
    );
  });
});
