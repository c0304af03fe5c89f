// What the agent makes of policy objects, of what it kept, and of what it cannot see.
import { describe, expect, it, test } from 'vitest';
import { judgeKnowledge, type Knowledge } from '../../../../src/agent/cluster/judge-knowledge.ts';
import {
  formatKeptCluster,
  readKeptCluster,
  type ClusterPolicies,
} from '../../../../src/agent/cluster/kept-cluster.ts';
import { mergePolicyObjects } from '../../../../src/agent/cluster/merge-policy-objects.ts';
import { toNodeFacts } from '../../../../src/agent/cluster/node-facts.ts';
import {
  type GoodPolicy,
  type PolicyObject,
  readPolicyObject,
} from '../../../../src/agent/cluster/read-policy-object.ts';
import type { WatchProblemCode } from '../../../../src/kube/reflector.ts';
import { createMemoryFiles } from '../../../../src/simulation/memory-files.ts';
import { aNodeObject, aPolicyObject } from '../../../support/cluster-objects.ts';

function good(name: string, parts: Parameters<typeof aPolicyObject>[1] = {}): GoodPolicy {
  const read = readPolicyObject(aPolicyObject(name, parts));
  if (!('policy' in read)) throw new Error(read.message);
  return read;
}

const newWords = { spec: { devices: [{ vendor: '15b3', colour: 'red' }] } };
const seen = (...objects: readonly ReturnType<typeof aPolicyObject>[]): ReadonlyMap<string, PolicyObject> =>
  new Map(objects.map((object) => [object.metadata.name, readPolicyObject(object)]));
const known = (...policies: readonly GoodPolicy[]): ClusterPolicies =>
  new Map(policies.map((policy) => [policy.name, policy]));
const generations = (policies: ClusterPolicies): string =>
  [...policies].map(([name, policy]) => `${name}=${policy === null ? 'unknown' : policy.generation}`).join(' ');

describe('readPolicyObject', () => {
  it('has identity, defaults and source', () => {
    expect(good('nics', { generation: 3 }).policy).toMatchObject({
      name: 'nics',
      uid: 'uid-nics',
      generation: 3,
      createdAt: Date.UTC(2026, 10, 1),
      source: 'VfioPolicy/nics',
      mode: 'Enforce',
    });
  });

  it.each([
    ['a field it does not know, since a selector would match too much', newWords, 'spec.devices[0].colour'],
    ['a word it does not know', { spec: { mode: 'Someday' } }, 'spec.mode'],
    ['a rule that is broken', { spec: { devices: [{ function: 'Any' }] } }, 'spec.devices[0]'],
    ['no spec that is one', { spec: { devices: 'all' } }, 'spec.devices'],
  ])('does not take %s', (_, parts, path) => {
    const read = readPolicyObject(aPolicyObject('nics', parts));
    expect(read).toMatchObject({ name: 'nics', uid: 'uid-nics', generation: 1 });
    expect('message' in read && read.message).toContain(path);
  });

  it.each([undefined, null, 7, 'x', []])('does not break on the spec %j', (spec) => {
    const object = aPolicyObject('nics');
    expect(readPolicyObject({ ...object, spec })).toHaveProperty('message');
  });
});

describe('mergePolicyObjects', () => {
  it('takes what is good, and names what vanished without dropping it', () => {
    const { inForce, lost, invalid } = mergePolicyObjects(
      seen(aPolicyObject('b', { generation: 2 }), aPolicyObject('a')),
      known(good('b'), good('c')),
    );
    expect([generations(inForce), generations(lost), invalid]).toEqual(['a=1 b=2', 'c=1', []]);
  });

  it('keeps the last good version of one that turned bad', () => {
    const bad = aPolicyObject('a', { ...newWords, generation: 2 });
    const { inForce, invalid } = mergePolicyObjects(seen(bad), known(good('a')));
    expect(generations(inForce)).toBe('a=1');
    expect(invalid).toEqual([
      { name: 'a', uid: 'uid-a', generation: 2, message: expect.stringContaining('colour') as string },
    ]);
  });

  it('has nothing of a bad one that is new, or was made anew', () => {
    const bad = aPolicyObject('a', { ...newWords, uid: 'another' });
    expect(generations(mergePolicyObjects(seen(bad), known()).inForce)).toBe('');
    const merged = mergePolicyObjects(seen(bad), known(good('a')));
    expect([generations(merged.inForce), generations(merged.lost)]).toEqual(['', '']);
  });

  it('does not know what a bad one wants where nothing earlier is known', () => {
    const bad = seen(aPolicyObject('a', newWords));
    const first = mergePolicyObjects(bad, null);
    expect(generations(first.inForce)).toBe('a=unknown');
    expect(generations(mergePolicyObjects(bad, first.inForce).inForce)).toBe('a=unknown');
    expect(generations(mergePolicyObjects(seen(aPolicyObject('a')), first.inForce).inForce)).toBe('a=1');
  });
});

test('a Node has labels, identity, and its addresses but no host names', () => {
  expect(toNodeFacts(aNodeObject('node-1'))).toEqual({
    name: 'node-1',
    uid: 'uid-node-1',
    labels: { zone: 'a' },
    addresses: ['192.0.2.7', '2001:db8::7', '198.51.100.7'],
  });
  const { metadata } = aNodeObject('node-1');
  expect(
    toNodeFacts({ metadata: { ...metadata, labels: null }, status: { addresses: [null, {}, 'x'] } }),
  ).toMatchObject({
    labels: {},
    addresses: [],
  });
});

describe('what is kept on disk', () => {
  const path = '/state/cluster';
  const node = toNodeFacts(aNodeObject('node-1'));
  const kept = {
    policies: new Map([
      ['a', good('a')],
      ['b', null],
    ]),
    policiesVersion: '41',
    node,
    nodeVersion: '42',
  };
  const read = (text: string, name = 'node-1'): ReturnType<typeof readKeptCluster> =>
    readKeptCluster(createMemoryFiles({ entries: { [path]: { file: text } } }), path, name);

  it('comes back whole', () => {
    expect(read(formatKeptCluster(kept))).toEqual({ ...kept, problem: null });
  });

  it('says nothing about another node, but all about the policies', () => {
    expect(read(formatKeptCluster(kept), 'node-2')).toEqual({ ...kept, node: null, nodeVersion: null, problem: null });
  });

  it('is unknown where this program does not understand it any more', () => {
    const text = formatKeptCluster(kept).replace('"vendor":"15b3"', '"colour":"red"');
    expect(generations(read(text).policies ?? new Map())).toBe('a=unknown b=unknown');
  });

  it('is nothing, without a word, where there is none', () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    expect(readKeptCluster(files, path, 'node-1')).toMatchObject({ policies: null, node: null, problem: null });
  });

  it.each(['', '{', 'null', '[]', '{"version":2}', '{"version":1}'])('does not break on %j', (text) => {
    expect(read(text)).toMatchObject({ policies: null, policiesVersion: null, node: null });
    if (text !== '{"version":1}') expect(read(text).problem).toMatch(/damaged/);
  });
});

describe('judgeKnowledge', () => {
  const node = toNodeFacts(aNodeObject('node-1'));
  const current: Knowledge = {
    nodeName: 'node-1',
    inForce: known(good('a')),
    node,
    policies: { items: seen(aPolicyObject('a')), resourceVersion: '1', problem: null },
    nodes: { items: new Map([['node-1', node]]), resourceVersion: '1', problem: null },
    doubt: null,
  };
  const problem = (code: WatchProblemCode): { code: WatchProblemCode; message: string } => ({
    code,
    message: `${code}!`,
  });
  const policiesOf = ({ policies }: ReturnType<typeof judgeKnowledge>): string =>
    policies.map(({ name }) => name).join(' ');

  it('is complete when both lists are there and nothing is wrong', () => {
    expect(judgeKnowledge(current)).toMatchObject({ complete: true, why: null });
  });

  it.each(['NotFound', 'Unauthorized', 'Forbidden', 'Older', 'Partial', 'BadAnswer'] as const)(
    'is unknown after %s, of policies as of the Node, and keeps what it had',
    (code) => {
      for (const of of ['policies', 'nodes'] as const) {
        const set = judgeKnowledge({ ...current, [of]: { ...current[of], problem: problem(code) } });
        expect([set.complete, policiesOf(set)]).toEqual([false, 'a']);
        expect(set.why).toContain(`${code}!`);
      }
    },
  );

  it.each(['Unreachable', 'Throttled'] as const)('stays proven while there is merely no answer: %s', (code) => {
    expect(judgeKnowledge({ ...current, policies: { ...current.policies, problem: problem(code) } }).complete).toBe(
      true,
    );
    const started = { ...current, policies: { items: null, resourceVersion: null, problem: problem(code) } };
    expect(judgeKnowledge(started)).toMatchObject({ complete: false, why: expect.stringContaining(code) as string });
    expect(policiesOf(judgeKnowledge(started))).toBe('a');
  });

  it.each<[string, Partial<Knowledge>, string]>([
    ['policies were never listed', { policies: { items: null, resourceVersion: null, problem: null } }, 'a'],
    ['the Node was never listed', { nodes: { items: null, resourceVersion: null, problem: null } }, 'a'],
    ['the Node is missing', { nodes: { ...current.nodes, items: new Map() } }, 'a'],
    ['a policy is not understood', { inForce: new Map([['b', null], ...known(good('a'))]) }, 'a'],
    ['what vanished may not be gone', { doubt: 'the CRD is being deleted' }, 'a'],
    ['the labels were never known: no policy is in force', { node: null }, ''],
  ])('is unknown when %s', (_, parts, policies) => {
    const set = judgeKnowledge({ ...current, ...parts });
    expect([set.complete, policiesOf(set)]).toEqual([false, policies]);
    expect(set.why).not.toBeNull();
  });
});
