// However things come, one by one, in any order, with policies and nodes coming and going: the status is that of the end alone.
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { VfioNodeStateStatus } from '../../../src/api/generated/types.ts';
import { decisionKinds } from '../../../src/domain/codes.ts';
import { digestNodeState } from '../../../src/domain/policy-status-digest.ts';
import { createPolicyFleet, type PolicyFleet } from '../../../src/domain/policy-status-fleet.ts';
import type { NodeFacts, PolicyFacts } from '../../../src/domain/policy-status-share.ts';
import { facts, fleetOf, statusesOf } from '../../support/policy-status.ts';

const policyNames = ['gpus', 'nics', 'disks'];
const policyName = fc.constantFrom(...policyNames);
const nodeName = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const labels = fc.dictionary(fc.constantFrom('rack', 'zone'), fc.constantFrom('1', '2'), { maxKeys: 2 });

const resourceName = fc.constantFrom('example.dev/a', 'example.dev/b');

const policy: fc.Arbitrary<PolicyFacts> = fc
  .record({
    name: policyName,
    uid: fc.constantFrom('uid-1', 'uid-2'),
    generation: fc.integer({ min: 1, max: 3 }),
    mode: fc.constantFrom('Enforce' as const, 'DryRun' as const),
    matchLabels: labels,
    resource: fc.option(fc.record({ name: resourceName, kubeVirt: fc.boolean() })),
    invalid: fc.option(fc.constant('spec.mode: unknown'), { freq: 8 }),
  })
  .map(({ matchLabels, ...parts }) => facts({ ...parts, nodeSelector: { matchLabels, matchExpressions: [] } }));

const device = fc.record(
  {
    address: fc.constantFrom('0000:01:00.0', '0000:02:00.0', '0000:03:00.0'),
    decision: fc.constantFrom(...decisionKinds),
    policy: policyName,
    code: fc.constantFrom('Conflict', 'HeldByPod', 'RootStorage'),
    message: fc.constantFrom('why', 'why not'),
    resource: resourceName,
    id: fc.constantFrom('10de:26b9', '15b3:101e', '8086:1572'),
    alsoWantedBy: fc.uniqueArray(policyName, { maxLength: 2 }),
  },
  { requiredKeys: ['address', 'decision'] },
);

const status: fc.Arbitrary<VfioNodeStateStatus> = fc.record({
  policies: fc.uniqueArray(
    fc.record(
      {
        name: policyName,
        uid: fc.constantFrom('uid-1', 'uid-2'),
        observedGeneration: fc.integer({ min: 0, max: 3 }),
        code: fc.constantFrom('Invalid', 'Conflict'),
        message: fc.constant('because'),
      },
      { requiredKeys: ['name', 'observedGeneration'] },
    ),
    { maxLength: 3, selector: ({ name }) => name },
  ),
  devices: fc.array(device, { maxLength: 8 }),
  dryRun: fc.array(device, { maxLength: 4 }),
});

const node: fc.Arbitrary<NodeFacts> = fc.record({
  digest: fc.option(status.map(digestNodeState), { freq: 5 }),
  labels: fc.option(labels, { freq: 5 }),
  agent: fc.constantFrom('Ready' as const, 'NotReady' as const, 'Missing' as const),
});

const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ node: nodeName, to: fc.option(node, { freq: 6 }) }) },
  { weight: 2, arbitrary: policy.map((to) => ({ policy: to.name, to })) },
  { weight: 1, arbitrary: policyName.map((name) => ({ policy: name, to: null })) },
);

/** All that a policy's status is made of, also what the worst news hides. */
function lookInto(fleet: PolicyFleet): Readonly<Record<string, unknown>> {
  const statuses = statusesOf(fleet);
  return Object.fromEntries(
    [...fleet.policies.values()].map(({ name, resource }) => {
      const sums = fleet.sumsOf(name);
      if (sums === null) throw new Error(`no sums of ${name}`);
      const { tally, counts, outranked, problemCount } = sums;
      const ids = resource === null ? [] : fleet.idsOf(resource.name);
      const plain = {
        tally: { ...tally },
        counts: [...counts],
        outranked,
        problemCount,
        behind: [...sums.behind()],
        ids,
      };
      return [name, { ...plain, worst: sums.worst(), status: statuses[name] }];
    }),
  );
}

it('is the same step by step as at once', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const fleet = createPolicyFleet();
      const policies = new Map<string, PolicyFacts>();
      const nodes = new Map<string, NodeFacts>();
      let told: Readonly<Record<string, unknown>> = {};
      for (const step of changes) {
        if ('node' in step) {
          fleet.setNode(step.node, step.to);
          if (step.to === null) nodes.delete(step.node);
          else nodes.set(step.node, step.to);
        } else {
          const known = policies.get(step.policy);
          // The API server never changes a spec without its generation.
          if (step.to !== null && known?.uid === step.to.uid && known.generation === step.to.generation) continue;
          fleet.setPolicy(step.policy, step.to);
          if (step.to === null) policies.delete(step.policy);
          else policies.set(step.policy, step.to);
        }
        const now = lookInto(fleet);
        const changed = new Set(fleet.takeChanged());
        expect(now).toEqual(lookInto(fleetOf(policies.values(), nodes)));
        // Nothing changes untold.
        for (const [name, one] of Object.entries(now)) if (!changed.has(name)) expect(one).toEqual(told[name]);
        told = now;
      }
    }),
    { numRuns: 300 },
  );
});
