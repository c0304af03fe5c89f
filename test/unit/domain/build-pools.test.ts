// What kubelet is offered, from the ledger, the decisions and what is really there.
import { describe, expect, test } from 'vitest';
import { buildPools, type PoolInput } from '../../../src/domain/build-pools.ts';
import type { Device } from '../../../src/domain/device.ts';
import type { LedgerEntry } from '../../../src/domain/ledger.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { aDevice, aLedger, anEntry, anInventory, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';

const resource = aResource('x.io/nic');
const policy = aPolicy({ name: 'p', devices: [{ vendor: '8086' }], resource });
const bound = (address: string, parts: Partial<Device> = {}): Device =>
  aDevice({
    address,
    driver: 'vfio-pci',
    vfioDevice: 'vfio0',
    iommuGroup: 7,
    guarded: { driverOverride: 'vfio-pci', autoprobe: null },
    ...parts,
  });
const offered = (device: Device, parts: Partial<LedgerEntry> = {}): LedgerEntry =>
  anEntry(device, { resource: 'x.io/nic', deviceId: device.address, ...parts });

function pools(
  devices: readonly Device[],
  entries: readonly LedgerEntry[],
  parts: Partial<PoolInput> & { readonly policies?: readonly Policy[] } = {},
): ReturnType<typeof buildPools> {
  const policies = parts.policies ?? [policy];
  const input = aPlanInput({ devices, policies, ledger: aLedger(entries) });
  return buildPools({
    inventory: anInventory(devices),
    ledger: aLedger(entries),
    decisions: plan(input).decisions,
    nodes: { groups: new Set(['7']), cdevs: new Set() },
    noIommuNodes: new Map(),
    silent: new Map(),
    ...parts,
    policies,
  });
}

describe('a bound device', () => {
  const nic = bound('0000:01:00.0', { numaNode: 1, physicalFunction: '0000:00:05.0' });

  test('shares its group by the rules of unit Function, whatever the policy says now', () => {
    const mate = bound('0000:01:00.1', { vfioDevice: 'vfio1' });
    const entries = [offered(nic), offered(mate)];
    expect(pools([nic, mate], entries).map((pool) => pool.unit)).toEqual(['Function']);
    expect(pools([nic, mate], entries, { policies: [] }).map((pool) => pool.unit)).toEqual(['Function']);
    expect(pools([nic], [offered(nic)]).map((pool) => pool.unit)).toEqual(['Group']);
  });

  test('is unhealthy while it does not answer, and so is its group while a companion does not', () => {
    const sentence = `${nic.address} does not answer`;
    const [pool] = pools([nic], [offered(nic)], { silent: new Map([[nic.address, sentence]]) });
    expect(pool?.devices).toMatchObject([{ healthy: false, unhealthyBecause: sentence }]);
    const mate = bound('0000:01:00.1', { vfioDevice: 'vfio1' });
    const entries = [offered(nic), anEntry(mate, { role: 'Companion' })];
    const [shared] = pools([nic, mate], entries, { silent: new Map([[mate.address, 'the companion is silent']]) });
    expect(shared?.devices).toMatchObject([{ healthy: false, unhealthyBecause: 'the companion is silent' }]);
  });

  test('is unhealthy while a member of its group is on a host driver', () => {
    const mate = aDevice({ address: '0000:01:00.1', vendor: '10de', driver: 'nouveau', iommuGroup: 7 });
    const frozen = [{ ...policy, mode: 'DryRun' as const }];
    const [pool] = pools([nic, mate], [offered(nic)], { policies: frozen });
    expect(pool?.devices.map(({ unhealthyBecause }) => unhealthyBecause)).toEqual([
      'member 0000:01:00.1 of IOMMU group 7 is on host driver nouveau, so nobody can use the group',
    ]);
    const stubbed = { ...mate, driver: 'pci-stub' };
    expect(pools([nic, stubbed], [offered(nic)], { policies: frozen })[0]?.devices[0]?.healthy).toBe(true);
  });

  test('is healthy, with all that Allocate needs', () => {
    expect(pools([nic], [offered(nic)])).toEqual([
      {
        resource: 'x.io/nic',
        unit: 'Group',
        deviceNodes: 'Auto',
        allocation: 'Packed',
        environment: ['KubeVirt'],
        cdi: false,
        devices: [
          {
            id: '0000:01:00.0',
            healthy: true,
            unhealthyBecause: null,
            numaNode: 1,
            iommuGroup: 7,
            groupNode: '7',
            physicalFunction: '0000:00:05.0',
            functions: [{ address: '0000:01:00.0', driver: 'vfio-pci', selected: true, vfioDevice: null }],
          },
        ],
      },
    ]);
  });

  test('has a cdev only where the kernel made the node, whatever vfio-dev/ names', () => {
    const cdev = (cdevs: readonly string[]) =>
      pools([nic], [offered(nic)], { nodes: { groups: new Set(['7']), cdevs: new Set(cdevs) } })[0]?.devices[0]
        ?.functions[0]?.vfioDevice;
    expect([cdev([]), cdev(['vfio0'])]).toEqual([null, 'vfio0']);
  });

  test.each([
    [
      'its node is missing',
      { nodes: { groups: new Set<string>(), cdevs: new Set<string>() } },
      /\/dev\/vfio\/7 is missing/,
    ],
    ['nobody wants it any more', { policies: [] }, /no policy wants it/],
  ])('is unhealthy when %s', (_name, parts, message) => {
    const [pool] = pools([nic], [offered(nic)], parts);
    expect(pool?.devices[0]?.healthy).toBe(false);
    expect(pool?.devices[0]?.unhealthyBecause).toMatch(message);
  });

  test('is unhealthy when it is gone, on another driver, stuck, or another device', () => {
    const why = (devices: readonly Device[], entry: LedgerEntry): string | null | undefined =>
      pools(devices, [entry])[0]?.devices[0]?.unhealthyBecause;
    expect(why([], offered(nic))).toMatch(/is gone/);
    expect(why([{ ...nic, modalias: 'pci:other' }], offered(nic))).toMatch(/is gone/);
    expect(why([{ ...nic, driver: 'e1000e' }], offered(nic))).toMatch(/on e1000e, not on vfio-pci/);
    expect(why([nic], offered(nic, { state: 'Stuck', detail: 'unbind has not returned' }))).toMatch(/has not returned/);
  });

  test('of another boot, retained or in a transaction is not offered', () => {
    for (const parts of [{ bootId: 'other' }, { retained: true }, { state: 'InTransaction' as const }])
      expect(pools([nic], [offered(nic, parts)])[0]?.devices).toEqual([]);
  });
});

test('a group is one device whose id is its lowest selected address, companions included and named as such', () => {
  const gpu = bound('0000:03:00.0');
  const audio = bound('0000:03:00.1', { vendor: '10de', device: '1aef', classCode: '040300' });
  const entries = [offered(gpu), anEntry(audio, { role: 'Companion' })];
  const policies = [aPolicy({ name: 'p', devices: [{ vendor: '8086' }], resource, iommuGroup: 'BindCompanions' })];
  const [pool] = pools([gpu, audio], entries, { policies });
  expect(
    pool?.devices.map((device) => [device.id, device.healthy, device.functions.map((fn) => [fn.address, fn.selected])]),
  ).toEqual([
    [
      '0000:03:00.0',
      true,
      [
        ['0000:03:00.0', true],
        ['0000:03:00.1', false],
      ],
    ],
  ]);
});

test('a resource that a policy names is there without devices, and one of a gone policy as long as it has any', () => {
  expect(pools([], []).map((pool) => [pool.resource, pool.devices.length])).toEqual([['x.io/nic', 0]]);
  const nic = bound('0000:01:00.0');
  expect(pools([nic], [offered(nic)], { policies: [] }).map((pool) => pool.resource)).toEqual(['x.io/nic']);
  expect(pools([nic], [], { policies: [] })).toEqual([]);
});

test('without an IOMMU the node is the no-IOMMU one', () => {
  const nic = bound('0000:01:00.0', { iommuGroup: null });
  const [pool] = pools([nic], [offered(nic)], {
    nodes: { groups: new Set(['noiommu-0']), cdevs: new Set() },
    noIommuNodes: new Map([['0000:01:00.0', 'noiommu-0']]),
  });
  expect(pool?.devices[0]).toMatchObject({ groupNode: 'noiommu-0', iommuGroup: null });
});

describe('nodes that the resource asks for', () => {
  const nic = bound('0000:01:00.0');
  const why = (
    deviceNodes: 'Auto' | 'Group' | 'Cdev' | 'Iommufd',
    parts: { readonly groups?: readonly string[]; readonly cdevs?: readonly string[]; readonly iommufd?: boolean },
  ): string | null | undefined => {
    const { groups = ['7'], cdevs = [], iommufd = true } = parts;
    const policies = [
      aPolicy({ ...policy, devices: [{ vendor: '8086' }], exclude: [], resource: { ...resource, deviceNodes } }),
    ];
    return pools([nic], [offered(nic)], {
      policies,
      decisions: [],
      inventory: anInventory([nic], { iommufd }),
      nodes: { groups: new Set(groups), cdevs: new Set(cdevs) },
    })[0]?.devices[0]?.unhealthyBecause;
  };

  test('are there, or the device is unhealthy and says which is not', () => {
    expect(why('Auto', {})).toBeNull();
    expect(why('Group', { cdevs: ['vfio0'] })).toBeNull();
    expect(why('Cdev', { groups: [], cdevs: ['vfio0'] })).toBeNull();
    expect(why('Iommufd', { groups: [], cdevs: ['vfio0'] })).toBeNull();
    expect(why('Auto', { groups: [], cdevs: ['vfio0'] })).toBe('/dev/vfio/7 is missing');
    expect(why('Group', { groups: [], cdevs: ['vfio0'] })).toBe('/dev/vfio/7 is missing');
    expect(why('Cdev', {})).toBe('/dev/vfio/devices/vfio0 of 0000:01:00.0 is missing');
    expect(why('Iommufd', { cdevs: ['vfio0'], iommufd: false })).toBe('/dev/iommu is missing');
    expect(why('Auto', { cdevs: ['vfio9'] })).toBe('/dev/vfio/devices/vfio0 is missing');
  });
});

test('without an IOMMU and without its node the sentence says so', () => {
  const nic = bound('0000:01:00.0', { iommuGroup: null, vfioDevice: null });
  expect(pools([nic], [offered(nic)])[0]?.devices[0]?.unhealthyBecause).toMatch(
    /NoIommu|\/dev\/vfio\/GROUP is missing|no IOMMU/,
  );
});

test('a companion of another boot, or left behind for good, is none of it', () => {
  const gpu = bound('0000:03:00.0');
  const audio = bound('0000:03:00.1', { driver: null, vfioDevice: null });
  for (const parts of [{ bootId: 'before' }, { retained: true }]) {
    const entries = [offered(gpu), anEntry(audio, { role: 'Companion', ...parts })];
    const policies = [aPolicy({ name: 'p', devices: [{ addresses: [gpu.address] }], resource })];
    const device = pools([gpu, audio], entries, { policies })[0]?.devices[0];
    expect([device?.unhealthyBecause, device?.functions.length]).toEqual([null, 1]);
  }
});

test('what a resource is like says the policy that stands, not one that only rehearses', () => {
  const nic = bound('0000:01:00.0');
  const rehearsal = aPolicy({
    name: 'a',
    mode: 'DryRun',
    priority: 9,
    devices: [{ vendor: 'ffff' }],
    resource: aResource('x.io/nic', { unit: 'Function', cdi: true }),
  });
  expect(pools([nic], [offered(nic)], { policies: [policy, rehearsal] })[0]).toMatchObject({
    unit: 'Group',
    cdi: false,
  });
  const frozen = offered(nic, { policy: 'a' });
  expect(pools([nic], [frozen], { policies: [rehearsal] })[0]).toMatchObject({ unit: 'Function', cdi: true });
});
