// Which policies a command goes by when it is given none: what the agent kept, from wherever it last had them.
import { beforeEach, expect, test } from 'vitest';
import { formatKeptCluster } from '../../../src/agent/cluster/kept-cluster.ts';
import { toNodeFacts } from '../../../src/agent/cluster/node-facts.ts';
import { readPolicyObject } from '../../../src/agent/cluster/read-policy-object.ts';
import { formatKeptPolicies } from '../../../src/agent/kept-policies.ts';
import { findPolicies } from '../../../src/cli/find-policies.ts';
import { readPolicyDocument } from '../../../src/kube/policy-documents.ts';
import { createMemoryFiles, type MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { aNodeObject, aPolicyObject } from '../../support/cluster-objects.ts';

const state = '/var/lib/vfio-operator';
const given = { policies: null, state, nodeName: null };
let files: MemoryFiles;
let time = 1_000;

beforeEach(() => {
  files = createMemoryFiles({ entries: { [state]: { directory: {} } }, now: () => time });
});

async function put(name: string, text: string): Promise<void> {
  const log = await files.openLog(`${state}/${name}`, { truncate: true });
  await log.append(text);
  await log.close();
}

function fromCluster(): string {
  const read = readPolicyObject(aPolicyObject('in-cluster'));
  if (!('policy' in read)) throw new Error(read.message);
  const node = toNodeFacts(aNodeObject('node-1'));
  const policies = new Map([['in-cluster', read]]);
  return formatKeptCluster({ policies, policiesVersion: '1', node, nodeVersion: '1' });
}

function fromFiles(): string {
  const { apiVersion, kind, spec } = aPolicyObject('in-files');
  const read = readPolicyDocument({ apiVersion, kind, spec, metadata: { name: 'in-files' } }, 'a.yaml', 1);
  if (!('policy' in read)) throw new Error('the policy is not good');
  return formatKeptPolicies('/policies', new Map([['a.yaml', [read]]]));
}

const found = (options: { readonly nodeName?: string } = {}): readonly [string, boolean, string | undefined] => {
  const { set, node } = findPolicies(files, { ...given, ...options });
  return [set.policies.map(({ name }) => name).join(' '), set.complete, node?.labels['zone']];
};

test('those of the cluster, with the labels that the Node had', async () => {
  await put('cluster', fromCluster());
  expect(found()).toEqual(['in-cluster', true, 'a']);
  expect(findPolicies(files, given).origin).toBe('1 that the agent kept from the cluster');
  expect(found({ nodeName: 'node-1' })).toEqual(['in-cluster', true, 'a']);
  expect(found({ nodeName: 'another' })).toEqual(['', false, undefined]);
});

test('those of a directory, and of both the ones that were kept last', async () => {
  await put('policies', fromFiles());
  expect(found()).toEqual(['in-files', true, undefined]);
  time += 1_000;
  await put('cluster', fromCluster());
  expect(found()).toEqual(['in-cluster', true, 'a']);
});

test('none that can be used: nothing is known, and why is said', async () => {
  expect(found()).toEqual(['', false, undefined]);
  await put('cluster', '{');
  expect(found()).toEqual(['', false, undefined]);
  expect(findPolicies(files, given).unread[0]?.why).toMatch(/damaged/);
});
