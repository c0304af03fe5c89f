import { describe, expect, it } from 'vitest';
import type { VfioNodeDevice, VfioNodeStateStatus } from '../../../src/api/generated/types.ts';
import { clip, countBytes, countStoredBytes } from '../../../src/domain/clip.ts';
import { fitNodeState, nodeStateBudget } from '../../../src/domain/fit-node-state.ts';

const text = (status: VfioNodeStateStatus): string => JSON.stringify(status);

function aVirtualFunction(index: number, parts: Partial<VfioNodeDevice> = {}): VfioNodeDevice {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return {
    address: `0000:${hex(index >> 8)}:${hex((index >> 3) & 31)}.${index & 7}`,
    id: '15b3:101e',
    class: '020000',
    decision: 'Bound',
    driver: 'mlx5_vfio_pci',
    driverBefore: 'mlx5_core',
    bestMatch: 'mlx5_vfio_pci',
    iommuGroup: index,
    numaNode: 1,
    physicalFunction: '0000:3b:00.0',
    health: 'Healthy',
    policy: 'connectx-virtual-functions',
    resource: 'vfio-operator.dev/connectx7-vf',
    heldBy: `tenant-${index}/virt-launcher-vm-${index}-abcde (compute)`,
    ...parts,
  };
}

function many(count: number, parts: Partial<VfioNodeDevice> = {}): VfioNodeDevice[] {
  return Array.from({ length: count }, (_, index) => aVirtualFunction(index, parts));
}

describe('fitNodeState', () => {
  it('leaves 2,000 virtual functions in use whole, well within a mebibyte', () => {
    const status = { devices: many(2_000) };
    expect(fitNodeState(status)).toEqual(status);
    expect(countBytes(text(status))).toBeLessThan(900_000);
  });

  it('leaves 2,000 refused virtual functions in the list, with their sentences cut', () => {
    const message = `the group cannot be viable: ${'0000:3b:00.1 is on mlx5_core, '.repeat(20)}`;
    const devices = many(2_000).map(({ address, id = '', driver = '', iommuGroup = 0, policy = '' }) => {
      const found = { address, id, class: '020000', driver, bestMatch: 'mlx5_vfio_pci', iommuGroup, numaNode: 1 };
      return {
        ...found,
        decision: 'Refused' as const,
        code: 'GroupNotViable',
        driverWanted: 'mlx5_vfio_pci',
        message,
        policy,
      };
    });
    const fitted = fitNodeState({ devices });
    expect(fitted.devices?.length).toBe(2_000);
    expect(fitted).not.toHaveProperty('omittedDevices');
    expect(fitted.devices?.[0]?.message).toHaveLength(80);
    expect(countBytes(text(fitted))).toBeLessThanOrEqual(nodeStateBudget);
  });

  it('cuts sentences no shorter than it must', () => {
    const devices = many(100, { message: 'x'.repeat(500) });
    const size = countBytes(text({ devices: many(100, { message: 'x'.repeat(300) }) }));
    expect(fitNodeState({ devices }, size).devices?.[0]?.message).toHaveLength(240);
  });

  it('leaves out empty lists and counts of nothing', () => {
    expect(fitNodeState({ agentVersion: '1', devices: [], dryRun: [], policies: [] })).toEqual({ agentVersion: '1' });
  });

  it('gives up the rehearsal before the devices, and counts it', () => {
    const status = { devices: many(20), dryRun: many(20, { decision: 'Bind', message: 'x'.repeat(200) }) };
    const fitted = fitNodeState(status, countBytes(text({ devices: status.devices })) + 1_000);
    expect(fitted.devices).toEqual(status.devices);
    expect(fitted.dryRun?.length ?? 0).toBeLessThan(20);
    expect((fitted.dryRun?.length ?? 0) + (fitted.omittedDryRun ?? 0)).toBe(20);
  });

  it('gives up what is in order before what is wrong, and keeps the order', () => {
    const decisions = [
      'Bound',
      'Stuck',
      'Ignored',
      'Failed',
      'Refused',
      'Held',
      'Quarantined',
      'Bind',
      'Release',
    ] as const;
    const devices = decisions.map((decision, index) => aVirtualFunction(index, { decision }));
    const size = countBytes(text({ devices: devices.slice(0, 4) }));
    const fitted = fitNodeState({ devices }, size + 200);
    expect(fitted.devices?.map(({ decision }) => decision)).toEqual(['Stuck', 'Failed', 'Held', 'Quarantined']);
    expect(fitted.omittedDevices).toBe(5);
  });

  it('keeps what others act on when all the rest is too much', () => {
    const long = '&'.repeat(1024);
    const named = Array.from({ length: 512 }, (_, index) => ({
      name: `p${index}`,
      observedGeneration: index,
      message: long,
    }));
    const resources = named.map(({ name, message }) => ({
      name,
      message,
      capacity: 1,
      healthy: 0,
      allocated: 0,
      registered: false,
    }));
    const candidate = {
      module: 'a',
      pattern: long.slice(512),
      wildcards: 1,
      origin: 'file' as const,
      source: long.slice(512),
    };
    const aliasEvidence = Array.from({ length: 256 }, () => ({
      ids: ['a'],
      candidates: Array.from({ length: 16 }, () => candidate),
    }));
    const unread = Array.from({ length: 32 }, () => ({ source: long, why: long }));
    const devices = many(10, { decision: 'Stuck', message: long });
    const fitted = fitNodeState({ devices, policies: named, resources, aliasEvidence, unread });
    expect(countStoredBytes(text(fitted))).toBeLessThanOrEqual(nodeStateBudget);
    expect(fitted.policies).toEqual(named.map(({ name, observedGeneration }) => ({ name, observedGeneration })));
    expect(fitted.resources?.map(({ name }) => name)).toEqual(named.map(({ name }) => name));
    expect(fitted.aliasEvidence?.length).toBeGreaterThan(0);
    expect(fitted.devices).toHaveLength(10);
  });

  it('shows at most 4,096 devices', () => {
    const devices = Array.from({ length: 5_000 }, (_, index) => ({
      address: String(index),
      decision: 'Bound' as const,
    }));
    const fitted = fitNodeState({ devices });
    expect(fitted.devices?.length).toBe(4_096);
    expect(fitted.omittedDevices).toBe(904);
  });

  it('stays within any budget that holds the rest', () => {
    const status = { agentVersion: '1', devices: many(100, { message: 'ä'.repeat(300) }), dryRun: many(50) };
    for (const budget of [1_000, 5_000, 20_000, 40_000, 60_000]) {
      const fitted = fitNodeState(status, budget);
      expect(countBytes(text(fitted))).toBeLessThanOrEqual(budget);
      expect((fitted.devices?.length ?? 0) + (fitted.omittedDevices ?? 0)).toBe(100);
    }
  });
});

describe('clip', () => {
  it.each([
    ['short', 5, 'short'],
    ['longer', 5, 'long…'],
    ['😀😀😀', 3, '😀😀😀'],
    ['😀😀😀😀', 3, '😀😀…'],
    ['two\nlines\u2028or\tthree', 99, 'two lines or three'],
    ['\u001b[31mred\u007f\u0000', 99, '\ufffd[31mred\ufffd\ufffd'],
    ['half \ud83d and \uffff', 99, 'half \ufffd and \ufffd'],
  ])('%s at %i: %s', (whole, length, clipped) => {
    expect(clip(whole, length)).toBe(clipped);
  });
});

describe('countStoredBytes', () => {
  it.each([
    ['plain', 5],
    ['a<b>&c', 21],
    ['\u2028ä', 8],
  ])('counts %j as Go writes it', (json, bytes) => {
    expect(countStoredBytes(json)).toBe(bytes);
  });
});

describe('countBytes', () => {
  it.each(['', 'plain', 'ä', '…', '😀', 'ä…😀'])('counts %j as UTF-8 does', (sample) => {
    expect(countBytes(sample)).toBe(Buffer.byteLength(sample));
  });
});
