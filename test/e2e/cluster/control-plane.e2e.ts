// The control plane that other tests stand on: it serves, it can be frozen, stopped and started again on its port with what it stored, the
// fault proxy does what it says, tokens are what they claim, and nothing is left behind.
import { existsSync, readFileSync } from 'node:fs';
import { get } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newApiClient } from './api-client.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { startFaultProxy } from './fault-proxy.ts';
import { until } from './until.ts';

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startControlPlane({ controllerManager: true, scheduler: true, nodes: ['lab1', 'lab2'] });
});
afterAll(async () => cluster?.stop());

test('serves the version it was built from, and the CRDs', async () => {
  expect(await cluster.admin.expect({ path: '/version' })).toMatchObject({ gitVersion: 'v1.37.2', minor: '37' });
  expect(await cluster.kubectl(['get', 'vfiopolicies,vfionodestates', '-o', 'name'])).toBe('');
});

test('keeps what it stored when it is started again, on the same port', async () => {
  await cluster.kubectl(['create', 'namespace', 'kept']);
  await cluster.apiServer.stop();
  await expect(cluster.admin.request({ path: '/version' })).rejects.toThrow('got no answer');
  await cluster.apiServer.start();
  expect((await cluster.admin.request({ path: '/api/v1/namespaces/kept' })).status).toBe(200);
});

test('frozen, it answers nobody; going on, it answers', async () => {
  cluster.apiServer.pause();
  await expect(cluster.admin.request({ path: '/version', timeoutMs: 500 })).rejects.toThrow('took too long');
  cluster.apiServer.resume();
  expect((await cluster.admin.request({ path: '/version' })).status).toBe(200);
});

test('a node token is the node, and may not write another node', async () => {
  const node = (name: string): object => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const token = cluster.token('system:node:lab1');
  const create = (name: string) =>
    cluster.admin.request({ method: 'POST', path: '/api/v1/nodes', body: node(name), token });
  expect((await create('lab1')).status).toBe(201);
  expect((await create('lab2')).status).toBe(403);
});

test("a service account's token bound to a pod carries its node", async () => {
  await cluster.kubectl(
    ['create', '-f', '-'],
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'bound', namespace: 'default' },
      spec: { nodeName: 'lab1', containers: [{ name: 'main', image: 'lab.local/none' }] },
    }),
  );
  const token = await cluster.serviceAccountToken('default', 'default', 'bound');
  const review = await cluster.admin.expect({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    token,
  });
  expect(review).toMatchObject({
    status: {
      userInfo: {
        username: 'system:serviceaccount:default:default',
        extra: { 'authentication.kubernetes.io/node-name': ['lab1'] },
      },
    },
  });
});

test('the proxy passes on, answers in its place, cuts, holds back and refuses', async () => {
  await using proxy = await startFaultProxy(cluster);
  const client = newApiClient({
    port: proxy.port,
    token: cluster.token('admin'),
    ca: () => readFileSync(cluster.caFile, 'utf8'),
  });
  const version = (timeoutMs = 5_000) => client.request({ path: '/version', timeoutMs });
  expect((await version()).status).toBe(200);

  proxy.intercept(({ path }) => (path === '/version' ? { status: 429, headers: { 'retry-after': '3' } } : undefined));
  expect((await version()).status).toBe(429);
  expect((await client.request({ path: '/readyz' })).status).toBe(200);
  proxy.intercept(() => 'cut');
  await expect(version()).rejects.toThrow('got no answer');
  proxy.intercept(null);
  proxy.pause();
  const held = version();
  await expect(version(300)).rejects.toThrow('took too long');
  proxy.resume();
  expect((await held).status).toBe(200);
  proxy.refuse();
  await expect(version()).rejects.toThrow('got no answer');
  proxy.accept();
  expect((await version()).status).toBe(200);
  expect(proxy.seen.filter(({ path }) => path === '/readyz')).toHaveLength(1);
  client.close();
});

test('a watch goes through the proxy as it happens, and ends when it is cut', async () => {
  await using proxy = await startFaultProxy(cluster);
  let heard = '';
  const ended = new Promise<string>((resolve) => {
    const path = '/api/v1/namespaces/kept/configmaps?watch=true';
    const headers = { authorization: `Bearer ${cluster.token('admin')}` };
    const ca = readFileSync(cluster.caFile);
    const sent = get({ host: '127.0.0.1', port: proxy.port, path, headers, ca, agent: false }, (answer) => {
      answer.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      answer.once('error', ({ message }) => resolve(message));
    });
    sent.on('error', ({ message }) => resolve(message));
  });
  await until('the watch', async () => proxy.seen.length === 1);
  await cluster.kubectl(['create', 'configmap', 'seen', '--namespace=kept']);
  await until('news of the map', async () => heard.includes('"name":"seen"'));
  proxy.cut();
  expect(await ended).toMatch(/aborted|ECONNRESET/);
});

test('nothing is left when it is stopped', async () => {
  await using other = await startControlPlane();
  const { directory } = other;
  const pids = [other.apiServer.pid(), other.etcd.pid()];
  await other.stop();
  expect(existsSync(directory)).toBe(false);
  for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
});
