// The writer alone: what it does when it may not act, and when what it wrote comes back.
import { expect, it } from 'vitest';
import type { KeptPolicy } from '../../../src/controller/read-objects.ts';
import { createStatusWriter } from '../../../src/controller/status-writer.ts';
import type { ApiConnection, ApiRequest } from '../../../src/kube/api-connection.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { device, facts, fleetOf, node } from '../../support/policy-status.ts';

function world() {
  const clock = createVirtualClock();
  const requests: ApiRequest[] = [];
  const connection: ApiConnection = {
    server: { host: 'api', port: 6443 },
    sent: { GET: 0, POST: 0, PUT: 0, PATCH: 0, DELETE: 0, WATCH: 0 },
    close: () => undefined,
    watch: () => Promise.reject(new Error('it only writes')),
    request: (request) => {
      requests.push(request);
      const metadata = { name: 'gpus', uid: 'uid-gpus', resourceVersion: String(100 + requests.length) };
      return Promise.resolve({ status: 200, body: { metadata }, retryAfter: null });
    },
  };
  const fleet = fleetOf([facts()], [['a', node([device()])]]);
  const policy: KeptPolicy = { facts: facts(), resourceVersion: '100', status: null };
  let may = true;
  const writer = createStatusWriter({
    connection,
    clock,
    random: createSeededRandom(1),
    policy: (name) => (name === 'gpus' ? policy : null),
    sums: (name) => fleet.sumsOf(name),
    notes: () => [],
    mayAct: () => may,
    patience: () => 1000,
    quietAtFirst: 0,
    onOutcome: () => undefined,
  });
  return { clock, requests, writer, fleet, forbid: () => (may = false) };
}

it('writes with the policy as it was seen as a precondition, and as nobody else', async () => {
  const { clock, requests, writer } = world();
  writer.check('gpus');
  await clock.advance(1000);
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({
    method: 'PATCH',
    path: '/apis/vfio-operator.dev/v1alpha1/vfiopolicies/gpus/status',
    query: { fieldManager: 'vfio-operator-controller', force: 'true' },
    body: { metadata: { name: 'gpus', uid: 'uid-gpus' }, status: { observedGeneration: 1 } },
    deadline: 1000,
  });
});

it('takes its own write for what the cluster has until the watch shows it', async () => {
  const { clock, requests, writer } = world();
  for (let turn = 0; turn < 10; turn += 1) {
    writer.check('gpus');
    await clock.advance(6000);
  }
  expect(requests).toHaveLength(1);
});

it('writes nothing when it may not act, whatever was waiting', async () => {
  const { clock, requests, writer, forbid } = world();
  writer.check('gpus');
  forbid();
  await clock.advance(60_000);
  expect(requests).toEqual([]);
  expect(writer.waiting).toBe(0);
});

it('begins nothing more once it is stopped', async () => {
  const { clock, requests, writer } = world();
  writer.check('gpus');
  await writer.stop();
  writer.check('gpus');
  await clock.advance(60_000);
  expect(requests).toEqual([]);
});
