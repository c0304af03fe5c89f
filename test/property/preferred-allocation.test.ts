import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { preferDevices } from '../../src/domain/preferred-allocation.ts';
import type { ResourcePool } from '../../src/domain/resource-pool.ts';
import { aPool, anAdvertised } from '../support/pools.ts';

const pools: fc.Arbitrary<ResourcePool> = fc
  .record({
    shape: fc.array(
      fc.record({
        group: fc.option(fc.integer({ min: 0, max: 5 })),
        numaNode: fc.option(fc.integer({ min: 0, max: 2 })),
        physicalFunction: fc.option(fc.constantFrom('p1', 'p2', 'p3')),
      }),
      { maxLength: 9 },
    ),
    allocation: fc.constantFrom('Packed' as const, 'SpreadPhysicalFunctions' as const),
  })
  .map(({ shape, allocation }) =>
    aPool(
      shape.map(({ group, numaNode, physicalFunction }, index) =>
        anAdvertised(`d${index}`, { iommuGroup: group, numaNode, physicalFunction }),
      ),
      { allocation, unit: 'Function' },
    ),
  );

const requests = pools.chain((pool) =>
  fc.record({
    pool: fc.constant(pool),
    available: fc.subarray([...pool.devices.map((device) => device.id), 'foreign1', 'foreign2']),
    must: fc.subarray(pool.devices.map((device) => device.id)).map((ids) => ids.slice(0, 2)),
    size: fc.integer({ min: 0, max: 11 }),
    order: fc.infiniteStream(fc.nat()),
  }),
);

describe('preferred allocation', () => {
  it('gives distinct ids of those offered, as many as wanted, with all that must be', () => {
    fc.assert(
      fc.property(requests, ({ pool, available, must, size }) => {
        const chosen = preferDevices(pool, available, must, size);
        const offered = new Set([...available, ...must]);
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.every((id) => offered.has(id))).toBe(true);
        expect(chosen).toHaveLength(Math.min(size, offered.size));
        expect(chosen.slice(0, Math.min(size, must.length))).toEqual(must.slice(0, size));
      }),
    );
  });

  it('does not depend on the order in which devices are offered', () => {
    fc.assert(
      fc.property(requests, ({ pool, available, size, order }) => {
        const weights = new Map(available.map((id) => [id, order.next().value ?? 0]));
        const shuffled = available.toSorted((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0));
        expect(preferDevices(pool, shuffled, [], size)).toEqual(preferDevices(pool, available, [], size));
      }),
    );
  });

  it('splits no group where whole ones add up, and uses one NUMA node where one suffices', () => {
    fc.assert(
      fc.property(requests, ({ pool, available, size }) => {
        const wholeGroups = groupsOf(pool).filter((group) => group.ids.every((id) => available.includes(id)));
        const exact = subsets(wholeGroups).filter((subset) => sum(subset) === size);
        const chosen = new Set(preferDevices(pool, available, [], size));
        if (exact.length === 0 || size >= available.length) return;
        const picked = groupsOf(pool).filter((group) => group.ids.some((id) => chosen.has(id)));
        expect(picked.every((group) => group.ids.every((id) => chosen.has(id)))).toBe(true);
        const onOne = exact.some((subset) => new Set(subset.map((group) => group.numaNode)).size <= 1);
        if (onOne) expect(new Set(picked.map((group) => group.numaNode)).size).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});

interface Group {
  readonly ids: readonly string[];
  readonly numaNode: number | null;
}

/** A group's NUMA node is that of its lowest available device; here all of it is available. */
function groupsOf(pool: ResourcePool): readonly Group[] {
  const groups = Map.groupBy(pool.devices, (device) => device.iommuGroup ?? device.id);
  return [...groups.values()].map((devices) => ({
    ids: devices.map((device) => device.id),
    numaNode: devices[0]?.numaNode ?? null,
  }));
}

function subsets(groups: readonly Group[]): readonly (readonly Group[])[] {
  return groups.reduce<(readonly Group[])[]>((all, group) => [...all, ...all.map((set) => [...set, group])], [[]]);
}

function sum(groups: readonly Group[]): number {
  return groups.reduce((total, group) => total + group.ids.length, 0);
}
