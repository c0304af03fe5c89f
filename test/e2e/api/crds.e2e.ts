// The CRDs on a real API server: accepted without a complaint, explained, printed, within what rules may cost.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { until } from '../cluster/until.ts';
import { condition, crdPath, crds, create, group, merge, policies, policy } from './policy-api.ts';
import type { Crd, Schema } from './policy-api.ts';

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane();
});
afterAll(async () => cluster?.stop());

test.each(crds)('the API server finds nothing wrong with $metadata.name', async ({ metadata: { name } }) => {
  const { status } = await cluster.admin.expect({ path: crdPath(name) });
  const { conditions, storedVersions } = status as {
    conditions: readonly { readonly type: string; readonly status: string }[];
    storedVersions: readonly string[];
  };
  expect(conditions.map(({ type, status: holds }) => `${type} ${holds}`).toSorted()).toEqual([
    'Established True',
    'NamesAccepted True',
  ]);
  expect(storedVersions).toEqual(['v1alpha1']);
});

test.each(crds)('$metadata.name keeps every word of the chart', async (crd) => {
  const dry = await cluster.admin.request({
    method: 'PATCH',
    path: `${crdPath(crd.metadata.name)}?fieldManager=test&fieldValidation=Strict&dryRun=All`,
    body: crd,
    contentType: 'application/apply-patch+yaml',
  });
  expect(dry.status, dry.text).toBe(200);
  const served = (dry.body['spec'] as Crd['spec']).versions[0]?.schema.openAPIV3Schema;
  expect(served).toEqual(crd.spec.versions[0]?.schema.openAPIV3Schema);
});

describe('explaining', () => {
  interface OpenApi {
    readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
  }

  // The API server publishes what it serves a moment after it serves it.
  const openApi = '/openapi/v3/apis/vfio-operator.dev/v1alpha1';
  beforeAll(() =>
    until('the published schemas', async () => {
      const { text } = await cluster.admin.request({ path: openApi });
      return crds.every(({ spec }) => text.includes(`.${spec.names.kind}"`));
    }),
  );

  test.each(crds)('describes every field of $spec.names.kind', async ({ spec: { names } }) => {
    const { body } = await cluster.admin.request({ path: openApi });
    const { schemas } = (body as unknown as OpenApi).components;
    const published = Object.entries(schemas).find(([name]) => name.endsWith(`.${names.kind}`))?.[1] ?? {};
    const fields = listFields('', published);
    expect(fields.length).toBeGreaterThan(60);
    expect(fields.filter(({ description }) => !/^[A-Z"].{8,}[.]$/s.test(description)).map(({ path }) => path)).toEqual(
      [],
    );
  });

  test('reads well in a terminal', async () => {
    const spec = await cluster.kubectl(['explain', 'vfiopolicies.spec', '--recursive']);
    expect(spec).toContain('GROUP:      vfio-operator.dev');
    for (const field of ['nodeSelector', 'matchExpressions', 'physicalFunctions', 'virtualFunctions', 'onDelete'])
      expect(spec).toMatch(new RegExp(`^ +${field}\\t<`, 'm'));
    const unit = await cluster.kubectl(['explain', 'vfiop.spec.resource.unit']);
    expect(unit.replace(/\s+/g, ' ')).toContain('ENUM: Group Function');
    expect(unit.replace(/\s+/g, ' ')).toContain('What one unit of the resource is.');
    expect((await cluster.kubectl(['explain', 'vfions.status.devices.decision'])).replace(/\s+/g, ' ')).toContain(
      'Refused: must not be touched.',
    );
  });

  /** Every field below a schema. What Kubernetes itself says of metadata is not ours. */
  function listFields(path: string, schema: Schema): { readonly path: string; readonly description: string }[] {
    const below = (at: string, child: Schema) => [
      { path: at, description: child.description ?? '' },
      ...listFields(at, child),
    ];
    return [
      ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
        name === 'metadata' || name === 'apiVersion' || name === 'kind' ? [] : below(`${path}.${name}`, child),
      ),
      ...(schema.items === undefined ? [] : below(`${path}[]`, schema.items)),
      ...(typeof schema.additionalProperties === 'object' ? below(`${path}{}`, schema.additionalProperties) : []),
    ];
  }
});

describe('printing', () => {
  test('shows what the columns promise', async () => {
    await create(cluster, policy('printed', { resource: { name: 'example.org/nic' }, priority: 7 }));
    const status = {
      observedGeneration: 1,
      conditions: [condition('Ready', 'False', 'DevicesHeld')],
      nodes: { matched: 12, ready: 11, degraded: 0, vanished: 0 },
      devices: { bound: 96, refused: 3, held: 2 },
    };
    expect((await merge(cluster, `${policies}/printed/status`, { status })).status).toBe(200);
    const table = async (...options: readonly string[]) =>
      (await cluster.kubectl(['get', 'vfiop', 'printed', ...options])).replace(/[0-9]+s *$/m, 'AGE');
    expect(words(await table())).toEqual([
      'NAME MODE RESOURCE NODES NODES-READY BOUND READY REASON AGE',
      'printed Enforce example.org/nic 12 11 96 False DevicesHeld AGE',
    ]);
    expect(words(await table('-o', 'wide'))).toEqual([
      'NAME MODE RESOURCE NODES NODES-READY BOUND REFUSED HELD READY REASON PRIORITY AGE',
      'printed Enforce example.org/nic 12 11 96 3 2 False DevicesHeld 7 AGE',
    ]);
  });

  test('shows node states, and both kinds by their category', async () => {
    const path = `${group}/vfionodestates`;
    await cluster.admin.expect({
      method: 'POST',
      path,
      body: { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioNodeState', metadata: { name: 'node-1' } },
    });
    const status = {
      agentVersion: '0.1.0',
      kernel: { release: '6.12.0', iommu: true, iommufd: true, noIommuMode: false },
      counts: { bound: 8, refused: 1, held: 0, failed: 2 },
      conditions: [condition('Ready', 'True', 'Done')],
    };
    expect((await merge(cluster, `${path}/node-1/status`, { status })).status).toBe(200);
    const wide = (await cluster.kubectl(['get', 'vfions', '-o', 'wide'])).replace(/[0-9]+s *$/m, 'AGE');
    expect(words(wide)).toEqual([
      'NAME KERNEL IOMMU BOUND REFUSED HELD FAILED READY REASON AGENT AGE',
      'node-1 6.12.0 true 8 1 0 2 True Done 0.1.0 AGE',
    ]);
    const both = await cluster.kubectl(['get', 'vfio', '-o', 'name']);
    expect(both).toContain('vfiopolicy.vfio-operator.dev/printed');
    expect(both).toContain('vfionodestate.vfio-operator.dev/node-1');
  });

  const words = (table: string): readonly string[] =>
    table
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/ +/g, ' '));
});

test('status and spec are written apart, and only the spec counts as a generation', async () => {
  await create(cluster, policy('apart'));
  const path = `${policies}/apart`;
  const both = { spec: { priority: 5 }, status: { observedGeneration: 1 } };
  expect((await merge(cluster, path, both)).body).toMatchObject({ status: { observedGeneration: -1 } });
  const { body } = await merge(cluster, `${path}/status`, { ...both, spec: { priority: 6 } });
  expect(body).toMatchObject({ metadata: { generation: 2 }, spec: { priority: 5 }, status: { observedGeneration: 1 } });
});

test('the largest policy is within what rules may cost', async () => {
  const list = (count: number, make: (index: number) => unknown) =>
    Array.from({ length: count }, (_, index) => make(index));
  const hex = (index: number): string => (index + 4096).toString(16);
  const selector = {
    modalias: `pci:v*${'[0123456789]'.repeat(20)}`,
    addresses: list(128, (index) => `${hex(index)}:00:1f.7`),
    physicalFunctions: list(64, (index) => `${hex(index)}:00:1f.0`),
    function: 'Virtual',
  };
  const expression = (index: number) => ({ key: `k${index}`, operator: 'In', values: list(64, (at) => `v${at}`) });
  const largest = policy('largest', {
    devices: list(64, () => selector),
    exclude: list(64, () => selector),
    nodeSelector: { matchExpressions: list(32, expression) },
    allow: ['BootDisplay', 'ActiveGpu', 'NetworkInUse', 'StorageHasData', 'NotOurs', 'NoIommu'],
    resource: { name: `${'a.'.repeat(120)}b/${'c'.repeat(63)}` },
  });
  expect(JSON.stringify(largest).length).toBeGreaterThan(400_000);
  await create(cluster, largest);
  await cluster.admin.expect({ method: 'DELETE', path: `${policies}/largest` });
});
