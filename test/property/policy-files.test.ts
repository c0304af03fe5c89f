// Policy files under arbitrary input: reading never throws and never takes what it should not; what is in force is not lost by slips.
import { array, assert, constantFrom, dictionary, letrec, oneof, property, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePolicy } from '../../src/domain/parse-policy.ts';
import { documentsInForce, mergePolicyFiles } from '../../src/kube/merge-policy-files.ts';
import type { PoliciesInForce } from '../../src/kube/merge-policy-files.ts';
import { parsePolicyFile } from '../../src/kube/policy-documents.ts';
import type { ReadPolicyFile } from '../../src/kube/read-policy-files.ts';
import { policyTable } from '../support/policy-table.ts';

const fields = [
  'apiVersion',
  'kind',
  'metadata',
  'name',
  'spec',
  'devices',
  'vendor',
  'exclude',
  'driver',
  'aliases',
  'pattern',
  'resource',
  'allow',
  'nodeSelector',
  'matchLabels',
  '__proto__',
];
const anyField = oneof(constantFrom(...fields), string({ maxLength: 4 }));
const { value: anyValue } = letrec<{ value: unknown }>((tie) => ({
  value: oneof(
    { maxDepth: 5 },
    constantFrom(null, true, 0, -1, 1.5, '15b3', 'vfio-operator.dev/v1alpha1', 'VfioPolicy', 'a/b', ''),
    array(tie('value'), { maxLength: 3 }),
    dictionary(anyField, tie('value'), { maxKeys: 5 }),
  ),
}));

describe('parsePolicyFile', () => {
  it('answers any text with documents or problems, never both, never neither for what says something', () => {
    const anyText = oneof(string(), string({ unit: constantFrom(...'-:{}[]"\n #&*!|> abk') }));
    assert(
      property(anyText, (text) => {
        const { documents, problems } = parsePolicyFile(text, 'any.yaml');
        expect(documents).toEqual([]);
        for (const { line } of problems) expect(line).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it('takes no wide selector and no unknown field, whatever the document', () => {
    assert(
      property(anyValue, (spec) => {
        const document = {
          apiVersion: 'vfio-operator.dev/v1alpha1',
          kind: 'VfioPolicy',
          metadata: { name: 'any' },
          spec,
        };
        const file = parsePolicyFile(JSON.stringify(document), 'any.json');
        expect(file.documents.length === 0).toBe(file.problems.length > 0);
        for (const { document: read } of file.documents) expect('policy' in parsePolicy(read, '')).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('reads again what it took, to the same policy', () => {
    for (const { text } of policyTable) {
      for (const { document, policy } of parsePolicyFile(text, 'a.yaml').documents) {
        const [again] = parsePolicyFile(JSON.stringify(document), 'a.yaml').documents;
        expect(again?.policy).toEqual(policy);
        expect(again?.document).toEqual(document);
      }
    }
  });
});

/** What a file may hold in these properties: nothing, one of three policies in two versions, two of them, a slip. */
const fileTexts = ['one', 'two', 'three'].flatMap((name) =>
  ['15b3', '8086', '15B3'].map(
    (vendor) =>
      `apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\nmetadata: { name: ${name} }\nspec: { devices: [{ vendor: "${vendor}" }] }\n`,
  ),
);
const fileText = oneof(
  constantFrom('', 'kind: [', ...fileTexts),
  tuple(constantFrom(...fileTexts), constantFrom(...fileTexts)).map((texts) => texts.join('---\n')),
);
const directoryState = dictionary(constantFrom('a.yaml', 'b.yaml', 'c.yaml'), fileText);

function readState(state: Readonly<Record<string, string>>): Map<string, ReadPolicyFile> {
  return new Map(Object.entries(state).map(([name, text]) => [name, { name, text, ...parsePolicyFile(text, name) }]));
}

describe('mergePolicyFiles', () => {
  it('keeps every name once, keeps what bad files may hold, and comes to rest', () => {
    assert(
      property(array(directoryState, { minLength: 1, maxLength: 6 }), (history) => {
        let inForce: PoliciesInForce = new Map();
        for (const state of history) {
          const before = inForce;
          const read = readState(state);
          const merged = mergePolicyFiles(read, before);
          ({ inForce } = merged);
          const names = documentsInForce(inForce).map(({ policy }) => policy.name);
          expect(new Set(names).size).toBe(names.length);

          const had = documentsInForce(before).map(({ policy }) => policy.name);
          expect(merged.lost).toEqual(had.filter((name) => !names.includes(name)));
          if (merged.problems.length > 0) {
            const badTexts = [...read.values()].filter((file) =>
              merged.problems.some((problem) => problem.file === file.name),
            );
            for (const name of merged.lost) expect(badTexts.some(({ text }) => text?.includes(name))).toBe(false);
          } else {
            const wanted = [...read.values()].flatMap(({ documents }) => documents.map(({ policy }) => policy.name));
            expect(names).toEqual(wanted.toSorted());
          }
          const again = mergePolicyFiles(read, inForce);
          expect(again.lost).toEqual([]);
          expect(documentsInForce(again.inForce)).toEqual(documentsInForce(inForce));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('does not depend on the order in which files are read', () => {
    assert(
      property(directoryState, directoryState, (first, second) => {
        const before = mergePolicyFiles(readState(first), new Map()).inForce;
        const read = readState(second);
        const reversed = new Map([...read].toReversed());
        const one = mergePolicyFiles(read, before);
        const two = mergePolicyFiles(reversed, new Map([...before].toReversed()));
        expect(documentsInForce(two.inForce).map(({ policy }) => policy)).toEqual(
          documentsInForce(one.inForce).map(({ policy }) => policy),
        );
        expect(two.problems).toEqual(one.problems);
      }),
    );
  });
});
