// Policies applied to a real API server: defaults that nobody sees as a difference, two managers of one policy, objects older than a rule.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';
import { policyTable } from '../../support/policy-table.ts';
import type { KubernetesObject } from '../cluster/api-client.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { until } from '../cluster/until.ts';
import { condition, crdPath, crds, create, merge, policies, policy } from './policy-api.ts';

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane();
});
afterAll(async () => cluster?.stop());

const applyAs = (manager: string, name: string, spec: object, more = '') =>
  cluster.admin.request({
    method: 'PATCH',
    path: `${policies}/${name}?fieldManager=${manager}&fieldValidation=Strict${more}`,
    body: { ...policy(name), spec },
    contentType: 'application/apply-patch+yaml',
  });
const specOf = ({ body }: { readonly body: KubernetesObject }): Record<string, unknown> =>
  body['spec'] as Record<string, unknown>;

describe('defaults', () => {
  test('are those of a file', async () => {
    for (const spec of [
      {},
      { resource: { name: 'example.org/nic' } },
      { driver: {} },
      { mode: 'DryRun', priority: 3 },
    ]) {
      const text = JSON.stringify(policy('defaulted', spec));
      const served = await cluster.admin.expect({
        method: 'POST',
        path: `${policies}?dryRun=All`,
        body: JSON.parse(text),
      });
      expect(parsePolicyFile(text, 'a.json').documents[0]?.document.spec).toEqual(served['spec']);
    }
  });

  test('leave nothing for kubectl diff to find, by either kind of apply', async () => {
    // As people wrote them, each under a name of its own. What only the API server sets is no text of theirs; a null is left out by
    // kubectl apply and refused by server-side apply.
    const good = policyTable.filter(
      ({ text, problems }) =>
        problems.length === 0 && !/\buid:/.test(text) && !JSON.stringify(parse(text, { merge: true })).includes('null'),
    );
    expect(good.length).toBeGreaterThan(80);
    const list = good
      .map(({ text }, index) => text.replace(/(name"?: "?)example\b/, `$1diffed-${index}`))
      .join('\n---\n');
    for (const how of [[], ['--server-side', '--force-conflicts']]) {
      await cluster.kubectl(['apply', ...how, '-f', '-'], list);
      expect(await cluster.tryKubectl(['diff', ...how, '-f', '-'], list)).toEqual({ code: 0, stdout: '', stderr: '' });
    }
    // One of them has a finalizer, so nobody waits for its end.
    await cluster.kubectl(['delete', '--wait=false', '-f', '-'], list);
  });
});

describe('server-side apply by two managers', () => {
  const devices = [{ vendor: '15b3' }];

  test('merges what is a set', async () => {
    expect((await applyAs('first', 'merged', { devices, allow: ['NotOurs'] })).status).toBe(201);
    const both = await applyAs('second', 'merged', { allow: ['NoIommu'] });
    expect(both.status, both.text).toBe(200);
    expect(specOf(both)).toMatchObject({ allow: ['NotOurs', 'NoIommu'] });
    // One of them gives up its part: only that goes.
    expect(specOf(await applyAs('first', 'merged', { devices }))).toMatchObject({ allow: ['NoIommu'] });
  });

  test('refuses to mix what is one thing', async () => {
    const resource = { name: 'example.org/nic', environment: ['KubeVirt'] };
    const first = { devices, nodeSelector: { matchLabels: { rack: 'a' } }, driver: { name: 'vfio-pci' }, resource };
    expect((await applyAs('first', 'atomic', first)).status).toBe(201);
    for (const [field, spec] of [
      ['.spec.devices', { devices: [{ vendor: '8086' }] }],
      ['.spec.nodeSelector', { nodeSelector: { matchLabels: { row: 'b' } } }],
      ['.spec.driver', { driver: { aliases: [{ pattern: 'vfio_pci:v*', module: 'a' }] } }],
      ['.spec.resource.environment', { resource: { name: 'example.org/nic', environment: ['SriovNetwork'] } }],
    ] as const) {
      const conflict = await applyAs('second', 'atomic', spec);
      expect(conflict.status).toBe(409);
      expect(conflict.text).toContain(field);
    }
    const forced = await applyAs('second', 'atomic', { nodeSelector: { matchLabels: { row: 'b' } } }, '&force=true');
    expect(specOf(forced)).toMatchObject({ devices, nodeSelector: { matchLabels: { row: 'b' } } });
  });

  test('takes what one manager says now, emptied parts too', async () => {
    const resource = { name: 'example.org/nic' };
    const full = { devices, driver: { requireVariant: true }, resource: { ...resource, environment: ['KubeVirt'] } };
    expect((await applyAs('only', 'emptied', full)).status).toBe(201);
    const emptied = await applyAs('only', 'emptied', {
      devices,
      driver: {},
      resource: { ...resource, environment: [] },
    });
    expect(emptied.status, emptied.text).toBe(200);
    expect(specOf(emptied)).toMatchObject({ driver: { requireVariant: false }, resource: { environment: [] } });
    const plain = specOf(await applyAs('only', 'emptied', { devices, resource }));
    expect(plain).not.toHaveProperty('driver');
    expect(plain).toMatchObject({ resource: { environment: ['KubeVirt'] } });
  });

  test('merges conditions by type', async () => {
    await create(cluster, policy('conditions'));
    const say = (manager: string, type: string) =>
      cluster.admin.request({
        method: 'PATCH',
        path: `${policies}/conditions/status?fieldManager=${manager}`,
        body: { ...policy('conditions'), spec: undefined, status: { conditions: [condition(type, 'True', 'Done')] } },
        contentType: 'application/apply-patch+yaml',
      });
    expect((await say('first', 'Ready')).status).toBe(200);
    const both = await say('second', 'Reconciling');
    expect(both.body['status']).toMatchObject({ conditions: [{ type: 'Ready' }, { type: 'Reconciling' }] });
  });
});

describe('an object older than the rules', () => {
  const old = policy('old', {
    devices: [{ bus: 'pci' }],
    exclude: [{ addresses: ['3B:00.0'] }],
    driver: { module: 'a' },
  });
  const path = `${policies}/old`;

  beforeAll(async () => {
    const crd = crds.find(({ spec }) => spec.names.kind === 'VfioPolicy');
    if (crd === undefined) throw new Error('no CRD of VfioPolicy');
    const lax: unknown = JSON.parse(
      JSON.stringify(crd, (key, value: unknown) => (key === 'x-kubernetes-validations' ? undefined : value)),
    );
    const replace = (object: unknown) => cluster.admin.apply(crdPath(crd.metadata.name), object as KubernetesObject);
    await replace(lax);
    await until(
      'the rules to be gone',
      async () => (await cluster.admin.request({ method: 'POST', path: policies, body: old })).status === 201,
    );
    await create(cluster, policy('between', { allow: ['RootStorage'] }));
    await replace(crd);
    await until(
      'the rules to be back',
      async () =>
        (
          await cluster.admin.request({
            method: 'POST',
            path: `${policies}?dryRun=All`,
            body: policy('new', { devices: [{}] }),
          })
        ).status === 422,
    );
  });

  test('can still be labelled, and its status written', async () => {
    expect((await merge(cluster, path, { metadata: { labels: { seen: 'yes' } } })).status).toBe(200);
    const answer = await merge(cluster, `${path}/status`, {
      status: { conditions: [condition('Ready', 'False', 'Invalid')] },
    });
    expect(answer.status, answer.text).toBe(200);
  });

  test('can still be changed elsewhere in the spec', async () => {
    const answer = await merge(cluster, path, {
      spec: { priority: 3, mode: 'DryRun', resource: { name: 'example.org/nic' } },
    });
    expect(answer.status, answer.text).toBe(200);
  });

  test('can be mended in parts, and is not made worse', async () => {
    const worse = await merge(cluster, path, { spec: { devices: [{ bus: 'cdx' }] } });
    expect(worse.status).toBe(422);
    expect(worse.text).toContain('a selector needs at least one of vendor');
    expect((await merge(cluster, path, { spec: { driver: { module: 'b' } } })).status).toBe(422);
    expect((await merge(cluster, path, { spec: { devices: [{ vendor: '15b3' }] } })).status).toBe(200);
    expect((await merge(cluster, path, { spec: { driver: { module: null } } })).status).toBe(200);
  });

  test('meets a rule between fields of the spec again with the next change of the spec, and not before', async () => {
    const between = `${policies}/between`;
    expect((await merge(cluster, between, { metadata: { labels: { seen: 'yes' } } })).status).toBe(200);
    expect((await merge(cluster, `${between}/status`, { status: { observedGeneration: 1 } })).status).toBe(200);
    const answer = await merge(cluster, between, { spec: { priority: 3 } });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain('can be allowed only together with sriov');
  });
});
