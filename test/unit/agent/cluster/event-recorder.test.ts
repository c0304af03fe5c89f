// Events as they are written: what the API server wants of them, and that there is never a storm.
import { beforeEach, expect, test } from 'vitest';
import { createEventRecorder, eventBudget, type EventRecorder } from '../../../../src/agent/cluster/event-recorder.ts';
import type { NodeEvent } from '../../../../src/agent/cluster/node-event.ts';
import { ApiError } from '../../../../src/kube/api-error.ts';
import { createSeededRandom } from '../../../../src/simulation/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../../../src/simulation/virtual-clock.ts';
import { anAnswer, scriptedConnection, type ScriptedConnection } from '../../../support/scripted-connection.ts';

let clock: VirtualClock;
let connection: ScriptedConnection;
let stateUid: string | null;
let outcomes: string[];
let recorder: EventRecorder;

beforeEach(() => {
  clock = createVirtualClock();
  connection = scriptedConnection();
  stateUid = 'state-uid';
  outcomes = [];
  recorder = createEventRecorder({
    connection,
    clock,
    random: createSeededRandom(1),
    nodeName: 'node-1',
    stateUid: () => stateUid,
    nodeUid: () => 'node-uid',
    onEvent: (outcome) => outcomes.push(outcome),
  });
});

const bound = (note = 'bound'): NodeEvent => ({ reason: 'Bound', note });
const count = (method: string): number => connection.requests.filter((request) => request.method === method).length;

test('an event has everything that events.k8s.io/v1 demands', async () => {
  recorder.record(bound());
  await clock.advance(10_000);
  expect(connection.requests).toEqual([
    {
      method: 'POST',
      path: '/apis/events.k8s.io/v1/namespaces/default/events',
      body: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: expect.stringMatching(/^node-1\.[0-9a-f]{16}$/) as string, namespace: 'default' },
        eventTime: '2026-01-01T00:00:00.000000Z',
        type: 'Normal',
        reason: 'Bound',
        action: 'Bind',
        note: 'bound',
        regarding: {
          apiVersion: 'vfio-operator.dev/v1alpha1',
          kind: 'VfioNodeState',
          name: 'node-1',
          uid: 'state-uid',
        },
        related: { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'node-uid' },
        reportingController: 'vfio-operator.dev/agent',
        reportingInstance: 'node-1',
      },
    },
  ]);
  expect(outcomes).toEqual(['Sent']);
});

test('it waits for the node state it is about, but not for ever', async () => {
  stateUid = null;
  recorder.record(bound());
  await clock.advance(10_000);
  expect(connection.requests).toEqual([]);
  await clock.advance(60_000);
  expect(connection.requests.length).toBe(1);
});

test('what repeats is counted in the event that is there, seldom', async () => {
  recorder.record(bound());
  await clock.advance(10_000);
  for (let second = 0; second < 2_400; second += 10) {
    recorder.record(bound());
    await clock.advance(10_000);
  }
  expect(count('POST')).toBe(1);
  expect(count('PATCH')).toBe(6);
  const last = connection.requests.findLast((request) => request.method === 'PATCH');
  expect(last).toMatchObject({ contentType: 'application/merge-patch+json' });
  expect(last?.body).toMatchObject({ series: { lastObservedTime: expect.stringMatching(/000Z$/) as string } });
});

test('the API server has dropped the event: the next one is new', async () => {
  recorder.record(bound());
  await clock.advance(400_000);
  connection.answer = ({ method }) => anAnswer(method === 'PATCH' ? 404 : 201);
  recorder.record(bound());
  await clock.advance(10_000);
  recorder.record(bound());
  await clock.advance(10_000);
  expect([count('POST'), count('PATCH')]).toEqual([2, 1]);
});

test('never a storm: a burst, then one a minute', async () => {
  for (let number = 0; number < 1_000; number += 1) recorder.record(bound(String(number)));
  await clock.advance(5_000);
  expect(connection.requests.length).toBe(eventBudget.burst);
  for (let second = 0; second < 3_600; second += 1) {
    recorder.record(bound(`x${second}`));
    await clock.advance(1_000);
  }
  expect(connection.requests.length).toBeLessThanOrEqual(eventBudget.burst + 61);
  expect(connection.requests.length).toBeGreaterThan(eventBudget.burst + 55);
});

test('what cannot be sent is tried a few times, at the pace the server asks for, then dropped', async () => {
  connection.answer = () => anAnswer(429, {}, 20_000);
  recorder.record(bound());
  await clock.advance(19_000);
  expect(connection.requests.length).toBe(1);
  await clock.advance(3_600_000);
  expect(connection.requests.length).toBe(6);
  expect(outcomes).toEqual(['Dropped']);
});

test('without an API server events wait, and arrive when it is back', async () => {
  connection.answer = () => new ApiError('Unreachable', 'ECONNREFUSED');
  recorder.record(bound('one'));
  recorder.record(bound('two'));
  await clock.advance(5_000);
  connection.answer = () => anAnswer(201);
  await clock.advance(120_000);
  expect(outcomes).toEqual(['Sent', 'Sent']);
});

test('what is refused is dropped at once', async () => {
  connection.answer = () => anAnswer(403, { message: 'no' });
  recorder.record(bound());
  await clock.advance(600_000);
  expect([connection.requests.length, outcomes]).toEqual([1, ['Dropped']]);
});

test('closed, it sends nothing more', async () => {
  recorder.record(bound());
  recorder.close();
  recorder.record(bound('other'));
  await clock.advance(600_000);
  expect(connection.requests).toEqual([]);
});
