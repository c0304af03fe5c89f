// What holds for every plan: of any host, any policies, any holders and findings.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Finding, RefusalCode } from '../../../src/domain/codes.ts';
import type { Device } from '../../../src/domain/device.ts';
import type { Holder } from '../../../src/domain/ledger.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { PlanInput } from '../../../src/domain/plan-input.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { applyModel } from '../../support/apply-model.ts';
import { aBridge, aCatalog, aDevice, aPlanInput, aPolicy, aResource, anInventory } from '../../support/builders.ts';

const catalog = aCatalog([
  { name: 'nouveau', isVfio: false, drivers: [{ bus: 'pci', name: 'nouveau' }] },
  { name: 'nvme', isVfio: false, drivers: [{ bus: 'pci', name: 'nvme' }] },
]);

const kinds = [
  { vendor: '8086', device: '10d3', classCode: '020000', driver: 'e1000e', totalVirtualFunctions: 0 },
  { vendor: '10de', device: '2204', classCode: '030000', driver: 'nouveau', totalVirtualFunctions: 0 },
  { vendor: '15b3', device: '101e', classCode: '020000', driver: null, totalVirtualFunctions: 0 },
  { vendor: '1b36', device: '0010', classCode: '010802', driver: 'nvme', totalVirtualFunctions: 0 },
  { vendor: '8086', device: '10c9', classCode: '020000', driver: 'e1000e', totalVirtualFunctions: 3 },
] as const;

const devicesArbitrary: fc.Arbitrary<readonly Device[]> = fc
  .array(fc.record({ kind: fc.constantFrom(...kinds), group: fc.nat(4), bridge: fc.nat(9) }), {
    minLength: 1,
    maxLength: 10,
  })
  .map((list) =>
    list.map(({ kind, group, bridge }, index): Device => {
      const address = `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`;
      if (bridge === 0) return aBridge({ address, iommuGroup: group });
      const parts = { ...kind, address, iommuGroup: group };
      return aDevice({
        ...parts,
        guarded: { driverOverride: null, autoprobe: kind.totalVirtualFunctions > 0 ? true : null },
      });
    }),
  );

const policyArbitrary = (name: string): fc.Arbitrary<Policy> =>
  fc
    .record({
      vendors: fc.uniqueArray(fc.constantFrom('8086', '10de', '15b3', '1b36'), { minLength: 1, maxLength: 3 }),
      excluded: fc.option(fc.constantFrom('8086', '10de', '15b3', '1b36'), { nil: null }),
      priority: fc.integer({ min: 0, max: 2 }),
      mode: fc.constantFrom('Enforce' as const, 'Enforce' as const, 'DryRun' as const),
      iommuGroup: fc.constantFrom('RequireSelected' as const, 'BindCompanions' as const),
      unit: fc.constantFrom('Group' as const, 'Function' as const),
      resource: fc.option(fc.constantFrom('x.io/a', 'x.io/b'), { nil: null }),
      virtualFunctions: fc.option(fc.integer({ min: 1, max: 4 }), { nil: null, freq: 3 }),
    })
    .map(({ vendors, excluded, unit, resource, ...rest }) =>
      aPolicy({
        name,
        ...rest,
        devices: vendors.map((vendor) => ({ vendor })),
        exclude: excluded === null ? [] : [{ vendor: excluded }],
        resource: resource === null ? null : aResource(resource, { unit }),
      }),
    );

const policiesArbitrary = fc.tuple(policyArbitrary('a'), policyArbitrary('b'), policyArbitrary('c'));

const critical: readonly RefusalCode[] = ['RootStorage', 'PrimaryNetwork', 'SystemDevice', 'Unproven'];
const findingsArbitrary: fc.Arbitrary<readonly Finding[]> = fc.array(
  fc.record({
    address: fc.integer({ min: 1, max: 10 }).map((n) => `0000:${n.toString(16).padStart(2, '0')}:00.0`),
    code: fc.constantFrom(...critical),
    proof: fc.constantFrom('one', 'two'),
  }),
  { maxLength: 3 },
);
const holdersArbitrary: fc.Arbitrary<readonly Holder[]> = fc.array(
  fc.record({
    address: fc.integer({ min: 1, max: 10 }).map((n) => `0000:${n.toString(16).padStart(2, '0')}:00.0`),
    code: fc.constantFrom('HeldByPod' as const, 'HeldByProcess' as const),
    who: fc.constantFrom('x', 'y'),
  }),
  { maxLength: 2 },
);

const inputArbitrary: fc.Arbitrary<PlanInput> = fc
  .record({
    devices: devicesArbitrary,
    policies: policiesArbitrary,
    findings: findingsArbitrary,
    holders: holdersArbitrary,
  })
  .map(({ devices, policies, findings, holders }) =>
    aPlanInput({ devices, policies, findings, catalog, inUse: { holders, unreadable: null } }),
  );

const hostDriverOf =
  (input: PlanInput) =>
  (address: string): string | null =>
    input.inventory.devices.get(address)?.driver ?? null;

/** Plans and applies until nothing is left to do; returns the last input and how many passes had transactions. */
function settle(
  input: PlanInput,
  hostDriver: (address: string) => string | null,
): { input: PlanInput; passes: number } {
  let current = input;
  for (let passes = 0; passes < 6; passes += 1) {
    const { transactions } = plan(current);
    if (transactions.length === 0) return { input: current, passes };
    current = applyModel(current, transactions, hostDriver);
  }
  throw new Error('no fixed point after 6 passes');
}

test('each device has one decision, each key one transaction, and refused devices and groups with holders no step', () => {
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      const result = plan(input);
      const addresses = result.decisions.map((decision) => decision.address);
      expect(new Set(addresses).size).toBe(addresses.length);
      const keys = result.transactions.map((transaction) => transaction.key);
      expect(new Set(keys).size).toBe(keys.length);
      const untouchable = new Set(
        result.decisions.flatMap((d) => (d.kind === 'Bind' || d.kind === 'Release' ? [] : [d.address])),
      );
      const held = new Set(
        input.inUse.holders.map((holder) => input.inventory.devices.get(holder.address)?.iommuGroup),
      );
      for (const transaction of result.transactions) {
        for (const step of transaction.steps) if ('address' in step) expect(untouchable).not.toContain(step.address);
        if (transaction.steps.length > 0 && transaction.kind !== 'CreateVirtualFunctions')
          expect(held).not.toContain(transaction.group ?? -1);
      }
      for (const finding of input.findings)
        for (const transaction of result.transactions)
          for (const member of transaction.members) expect(member.identity.address).not.toBe(finding.address);
    }),
    { numRuns: 500 },
  );
});

test('applied, it comes to rest, and then what is bound is on VFIO in a viable group', () => {
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      const { input: settled } = settle(input, hostDriverOf(input));
      for (const decision of plan(settled).decisions) {
        expect(decision.kind).not.toBe('Bind');
        if (decision.kind !== 'Bound' || decision.role === 'PhysicalFunction') continue;
        expect(settled.inventory.devices.get(decision.address)?.driver).toMatch(/vfio/);
        const members = settled.inventory.groups.get(decision.iommuGroup ?? -1)?.members ?? [];
        for (const member of members)
          expect(settled.inventory.devices.get(member)?.driver ?? 'none').toMatch(/vfio|pcieport|none/);
      }
    }),
    { numRuns: 500 },
  );
});

test('when the policies go, everything is as it was', () => {
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      const free = { ...input, inUse: { holders: [], unreadable: null } };
      const drivers = (one: PlanInput): readonly unknown[] =>
        [...one.inventory.devices.values()].map((device) => [
          device.address,
          device.driver,
          device.guarded,
          device.virtualFunctions,
        ]);
      const hostDriver = hostDriverOf(input);
      const bound = settle(free, hostDriver).input;
      const released = settle({ ...bound, policies: { complete: true, policies: [], why: null } }, hostDriver).input;
      expect(drivers(released)).toEqual(drivers(free));
      expect(released.ledger.entries.size).toBe(0);
    }),
    { numRuns: 500 },
  );
});

test('the order of devices, policies and findings does not matter', () => {
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      const reversed: PlanInput = {
        ...input,
        inventory: anInventory([...input.inventory.devices.values()].reverse()),
        policies: { ...input.policies, policies: [...input.policies.policies].reverse() },
        findings: [...input.findings].reverse(),
        inUse: { ...input.inUse, holders: [...input.inUse.holders].reverse() },
      };
      expect(plan(reversed)).toEqual(plan(input));
    }),
    { numRuns: 300 },
  );
});

test('with unit Group a group lies in one resource at most', () => {
  fc.assert(
    fc.property(inputArbitrary, (input) => {
      const { input: settled } = settle(input, hostDriverOf(input));
      const resources = new Map<number, Set<string>>();
      for (const decision of plan(settled).decisions) {
        const policy = settled.policies.policies.find((one) => one.name === decision.policy);
        if (decision.kind !== 'Bound' || decision.resource === null || policy?.resource?.unit !== 'Group') continue;
        const group = decision.iommuGroup ?? -1;
        resources.set(group, (resources.get(group) ?? new Set()).add(decision.resource));
      }
      for (const names of resources.values()) expect(names.size).toBe(1);
    }),
    { numRuns: 300 },
  );
});

test('frozen, or with policies that are not seen, nothing that is bound is touched', () => {
  fc.assert(
    fc.property(inputArbitrary, policiesArbitrary, (input, others) => {
      const free = { ...input, inUse: { holders: [], unreadable: null } };
      const bound = settle(free, hostDriverOf(input)).input;
      const own = new Set(bound.ledger.entries.keys());
      const enforced = bound.policies.policies;
      const frozen = enforced.map((policy) => ({ ...policy, mode: 'DryRun' as const }));
      const rivals = others.map((policy) => ({ ...policy, name: `other-${policy.name}`, priority: 9 }));
      for (const policies of [
        { complete: true, policies: [...frozen, ...rivals], why: null },
        { complete: false, policies: [], why: 'unreadable' },
        { complete: false, policies: rivals, why: 'unreadable' },
      ]) {
        const { transactions, decisions } = plan({ ...bound, policies });
        for (const transaction of transactions)
          for (const member of transaction.members) expect(own).not.toContain(member.identity.address);
        for (const entry of bound.ledger.entries.values()) {
          const decision = decisions.find((one) => one.address === entry.address);
          expect([decision?.kind, decision?.policy]).toEqual(['Bound', entry.policy]);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('whatever policies come next, the host comes to rest again, with one decision for each device', () => {
  fc.assert(
    fc.property(inputArbitrary, policiesArbitrary, (input, next) => {
      const hostDriver = hostDriverOf(input);
      const free = { ...input, inUse: { holders: [], unreadable: null } };
      const bound = settle(free, hostDriver).input;
      const changed = settle({ ...bound, policies: { complete: true, policies: next, why: null } }, hostDriver).input;
      expect(plan(changed).transactions).toEqual([]);
      const decided = plan(changed).decisions.map((decision) => decision.address);
      expect(new Set(decided).size).toBe(decided.length);
    }),
    { numRuns: 500 },
  );
});

test('what somebody else claims is never written to, and the rest comes to rest beside it', () => {
  const claims = fc.array(fc.tuple(fc.nat(9), fc.constantFrom('pci-stub', 'e1000e', 'none')), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(inputArbitrary, policiesArbitrary, claims, fc.boolean(), (input, next, chosen, moved) => {
      const hostDriver = hostDriverOf(input);
      const bound = settle({ ...input, inUse: { holders: [], unreadable: null } }, hostDriver).input;
      const taken = [...bound.ledger.entries.values()].filter((entry) => entry.role !== 'PhysicalFunction');
      const claimed = new Map(
        chosen.flatMap(([index, override]) => {
          const entry = taken[index % Math.max(1, taken.length)];
          return entry === undefined ? [] : [[entry.address, override] as const];
        }),
      );
      fc.pre(claimed.size > 0);
      const devices = [...bound.inventory.devices.values()].map((device): Device => {
        const override = claimed.get(device.address);
        if (override === undefined) return device;
        const guarded = { autoprobe: null, ...device.guarded, driverOverride: override };
        return moved ? { ...device, guarded, driver: null, vfioDevice: null } : { ...device, guarded };
      });
      for (const policies of [bound.policies.policies, next, []]) {
        let current: PlanInput = {
          ...bound,
          inventory: anInventory(devices),
          policies: { complete: true, policies, why: null },
        };
        for (let passes = 0; ; passes += 1) {
          const { transactions } = plan(current);
          for (const { steps } of transactions)
            for (const step of steps) if ('address' in step) expect([...claimed.keys()]).not.toContain(step.address);
          if (transactions.length === 0) break;
          expect(passes).toBeLessThan(6);
          current = applyModel(current, transactions, hostDriver);
        }
      }
    }),
    { numRuns: 300 },
  );
});
