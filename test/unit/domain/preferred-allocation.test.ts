import { describe, expect, it } from 'vitest';
import { preferDevices } from '../../../src/domain/preferred-allocation.ts';
import { aPool, anAdvertised } from '../../support/pools.ts';

const ids = (devices: readonly { readonly id: string }[]) => devices.map((device) => device.id);
const vf = (id: string, physicalFunction: string, numaNode: number | null = null) =>
  anAdvertised(id, { physicalFunction, numaNode });

describe('preferred allocation', () => {
  it('takes whole groups before it splits one', () => {
    const devices = [
      anAdvertised('a0', { iommuGroup: 1 }),
      anAdvertised('a1', { iommuGroup: 1 }),
      anAdvertised('b0', { iommuGroup: 2 }),
      anAdvertised('c0', { iommuGroup: 3 }),
      anAdvertised('c1', { iommuGroup: 3 }),
    ];
    const pool = aPool(devices, { unit: 'Function' });
    expect(preferDevices(pool, ids(devices), [], 1)).toEqual(['b0']);
    expect(preferDevices(pool, ids(devices), [], 2)).toEqual(['a0', 'a1']);
    expect(preferDevices(pool, ids(devices), [], 3)).toEqual(['a0', 'a1', 'b0']);
    expect(preferDevices(pool, ids(devices), [], 4)).toEqual(['a0', 'a1', 'c0', 'c1']);
  });

  it('finishes a group that somebody began before it begins another', () => {
    const devices = [
      anAdvertised('a0', { iommuGroup: 1 }),
      anAdvertised('a1', { iommuGroup: 1 }),
      anAdvertised('b0', { iommuGroup: 2 }),
      anAdvertised('b1', { iommuGroup: 2 }),
    ];
    const pool = aPool(devices, { unit: 'Function' });
    expect(preferDevices(pool, ids(devices), ['b1'], 2)).toEqual(['b1', 'b0']);
    expect(preferDevices(pool, ['a0', 'b0', 'b1'], [], 1)).toEqual(['a0']);
  });

  it('stays on one NUMA node, on that of what must be included', () => {
    const devices = [vf('a0', 'p', 0), vf('a1', 'p', 1), vf('a2', 'p', 1), vf('a3', 'p', 0), vf('a4', 'p', 0)];
    const pool = aPool(devices);
    expect(preferDevices(pool, ids(devices), [], 2)).toEqual(['a1', 'a2']);
    expect(preferDevices(pool, ids(devices), [], 3)).toEqual(['a0', 'a3', 'a4']);
    expect(preferDevices(pool, ids(devices), ['a3'], 2)).toEqual(['a3', 'a0']);
    expect(preferDevices(pool, ids(devices), [], 4)).toEqual(['a0', 'a3', 'a4', 'a1']);
  });

  it('fills the physical function that is used most, or spreads over all', () => {
    const devices = [
      ...['p1v0', 'p1v1', 'p1v2'].map((id) => vf(id, 'p1')),
      ...['p2v0', 'p2v1', 'p2v2'].map((id) => vf(id, 'p2')),
    ];
    const free = ids(devices).filter((id) => id !== 'p2v0');
    expect(preferDevices(aPool(devices), free, [], 3)).toEqual(['p2v1', 'p2v2', 'p1v0']);
    const spread = aPool(devices, { allocation: 'SpreadPhysicalFunctions' });
    expect(preferDevices(spread, free, [], 3)).toEqual(['p1v0', 'p1v1', 'p2v1']);
    expect(preferDevices(spread, ids(devices), [], 4)).toEqual(['p1v0', 'p2v0', 'p1v1', 'p2v1']);
  });

  it('takes the emptiest NUMA node when it spreads', () => {
    const devices = [vf('a0', 'p', 0), vf('a1', 'p', 1), vf('a2', 'p', 1)];
    expect(preferDevices(aPool(devices, { allocation: 'SpreadPhysicalFunctions' }), ids(devices), [], 1)).toEqual([
      'a1',
    ]);
    expect(preferDevices(aPool(devices), ids(devices), [], 1)).toEqual(['a0']);
  });

  it('keeps devices without a group apart, and puts what it does not know last', () => {
    const devices = [anAdvertised('a', { iommuGroup: null }), anAdvertised('b', { iommuGroup: null })];
    expect(preferDevices(aPool(devices), ['x', 'b', 'a'], [], 2)).toEqual(['a', 'b']);
    expect(preferDevices(aPool([]), ['x', 'w', 'y'], [], 2)).toEqual(['w', 'x']);
  });

  it('gives what there is when more is asked for, and nothing for nothing', () => {
    const devices = [anAdvertised('a', { iommuGroup: 1 }), anAdvertised('b', { iommuGroup: 2 })];
    expect(preferDevices(aPool(devices), ['b', 'a'], [], 5)).toEqual(['a', 'b']);
    expect(preferDevices(aPool(devices), ['b', 'a'], ['b'], 1)).toEqual(['b']);
    expect(preferDevices(aPool(devices), ['b', 'a'], ['b', 'a'], 1)).toEqual(['b']);
    expect(preferDevices(aPool(devices), ['b', 'a'], [], 0)).toEqual([]);
    expect(preferDevices(aPool(devices), ['b', 'a'], [], -1)).toEqual([]);
  });
});
