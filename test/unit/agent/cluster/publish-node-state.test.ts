// When the node state is written, when it is not, and what happens when it cannot be.
import { beforeEach, expect, test } from 'vitest';
import { createNodeStatePublisher, type NodeStatePublisher } from '../../../../src/agent/cluster/publish-node-state.ts';
import type { VfioNodeState } from '../../../../src/api/generated/types.ts';
import { ApiError } from '../../../../src/kube/api-error.ts';
import { createSeededRandom } from '../../../../src/simulation/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../../../src/simulation/virtual-clock.ts';
import { anAnswer, scriptedConnection, type ScriptedConnection } from '../../../support/scripted-connection.ts';

let clock: VirtualClock;
let connection: ScriptedConnection;
let owner: string | null;
let problems: (string | null)[];
let publisher: NodeStatePublisher;

beforeEach(() => {
  clock = createVirtualClock();
  connection = scriptedConnection();
  owner = 'node-uid';
  problems = [];
  publisher = createNodeStatePublisher({
    connection,
    clock,
    random: createSeededRandom(1),
    nodeName: 'node-1',
    ownerUid: () => owner,
    onProblem: (problem) => problems.push(problem),
  });
});

function aState(agentVersion: string): VfioNodeState {
  return {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioNodeState',
    metadata: { name: 'node-1' },
    status: { agentVersion },
  };
}

const path = '/apis/vfio-operator.dev/v1alpha1/vfionodestates/node-1';
const paths = (): string[] => connection.requests.map((request) => request.path.replace(path, 'state'));
const lastVersion = (): unknown =>
  (connection.requests.findLast((one) => one.path.endsWith('/status'))?.body as VfioNodeState | undefined)?.status
    ?.agentVersion;

test('the object is made with its Node as owner, then its status is applied, as our field manager', async () => {
  publisher.publish(aState('1'));
  await clock.advance(100);
  expect(connection.requests).toEqual([
    {
      method: 'PATCH',
      path,
      query: { fieldManager: 'vfio-operator-agent', force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioNodeState',
        metadata: {
          name: 'node-1',
          ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'node-uid' }],
        },
      },
    },
    {
      method: 'PATCH',
      path: `${path}/status`,
      query: { fieldManager: 'vfio-operator-agent', force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioNodeState',
        metadata: { name: 'node-1' },
        status: { agentVersion: '1' },
      },
    },
  ]);
  expect([publisher.problem, problems]).toEqual([null, []]);
});

test('what did not change is not written: none in an hour', async () => {
  publisher.publish(aState('1'));
  await clock.advance(10_000);
  const before = connection.requests.length;
  for (let minute = 0; minute < 60; minute += 1) {
    publisher.publish(aState('1'));
    await clock.advance(60_000);
  }
  expect(connection.requests.length).toBe(before);
});

test('changes are gathered: at most one write in two seconds, and the last one arrives', async () => {
  for (let at = 0; at < 10_000; at += 100) {
    publisher.publish(aState(String(at)));
    await clock.advance(100);
  }
  await clock.advance(5_000);
  const writes = paths().filter((one) => one === 'state/status').length;
  expect(writes).toBeGreaterThan(3);
  expect(writes).toBeLessThanOrEqual(6);
  expect(lastVersion()).toBe('9900');
});

test('a state that changes while a write is on its way follows it', async () => {
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof anAnswer>>();
  connection.answer = () => promise;
  publisher.publish(aState('1'));
  await clock.advance(100);
  publisher.publish(aState('2'));
  await clock.advance(60_000);
  expect(connection.requests.length).toBe(1);
  resolve(anAnswer(200));
  await clock.advance(5_000);
  expect(lastVersion()).toBe('2');
});

test('back to what is there already before the write came: nothing is sent', async () => {
  publisher.publish(aState('1'));
  await clock.advance(10);
  const before = connection.requests.length;
  publisher.publish(aState('2'));
  publisher.publish(aState('1'));
  await clock.advance(10_000);
  expect(connection.requests.length).toBe(before);
});

test.each([
  ['no answer', () => new ApiError('Unreachable', 'ECONNREFUSED')],
  ['a server error', () => anAnswer(500, 'oops')],
  ['forbidden', () => anAnswer(403, { message: 'no' })],
  ['a conflict', () => anAnswer(409, { message: 'somebody was faster' })],
])('%s: tried again, ever more seldom, told once, and delivered in the end', async (_, answer) => {
  connection.answer = answer;
  publisher.publish(aState('1'));
  await clock.advance(60_000);
  const first = connection.requests.length;
  expect(first).toBeGreaterThan(2);
  await clock.advance(3_600_000);
  const inAnHour = connection.requests.length - first;
  expect(inAnHour).toBeGreaterThan(55);
  expect(inAnHour).toBeLessThan(250);
  expect(problems.length).toBe(1);
  publisher.publish(aState('2'));
  connection.answer = () => anAnswer(200);
  await clock.advance(120_000);
  expect([lastVersion(), problems.at(-1), publisher.problem]).toEqual(['2', null, null]);
});

test.each(['header', 'body'])('comes back no sooner than the server asks (%s)', async (where) => {
  connection.answer = () =>
    where === 'header' ? anAnswer(429, {}, 90_000) : anAnswer(429, { details: { retryAfterSeconds: 90 } });
  publisher.publish(aState('1'));
  await clock.advance(89_000);
  expect(connection.requests.length).toBe(1);
  connection.answer = () => anAnswer(200);
  await clock.advance(20_000);
  expect(paths()).toEqual(['state', 'state', 'state/status']);
});

test('a fleet that failed together does not come back together', async () => {
  const times = await Promise.all(
    [1, 2, 3, 4, 5].map(async (seed) => {
      const own = createVirtualClock();
      const failing = scriptedConnection();
      const at: number[] = [];
      failing.answer = () => {
        at.push(Math.round(own.monotonic()));
        return anAnswer(503);
      };
      createNodeStatePublisher({
        connection: failing,
        clock: own,
        random: createSeededRandom(seed),
        nodeName: 'node-1',
        ownerUid: () => 'uid',
        onProblem: () => undefined,
      }).publish(aState('1'));
      await own.advance(120_000);
      return at.at(-1);
    }),
  );
  expect(new Set(times).size).toBe(5);
});

test('an object that somebody deleted is written again, with its owner', async () => {
  publisher.publish(aState('1'));
  await clock.advance(5_000);
  connection.requests.length = 0;
  publisher.noteMissing();
  await clock.advance(5_000);
  expect(paths()).toEqual(['state', 'state/status']);
});

test('deleted while a write is on its way: written once more', async () => {
  publisher.publish(aState('1'));
  await clock.advance(5_000);
  connection.requests.length = 0;
  connection.answer = () => {
    if (connection.requests.length === 1) publisher.noteMissing();
    return anAnswer(200);
  };
  publisher.publish(aState('2'));
  await clock.advance(10_000);
  expect(paths()).toEqual(['state/status', 'state', 'state/status']);
});

test('without a Node no object is made; what is there is written', async () => {
  owner = null;
  publisher.publish(aState('1'));
  await clock.advance(5_000);
  expect(paths()).toEqual(['state/status']);
});

test('without a Node and without an object it waits for the Node, and asks nobody meanwhile', async () => {
  owner = null;
  connection.answer = ({ path: asked }) => anAnswer(asked.endsWith('/status') ? 404 : 200);
  publisher.publish(aState('1'));
  await clock.advance(3_600_000);
  publisher.noteMissing();
  await clock.advance(3_600_000);
  expect(paths()).toEqual(['state/status']);
  expect(problems).toEqual(['there is no Node node-1 that could own the node state']);
  owner = 'node-uid';
  connection.answer = () => anAnswer(200);
  publisher.noteOwner();
  await clock.advance(5_000);
  expect(paths()).toEqual(['state/status', 'state', 'state/status']);
  expect(publisher.problem).toBeNull();
});

test('a Node made anew becomes the owner', async () => {
  publisher.publish(aState('1'));
  await clock.advance(5_000);
  owner = 'another-uid';
  publisher.noteOwner();
  await clock.advance(5_000);
  const made = connection.requests.findLast((request) => request.path === path)?.body as VfioNodeState;
  expect(made.metadata.ownerReferences?.[0]?.uid).toBe('another-uid');
});

test('closed, it sends nothing more', async () => {
  connection.answer = () => anAnswer(500);
  publisher.publish(aState('1'));
  await clock.advance(1_000);
  publisher.close();
  const before = connection.requests.length;
  publisher.publish(aState('2'));
  publisher.noteMissing();
  await clock.advance(600_000);
  expect(connection.requests.length).toBe(before);
});
