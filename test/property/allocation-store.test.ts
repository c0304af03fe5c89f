import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AllocationStore } from '../../src/kubelet/allocation-store.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';

const path = '/state/allocations';
const resource = 'a.b/gpu';
const ids = ['a', 'b', 'c'];

const actions = fc.oneof(
  fc.record({ kind: fc.constant('record' as const), ids: fc.subarray(ids, { minLength: 1 }), group: fc.nat(3) }),
  fc.record({ kind: fc.constant('observe' as const), ids: fc.subarray(ids) }),
  fc.record({ kind: fc.constant('hold' as const), group: fc.nat(3), pod: fc.constantFrom('n/p', 'n/ö "q"') }),
  fc.record({ kind: fc.constant('free' as const), group: fc.nat(3) }),
);
type Action = typeof actions extends fc.Arbitrary<infer Value> ? Value : never;

function describeState(store: AllocationStore) {
  return {
    records: ids.map((id) => store.find(resource, id)),
    used: store.inUse().map(({ record }) => record.id),
    holders: [0, 1, 2, 3].map((group) => store.holder(group)),
  };
}

describe('the allocations file', () => {
  it('cut at any byte, gives the state after the last record that is whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(actions, { maxLength: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (history, part) => {
          const clock = createVirtualClock();
          const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
          const size = () => files.stat(path).size;
          const store = await AllocationStore.open({ files, clock }, path);
          const states = [{ size: size(), state: describeState(store) }];
          for (const action of history) {
            await clock.advance(1000);
            await perform(store, action, clock.monotonic(), clock.now());
            states.push({ size: size(), state: describeState(store) });
          }
          const bytes = files.readBytes(path, 0, size());
          const cut = Math.floor(part * bytes.length);
          files.put(path, { file: bytes.slice(0, cut) });
          const next = await AllocationStore.open({ files, clock }, path);
          expect(next.problems).toEqual([]);
          // Without its newline alone a record is whole still. A look at the pods may be two lines, of which one arrived.
          const last = states.filter((entry) => entry.size <= cut + 1).length - 1;
          if (history[last]?.kind !== 'observe') expect(describeState(next)).toEqual(states[last]?.state);
          const once = files.readText(path);
          expect(describeState(await AllocationStore.open({ files, clock }, path))).toEqual(describeState(next));
          expect(files.readText(path)).toBe(once);
        },
      ),
      { numRuns: 300 },
    );
  });
});

async function perform(store: AllocationStore, action: Action, monotonic: number, now: number): Promise<void> {
  switch (action.kind) {
    case 'record':
      await store.record(
        action.ids.map((id) => ({
          resource,
          id,
          ids: action.ids,
          group: action.group,
          groupNode: String(action.group),
          functions: [{ address: id, driver: 'vfio-pci', cdev: null }],
          bootId: null,
          at: now,
        })),
      );
      break;
    case 'observe':
      await store.observe(
        action.ids.map((id) => ({ resource, id, namespace: 'n', pod: 'p', container: 'c' })),
        monotonic,
      );
      break;
    case 'hold':
      await store.hold(action.group, action.pod);
      break;
    case 'free':
      await store.free(action.group);
      break;
  }
}
