import { describe, expect, it } from 'vitest';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';
import { policyTable } from '../../support/policy-table.ts';

const good =
  'apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\nmetadata: { name: NAME }\nspec:\n  devices:\n    - vendor: "15b3"\n';
const named = (name: string): string => good.replace('NAME', name);

describe('parsePolicyFile', () => {
  it.each(policyTable)('judges $name', ({ text, problems }) => {
    const file = parsePolicyFile(text, 'example.yaml');
    expect(file.problems.map(({ path, message }) => `${path}: ${message}`)).toEqual(
      problems.map(([path, sentence]) => expect.stringMatching(startsWith(path, sentence))),
    );
    expect(file.documents.length).toBe(problems.length === 0 ? 1 : 0);
  });

  it('has a table of good and bad documents that is worth its name', () => {
    expect(policyTable.length).toBeGreaterThanOrEqual(150);
    expect(policyTable.filter(({ problems }) => problems.length === 0).length).toBeGreaterThanOrEqual(40);
    expect(new Set(policyTable.map(({ name }) => name)).size).toBe(policyTable.length);
  });

  it('names the line of each problem', () => {
    const text = `# a comment
apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata:
  name: lines
spec:
  mode: Maybe
  devices:
    - vendor: "15b3"
    - vendor: 1000
      addresses:
        - 0000:3b:00.0
        - 0000:3b:00.0
  resource:
    unit: Group
`;
    expect(
      parsePolicyFile(text, 'lines.yaml')
        .problems.map(({ line, path }) => `${line} ${path}`)
        .toSorted(),
    ).toEqual(['10 spec.devices[1].vendor', '13 spec.devices[1].addresses[1]', '14 spec.resource.name', '7 spec.mode']);
  });

  it('reads several documents and skips empty ones', () => {
    const file = parsePolicyFile(`---\n${named('a')}---\n---\n# nothing\n---\n${named('b')}`, 'two.yaml');
    expect(file.problems).toEqual([]);
    expect(file.documents.map(({ policy, line }) => [policy.name, policy.source, line])).toEqual([
      ['a', 'two.yaml:2', 2],
      ['b', 'two.yaml:12', 12],
    ]);
  });

  it.each(['', '\n', '# only a comment\n', '---\n', '---\n---\n', 'null\n'])('takes %j for no policies', (text) => {
    expect(parsePolicyFile(text, 'empty.yaml')).toEqual({ documents: [], problems: [] });
  });

  it('takes nothing from a file in which anything is wrong', () => {
    const file = parsePolicyFile(`${named('a')}---\n${named('b').replace('15b3', '15B3')}`, 'mixed.yaml');
    expect(file.documents).toEqual([]);
    expect(file.problems).toMatchObject([{ line: 13, path: 'spec.devices[0].vendor' }]);
  });

  it('refuses a name twice', () => {
    expect(parsePolicyFile(`${named('a')}---\n${named('a')}`, 'twice.yaml')).toEqual({
      documents: [],
      problems: [
        {
          file: 'twice.yaml',
          line: 8,
          path: 'metadata.name',
          message: 'there is a policy named "a" already, in line 1',
        },
      ],
    });
  });

  it.each([
    ['apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n', 'kind', 'this is a "ConfigMap"'],
    ['apiVersion: v1\nkind: List\nitems: []\n', 'kind', 'this is a "List"'],
    [named('a').replace('v1alpha1', 'v2'), 'apiVersion', '"vfio-operator.dev/v2" is not known'],
    [named('a').replace('kind: VfioPolicy\n', ''), 'kind', 'is required; it is VfioPolicy'],
    [named('a').replace(/^apiVersion.*\n/, ''), 'apiVersion', 'is required; it is vfio-operator.dev/v1alpha1'],
    ['- a\n- b\n', '', 'a policy is a mapping'],
    ['just text\n', '', 'a policy is a mapping'],
    ['a: [\n', '', 'is no valid YAML'],
    ['a: 1\na: 2\n', '', 'is no valid YAML'],
    [named('a').replace('"15b3"', '!id "15b3"'), '', 'is no valid YAML'],
    ['\ta: 1\n', '', 'is no valid YAML'],
    [`a: ${'['.repeat(100_000)}`, '', 'YAML'],
  ])('says what is wrong with odd document %#', (text, path, sentence) => {
    const [problem] = parsePolicyFile(text, 'odd.yaml').problems;
    expect(problem?.path).toBe(path);
    expect(problem?.message).toContain(sentence);
  });

  it.each([']', '---\nx: 1\n'])('tells a hundred problems of a file with many, and counts the rest: %j', (piece) => {
    const { documents, problems } = parsePolicyFile(piece.repeat(500), 'odd.yaml');
    expect(documents).toEqual([]);
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)).toEqual({ file: 'odd.yaml', line: 0, path: '', message: 'has 400 more problems' });
  });

  it('is not blown up by aliases', () => {
    const bomb = Array.from({ length: 12 }, (_, depth) => {
      const before = depth === 0 ? '"x"' : `*a${depth - 1}`;
      return `a${depth}: &a${depth} [${Array.from({ length: 9 }, () => before).join(', ')}]`;
    }).join('\n');
    const [problem] = parsePolicyFile(`${bomb}\n`, 'bomb.yaml').problems;
    expect(problem?.message).toContain('cannot be read as YAML');
  });

  it('fills in the defaults of the schema and drops what a file does not say', () => {
    const text = named('a').replace(
      '{ name: a }',
      '{ name: a, uid: x, generation: 7, creationTimestamp: "2020-01-01T00:00:00Z", labels: { team: hpc } }',
    );
    const [document] = parsePolicyFile(
      `${text}  resource: { name: example.org/nic }\nstatus: { anything: goes }\n`,
      'a.yaml',
    ).documents;
    expect(document?.document).toEqual({
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioPolicy',
      metadata: { name: 'a', labels: { team: 'hpc' } },
      spec: {
        devices: [{ vendor: '15b3' }],
        priority: 0,
        mode: 'Enforce',
        iommuGroup: 'RequireSelected',
        onDelete: 'Restore',
        resource: {
          name: 'example.org/nic',
          unit: 'Group',
          deviceNodes: 'Auto',
          allocation: 'Packed',
          environment: ['KubeVirt'],
          cdi: false,
        },
      },
    });
    expect(document?.policy).toMatchObject({ name: 'a', uid: null, generation: 0, createdAt: null });
  });

  it('takes a field named like a part of every object for a field', () => {
    const text = `${named('a')}  nodeSelector: { matchLabels: { constructor: a, __proto__: b } }\n`;
    const [document] = parsePolicyFile(text, 'a.yaml').documents;
    expect(Object.entries(document?.policy.nodeSelector.matchLabels ?? {})).toEqual([
      ['constructor', 'a'],
      ['__proto__', 'b'],
    ]);
    expect(parsePolicyFile(`${named('a')}  constructor: {}\n`, 'a.yaml').problems).toMatchObject([
      { path: 'spec.constructor', message: expect.stringContaining('unknown field') },
    ]);
  });

  it('finds lines through anchors and merge keys', () => {
    const text = `${named('a')}  exclude:\n    - &one { vendor: XY }\n    - { <<: *one }\n    - *one\n`;
    expect(parsePolicyFile(text, 'a.yaml').problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
      '8 spec.exclude[0].vendor',
      '9 spec.exclude[1].vendor',
      '8 spec.exclude[2].vendor',
    ]);
  });
});

function startsWith(path: string, sentence: string): RegExp {
  const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escape(path)}: .*${escape(sentence)}`);
}
