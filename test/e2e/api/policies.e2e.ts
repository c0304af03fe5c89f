// Every document of the policy table, sent to a real API server with fieldValidation=Strict and read from a file: the same verdict, the
// same field paths, and for CEL rules the same sentence. What differs by its nature is spelled out below, and nothing else is let through.
import { array, constantFrom, sample } from 'fast-check';
import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';
import { rest } from '../../support/policy-case.ts';
import { policyTable } from '../../support/policy-table.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { postPolicy } from './post-policy.ts';
import type { ApiVerdict } from './post-policy.ts';

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane();
});
afterAll(async () => cluster?.stop());

const repository = new URL('../../../', import.meta.url);
const ruleSentences = readRuleSentences();

/** Values that the API server cannot turn into its own types, so that it names no path: the document, and what it says instead. */
const unreadable: Readonly<Record<string, string>> = {
  'a name that YAML reads as a number': 'ObjectMeta.name of type string',
  'an annotation that YAML reads as a number': 'ObjectMeta.annotations of type string',
  'a priority beyond all numbers': 'unsupported value: +Inf',
  'a priority that is no number': 'unsupported value: NaN',
};
/** With a mapping for a list it takes the mapping's fields for unknown ones of an entry. */
const mappingForList = new Map([['devices as a mapping', { theirs: 'spec.devices.vendor', ours: 'spec.devices' }]]);

test('has a table that is worth its name', () => {
  expect(policyTable.length).toBeGreaterThanOrEqual(250);
  expect(ruleSentences.size).toBe(12);
  const names = new Set(policyTable.map(({ name }) => name));
  for (const name of [...Object.keys(unreadable), ...mappingForList.keys()]) expect(names).toContain(name);
});

test.each(policyTable)('$name', async ({ name, text }) => {
  const theirs = await postPolicy(cluster, text);
  const ours = parsePolicyFile(text, 'file.yaml').problems;
  expect({ accepted: theirs.accepted, why: theirs.message }).toEqual({
    accepted: ours.length === 0,
    why: theirs.message,
  });
  if (theirs.accepted) return;
  const paths = sortedSet(ours.map(({ path }) => path));
  const odd = mappingForList.get(name);
  if (odd !== undefined) {
    expect([theirs.unknownFields, paths]).toEqual([[odd.theirs], [odd.ours]]);
  } else if (unreadable[name] !== undefined) {
    expect(theirs.message).toContain(unreadable[name]);
    expect(paths).toHaveLength(1);
  } else if (theirs.unknownFields.length > 0) {
    // It stops at unknown fields; a file gets the rest as well.
    expect(paths).toEqual(expect.arrayContaining([...theirs.unknownFields]));
    expect(ours.filter(({ message }) => message.startsWith('unknown field')).map(({ path }) => path)).toEqual(
      theirs.unknownFields,
    );
  } else {
    expect(theirs.status).toBe(422);
    expect(sortedSet(theirs.problems.flatMap(({ path }) => (path === '' ? [] : [path])))).toEqual(paths);
    expect(saidByRules(theirs.problems)).toEqual(saidByRules(ours));
    expectNothingElseWithoutPath(theirs);
  }
});

test.each(readdirSync(new URL('examples/', repository)).filter((name) => name.endsWith('.yaml')))(
  'accepts examples/%s',
  async (name) => {
    const documents = readFileSync(new URL(`examples/${name}`, repository), 'utf8').split(/^---$/m);
    for (const text of documents.filter((one) => /^kind: VfioPolicy$/m.test(one)))
      expect(await postPolicy(cluster, text)).toMatchObject({ accepted: true, message: '' });
  },
);

test('reads plain scalars of any look alike', async () => {
  // Whether a label's value is text depends on nothing but how YAML reads the scalar.
  const look = array(constantFrom(...'0123456789abefnoxyBEOXNT.:_+-'), { minLength: 1, maxLength: 6 });
  const scalars = [
    ...sample(look, { numRuns: 700, seed: 20_261_122 }).map((characters) => characters.join('')),
    ...'true True TRUE tRue false yes Yes YES yEs no on On off Off y Y n N null Null NULL ~ 0 -0 00 08 0b1 0o7 0xf 1e3'.split(
      ' ',
    ),
    ...'1e400 -0x1 +0b1 1_0 _1 1_ .5 5. .5_ 1.5e-3 .inf -.inf .NaN 2026-11-22 2026-11-22T10:00:00Z 12:30:45 0o 0x 0b'.split(
      ' ',
    ),
  ];
  const differing: string[] = [];
  const tally = { accepted: 0, refused: 0 };
  for (const scalar of scalars) {
    const { text } = rest('', `nodeSelector:\n  matchLabels:\n    a: ${scalar}`);
    const theirs = await postPolicy(cluster, text);
    const ours = parsePolicyFile(text, 'file.yaml').problems;
    tally[theirs.accepted ? 'accepted' : 'refused'] += 1;
    if (theirs.accepted !== (ours.length === 0))
      differing.push(`${scalar}: ${theirs.message || 'accepted'} | ${ours[0]?.message ?? 'accepted'}`);
  }
  expect(differing).toEqual([]);
  expect(Math.min(tally.accepted, tally.refused)).toBeGreaterThan(100);
});

interface Said {
  readonly path: string;
  readonly message: string;
}

/** What was said by rules, as `path: sentence`. The API server puts the value before the sentence. */
function saidByRules(problems: readonly Said[]): readonly string[] {
  return problems
    .flatMap(({ path, message }) => {
      const sentence = [...ruleSentences].find((one) => message === one || message.endsWith(`: ${one}`));
      return sentence === undefined ? [] : [`${path}: ${sentence}`];
    })
    .toSorted();
}

/** The two things the API server says without a path: that rules were left out, and of which kind a number is. */
function expectNothingElseWithoutPath({ problems }: ApiVerdict): void {
  for (const { message } of problems.filter(({ path }) => path === ''))
    expect(message).toMatch(
      /some validation rules were not checked because the object was invalid|must be of type integer/,
    );
}

function sortedSet(paths: readonly string[]): readonly string[] {
  return [...new Set(paths)].toSorted();
}

function readRuleSentences(): ReadonlySet<string> {
  const crd = parse(
    readFileSync(new URL('deploy/helm/vfio-operator/crds/vfiopolicies.yaml', repository), 'utf8'),
  ) as object;
  const sentences = new Set<string>();
  JSON.stringify(crd, (key, value: unknown) => {
    if (key === 'x-kubernetes-validations')
      for (const { message } of value as readonly { readonly message: string }[]) sentences.add(message);
    return value;
  });
  return sentences;
}
