// The simulated API server against what the real one does (held against a real one in test/e2e/api/connection.e2e.ts): writes,
// versions, discovery, and a CRD that is deleted. Lists, watches and faults are what the reflector's tests are about.
import { describe, expect, it } from 'vitest';
import { type ApiConnection, type ApiRequest, createApiConnection } from '../../../src/kube/api-connection.ts';
import { createApiServer, type SimulatedApiServer } from '../../../src/simulation/api-server.ts';
import type { JsonObject } from '../../../src/simulation/api-server-merge.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { anonymous, policiesPath, policyObject, watchPolicies, withPolicies } from '../../support/simulated-api.ts';

function open(): { readonly server: SimulatedApiServer; readonly connection: ApiConnection } {
  const clock = createVirtualClock();
  const server = createApiServer({ clock });
  const where = { host: 'simulated', port: 1 };
  const connection = createApiConnection({
    http: server.connect(),
    credentials: anonymous,
    clock,
    server: where,
    userAgent: 'test',
  });
  return { server, connection };
}

const statesPath = '/apis/vfio-operator.dev/v1alpha1/vfionodestates';
const apply = (path: string, manager: string, body: JsonObject): ApiRequest => ({
  method: 'PATCH',
  path,
  query: { fieldManager: manager, force: 'true' },
  contentType: 'application/apply-patch+yaml',
  body,
});
const versionOf = (body: unknown): string =>
  (body as { metadata: { resourceVersion: string } }).metadata.resourceVersion;

describe('server-side apply', () => {
  it('creates, merges what managers own, and removes what its manager no longer applies', async () => {
    const { server, connection } = open();
    const path = `${statesPath}/n1`;
    const labels = { a: '1', b: '2' };
    expect(await connection.request(apply(path, 'agent', { metadata: { name: 'n1', labels } }))).toMatchObject({
      status: 201,
    });
    await connection.request(apply(path, 'other', { metadata: { name: 'n1', labels: { c: '3' } } }));
    await connection.request(apply(path, 'agent', { metadata: { name: 'n1', labels: { a: '1' } } }));
    expect(server.get('vfionodestates', 'n1')).toMatchObject({
      kind: 'VfioNodeState',
      metadata: { name: 'n1', labels: { a: '1', c: '3' } },
    });
  });

  it('to the status leaves the rest, and the same again changes nothing', async () => {
    const { server, connection } = open();
    const path = `${statesPath}/n1`;
    expect(await connection.request(apply(`${path}/status`, 'agent', { status: {} }))).toMatchObject({ status: 404 });
    await connection.request(apply(path, 'agent', { metadata: { name: 'n1' }, status: { ignored: true } }));
    const body = { metadata: { name: 'n1', labels: { no: 'x' } }, status: { list: [1, 2], map: { a: 1 } } };
    const first = await connection.request(apply(`${path}/status`, 'agent', body));
    const again = await connection.request(apply(`${path}/status`, 'agent', body));
    expect(versionOf(again.body)).toBe(versionOf(first.body));
    const state = server.get('vfionodestates', 'n1');
    expect(state?.status).toEqual({ list: [1, 2], map: { a: 1 } });
    expect(state?.metadata).toMatchObject({ generation: 1 });
    expect(state?.metadata).not.toHaveProperty('labels');
  });

  it('wants a field manager', async () => {
    const { connection } = open();
    const request = { ...apply(`${statesPath}/n1`, '', { metadata: {} }), query: {} };
    expect(await connection.request(request)).toMatchObject({ status: 400 });
  });
});

describe('other writes', () => {
  const events = '/apis/events.k8s.io/v1/namespaces/default/events';

  it('create once, in a namespace where there is one', async () => {
    const { server, connection } = open();
    const request = { method: 'POST', path: events, body: { metadata: { name: 'e1' }, note: 'x' } } as const;
    expect(await connection.request(request)).toMatchObject({ status: 201 });
    expect(await connection.request(request)).toMatchObject({ status: 409, body: { reason: 'AlreadyExists' } });
    expect(server.get('events', 'default/e1')).toMatchObject({ metadata: { namespace: 'default' } });
  });

  it('replace and merge only the version they name', async () => {
    const { server, connection } = open();
    const object = server.put('vfiopolicies', policyObject('a', 1));
    const path = `${policiesPath}/a`;
    const put = { method: 'PUT', path, body: { ...object, spec: { priority: 2 }, status: { no: 1 } } } as const;
    expect(await connection.request(put)).toMatchObject({ status: 200 });
    expect(await connection.request(put)).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
    const contentType = 'application/merge-patch+json';
    await connection.request({
      method: 'PATCH',
      path: `${path}/status`,
      contentType,
      body: { status: { a: 1, b: 2 } },
    });
    await connection.request({
      method: 'PATCH',
      path: `${path}/status`,
      contentType,
      body: { status: { b: null }, spec: {} },
    });
    expect(server.get('vfiopolicies', 'a')).toMatchObject({ spec: { priority: 2 }, status: { a: 1 } });
    expect(server.get('vfiopolicies', 'a')?.status).toEqual({ a: 1 });
    expect(server.get('vfiopolicies', 'a')).toMatchObject({ metadata: { generation: 2 } });
  });

  it('delete, and say what is not there or not served', async () => {
    const { server, connection } = open();
    server.put('vfiopolicies', policyObject('a', 1));
    const path = `${policiesPath}/a`;
    expect(await connection.request({ method: 'DELETE', path })).toMatchObject({ status: 200 });
    expect(await connection.request({ method: 'DELETE', path })).toMatchObject({ status: 404 });
    expect(await connection.request({ method: 'GET', path: '/apis/other/v1/things' })).toMatchObject({ status: 404 });
    expect(server.seen.map(({ verb, status }) => `${verb} ${status}`)).toEqual(['DELETE 200', 'DELETE 404', 'GET 404']);
  });
});

describe('a CRD that is deleted', () => {
  it('takes its objects with it while discovery offers none to be created, and is gone five seconds later', async () => {
    const { clock, server, connection, items, reflector } = watchPolicies({ prepare: withPolicies('a', 'b') });
    await clock.settle();
    const discover = async (): Promise<readonly string[] | undefined> => {
      const { body } = await connection.request({ method: 'GET', path: '/apis/vfio-operator.dev/v1alpha1' });
      const { resources } = body as {
        resources: readonly { readonly name: string; readonly verbs: readonly string[] }[];
      };
      return resources.find(({ name }) => name === 'vfiopolicies')?.verbs;
    };
    expect(await discover()).toContain('create');
    server.deleteCrd('vfiopolicies');
    await clock.settle();
    expect(items()).toEqual([]);
    expect(await discover()).not.toContain('create');
    const body = policyObject('c');
    expect(await connection.request({ method: 'POST', path: policiesPath, body })).toMatchObject({ status: 405 });
    await clock.advance(30_000);
    expect(await discover()).toBeUndefined();
    expect(reflector.state.problem?.code).toBe('NotFound');
    server.createCrd('vfiopolicies');
    server.put('vfiopolicies', body);
    await clock.advance(60_000);
    expect(items()).toEqual(['c=0']);
    expect(await discover()).toContain('create');
  });
});
