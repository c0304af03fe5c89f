// A node state stays under a mebibyte as etcd stores it, managedFields and all: built by the agent's own code, written by server-side apply
// to a real API server, and read back as the bytes that etcd has.
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VfioNodeState } from '../../../src/api/generated/types.ts';
import { toNodeState } from '../../../src/domain/node-state.ts';
import { aBusyNode, aMonstrousNode } from '../../support/full-node.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { group } from './policy-api.ts';

const mebibyte = 1024 * 1024;

let cluster: ControlPlane;
beforeAll(async () => {
  cluster = await startControlPlane();
});
afterAll(async () => cluster?.stop());

test('2,000 virtual functions in use are stored whole', async () => {
  const state = toNodeState(aBusyNode(2_000));
  expect(state.status?.devices).toHaveLength(2_000);
  expect(state.status).not.toHaveProperty('omittedDevices');
  const stored = await store('busy', state);
  console.log(
    `2,000 virtual functions in use: ${stored.bytes} bytes stored, of which ${stored.managedFields} managedFields`,
  );
  expect(stored.bytes).toBeLessThan(mebibyte);
  expect(stored.object.status).toEqual(state.status);
});

test.each([
  ['plain text', 'x'],
  ['text that JSON escapes, and the API server more so', '"\\<&>'],
  ['text of four bytes a character', '\u{1F600}'],
  ['everything that is no text', '\u0000\u001b\u007f\u0085\u2028\ud800\ufeff\uffff\n'],
])('2,000 virtual functions with nothing but the longest of %s stay under the limit', async (what, filler) => {
  const state = toNodeState(aMonstrousNode(2_000, filler));
  const { bytes, object } = await store('monstrous', state);
  console.log(`worst case, ${what}: ${bytes} bytes stored, ${state.status?.devices?.length ?? 0} devices in it`);
  expect(bytes).toBeLessThan(mebibyte);
  expect(object.status).toEqual(state.status);
  const { devices = [], omittedDevices = 0, dryRun = [], omittedDryRun = 0 } = object.status ?? {};
  expect([devices.length + omittedDevices, dryRun.length + omittedDryRun]).toEqual([2_000, 2_000]);
  expect(object.status?.policies).toHaveLength(512);
  expect(object.status?.counts?.refused).toBe(2_000);
});

interface Stored {
  /** What etcd has. */
  readonly bytes: number;
  readonly managedFields: number;
  readonly object: VfioNodeState;
}

async function store(name: string, state: VfioNodeState): Promise<Stored> {
  const path = `${group}/vfionodestates/${name}`;
  const named = { ...state, metadata: { name } };
  const { status: _, ...bare } = named;
  const query = 'fieldManager=vfio-operator-agent&force=true&fieldValidation=Strict';
  const apply = (to: string, body: object) =>
    cluster.admin.request({
      method: 'PATCH',
      path: `${to}?${query}`,
      body,
      contentType: 'application/apply-patch+yaml',
    });
  expect((await apply(path, bare)).status).toBeLessThan(300);
  const answer = await apply(`${path}/status`, named);
  expect(answer.status, answer.text.slice(0, 2_000)).toBe(200);
  const value = await readEtcd(`/registry/vfio-operator.dev/vfionodestates/${name}`);
  const object = JSON.parse(value.toString()) as VfioNodeState & { metadata: { managedFields: unknown } };
  const managedFields = Buffer.byteLength(JSON.stringify(object.metadata.managedFields));
  return { bytes: value.length, managedFields, object };
}

/** The value of a key, by etcd's own HTTP gateway. */
function readEtcd(key: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${cluster.etcdUrl}/v3/kv/range`, { method: 'POST' }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('error', reject);
      answer.once('end', () => {
        const { kvs } = JSON.parse(Buffer.concat(chunks).toString()) as {
          readonly kvs?: readonly { readonly value: string }[];
        };
        const value = kvs?.[0]?.value;
        if (value === undefined) reject(new Error(`etcd has no ${key}`));
        else resolve(Buffer.from(value, 'base64'));
      });
    });
    sent.once('error', reject);
    sent.end(JSON.stringify({ key: Buffer.from(key).toString('base64') }));
  });
}
