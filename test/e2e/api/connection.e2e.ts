// Our connection and reflector against a real API server, through a proxy that can fail: what the simulated server claims of the real
// one is held against it here, and nothing is lost, removed without proof, or asked for in a storm.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { applyCrds } from '../cluster/crds.ts';
import { type FaultProxy, startFaultProxy } from '../cluster/fault-proxy.ts';
import { until } from '../cluster/until.ts';
import {
  accessOf,
  hurriedClock,
  makePolicyReader,
  policiesPath,
  type PolicyReader,
  watchApi,
  type WatchedApi,
  type WatchedApiOptions,
} from './watched-api.ts';

let cluster: ControlPlane;
let proxy: FaultProxy;
let reader: PolicyReader;
let ends: (() => void)[] = [];

beforeAll(async () => {
  cluster = await startControlPlane();
  proxy = await startFaultProxy(cluster);
  reader = await makePolicyReader(cluster, 'reader');
});

afterAll(async () => {
  await proxy?.close();
  await cluster?.stop();
});

beforeEach(async () => {
  proxy.intercept(null);
  proxy.accept();
  proxy.resume();
  await cluster.kubectl(['delete', 'vfiopolicies', '--all', '--wait']);
  await put('a', 1);
  await put('b', 2);
});

afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

const put = (name: string, priority: number): Promise<unknown> =>
  cluster.admin.apply(`${policiesPath}/${name}`, {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: { name },
    spec: { priority, devices: [{ vendor: '10de' }] },
  });
const remove = (name: string): Promise<unknown> =>
  cluster.admin.expect({ method: 'DELETE', path: `${policiesPath}/${name}` });

/** Watches through the proxy until all is known. */
async function watching(options: WatchedApiOptions = {}): Promise<WatchedApi> {
  const watched = watchApi(accessOf(reader, proxy.url), options);
  ends.push(() => watched.close());
  await shows(watched, 'a=1', 'b=2');
  return watched;
}

function shows(watched: WatchedApi, ...expected: readonly string[]): Promise<void> {
  const what = `items ${expected.join(' ')}`;
  return until(what, async () => watched.items()?.join(' ') === expected.join(' '), 120);
}

const problemIs = (watched: WatchedApi, code: string | null): Promise<void> =>
  until(`problem ${code}`, async () => watched.problem() === code, 120);
/** Lists and watches that our reflector asked for since `from` (a length of `proxy.seen`). */
const asked = (from: number): readonly string[] =>
  proxy.seen
    .slice(from)
    .filter(({ userAgent }) => userAgent === 'connection-test')
    .map(({ path }) => (path.includes('watch=1') ? 'watch' : 'list'));

test('lists once, then follows by watch; kept alive and idle it asks for nothing', async () => {
  const from = proxy.seen.length;
  const watched = await watching();
  await put('c', 3);
  await put('a', 7);
  await remove('b');
  await shows(watched, 'a=7', 'c=3');
  expect(watched.changes).toEqual(['a', 'b', 'c', 'a', 'b']);
  const connections = proxy.connections();
  await sleep(5000);
  expect(asked(from)).toEqual(['list', 'watch']);
  expect(proxy.connections()).toBe(connections);
  expect(watched.problems).toEqual([]);
});

test('pages are one snapshot, and a list may be asked not to be older', async () => {
  for (let index = 0; index < 8; index += 1) await put(`p${index}`, index);
  const whole = await cluster.admin.expect({ path: policiesPath });
  const version = whole.metadata?.resourceVersion ?? '';
  const watched = watchApi(accessOf(reader, proxy.url), { pageSize: 3, notBefore: version });
  ends.push(() => watched.close());
  await until('ten items', async () => watched.items()?.length === 10);
  expect(Number(watched.reflector.state.resourceVersion)).toBeGreaterThanOrEqual(Number(version));
});

test('a list older than what an earlier life acted on is not believed, until the server has come that far', async () => {
  const { metadata } = await cluster.admin.expect({ path: policiesPath });
  const notBefore = String(Number(metadata?.resourceVersion) + 20);
  const watched = watchApi(accessOf(reader, proxy.url), { notBefore });
  ends.push(() => watched.close());
  await problemIs(watched, 'Older');
  expect(watched.items()).toBeNull();
  for (let count = 0; count < 25; count += 1) await put('a', count % 2);
  await put('a', 1);
  await shows(watched, 'a=1', 'b=2');
  await problemIs(watched, null);
});

test('deletions in a gap are seen: by the watch where the history reaches back, by a list where it was compacted', async () => {
  const watched = await watching({ clock: hurriedClock(10) });
  const from = proxy.seen.length;
  proxy.refuse();
  await remove('a');
  await put('c', 3);
  proxy.accept();
  await shows(watched, 'b=2', 'c=3');
  expect(asked(from)).not.toContain('list');

  proxy.refuse();
  await remove('b');
  const { metadata } = await cluster.admin.expect({ path: policiesPath });
  // A new API server has no history of its own, and etcd's is compacted away.
  await cluster.apiServer.stop();
  await compactEtcd(metadata?.resourceVersion ?? '');
  await cluster.apiServer.start();
  const before = proxy.seen.length;
  proxy.accept();
  await shows(watched, 'c=3');
  expect(asked(before)).toContain('list');
  await problemIs(watched, null);
});

test('an API server that is restarted loses nothing and is not stormed', async () => {
  const watched = await watching();
  const from = proxy.seen.length;
  await cluster.apiServer.stop();
  await problemIs(watched, 'Unreachable');
  expect(watched.items()).toEqual(['a=1', 'b=2']);
  await cluster.apiServer.start();
  await remove('a');
  await shows(watched, 'b=2');
  await problemIs(watched, null);
  expect(asked(from).length).toBeLessThan(30);
});

test('an API server that stands still (SIGSTOP) is noticed, and when it goes on nothing is missing', async () => {
  const watched = await watching();
  cluster.apiServer.pause();
  try {
    await sleep(5000);
    expect(watched.items()).toEqual(['a=1', 'b=2']);
    const late = watched.connection.request({ method: 'GET', path: policiesPath, deadline: 2000 });
    await expect(late).rejects.toMatchObject({ name: 'ApiError', code: 'Timeout' });
  } finally {
    cluster.apiServer.resume();
  }
  await put('c', 3);
  await shows(watched, 'a=1', 'b=2', 'c=3');
});

test('a connection of which only our half is left is given up by its silence', async () => {
  const watched = await watching({ clock: hurriedClock(30) });
  proxy.pause();
  await remove('a');
  // Without a bookmark yet, it is given up half a minute after the end that was asked for: 22 s on this clock at most.
  await until('another watch', async () => watched.connection.sent.WATCH > 1);
  expect(watched.items()).toEqual(['a=1', 'b=2']);
  proxy.resume();
  await shows(watched, 'b=2');
});

test('401, 403 and 404 are problems; items stay, and all is well again afterwards', async () => {
  const watched = await watching({ clock: hurriedClock(10) });
  await reader.revoke();
  // Tokens are believed from a cache for some seconds.
  await until('a 401', async () => {
    proxy.cut();
    await sleep(1000);
    return watched.problem() === 'Unauthorized';
  });
  expect(watched.items()).toEqual(['a=1', 'b=2']);
  await reader.renew();
  await problemIs(watched, null);

  await reader.allow(false);
  await until('a 403', async () => {
    proxy.cut();
    await sleep(1000);
    return watched.problem() === 'Forbidden';
  });
  expect(watched.items()).toEqual(['a=1', 'b=2']);
  await reader.allow(true);
  await problemIs(watched, null);

  proxy.intercept(() => ({ status: 404 }));
  proxy.cut();
  await problemIs(watched, 'NotFound');
  expect(watched.items()).toEqual(['a=1', 'b=2']);
  proxy.intercept(null);
  await problemIs(watched, null);
  expect(watched.items()).toEqual(['a=1', 'b=2']);
});

test('a CRD that is deleted deletes its objects first, while discovery no longer offers to create any', async () => {
  const watched = await watching();
  const verbs = async (): Promise<readonly string[]> => {
    const { resources } = await cluster.admin.expect({ path: '/apis/vfio-operator.dev/v1alpha1' });
    const all = resources as readonly { readonly name: string; readonly verbs: readonly string[] }[];
    return all.find(({ name }) => name === 'vfiopolicies')?.verbs ?? [];
  };
  expect(await verbs()).toContain('create');
  await cluster.kubectl(['delete', 'crd', 'vfiopolicies.vfio-operator.dev', '--wait=false']);
  await shows(watched);
  expect(await verbs()).not.toContain('create');
  await problemIs(watched, 'NotFound');
  expect(watched.items()).toEqual([]);
  await applyCrds(cluster.admin);
  await put('n', 5);
  await shows(watched, 'n=5');
  await problemIs(watched, null);
});

test('429 is obeyed, 5xx and answers that break off are waited out', async () => {
  const watched = await watching({ clock: hurriedClock(5) });
  let times: number[] = [];
  proxy.intercept(({ path }) => {
    if (!path.startsWith(policiesPath)) return undefined;
    times.push(Date.now());
    return times.length === 1 ? { status: 429, headers: { 'retry-after': '20' } } : undefined;
  });
  proxy.cut();
  await problemIs(watched, 'Throttled');
  await problemIs(watched, null);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(4000);

  times = [];
  const answers = [
    { status: 500 },
    { status: 503, headers: { 'retry-after': '1' } },
    'cut',
    { status: 200, cutAfter: 9 },
  ] as const;
  proxy.intercept(() => {
    times.push(Date.now());
    return answers[times.length - 1];
  });
  proxy.cut();
  await remove('a');
  await shows(watched, 'b=2');
  await problemIs(watched, null);
  expect(times.length).toBeLessThan(12);
});

test('a kubeconfig leads to the same server', async () => {
  const access = await readKubeconfig({ files: createFiles(), path: cluster.kubeconfig(), address: null });
  const watched = watchApi(access);
  ends.push(() => watched.close());
  await shows(watched, 'a=1', 'b=2');
});

/** Everything before this revision is forgotten. */
async function compactEtcd(revision: string): Promise<void> {
  const answer = await fetch(`${cluster.etcdUrl}/v3/kv/compaction`, {
    method: 'POST',
    body: JSON.stringify({ revision, physical: true }),
  });
  if (!answer.ok) throw new Error(`etcd does not compact: ${await answer.text()}`);
}
