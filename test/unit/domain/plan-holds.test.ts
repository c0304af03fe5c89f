// What waits: for holders, for kernel calls that have not returned, for a back-off.
import { describe, expect, test } from 'vitest';
import { aDevice, aLedger, anEntry, aResource } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';

describe('holds', () => {
  const bound = onVfio(nic);
  const ledger = aLedger([anEntry(bound)]);
  const holder = { address: bound.address, code: 'HeldByPod' as const, who: 'default/vm (compute)' };

  test('a held device is not released, and a bound one that stays is not held', () => {
    const inUse = { holders: [holder], unreadable: null };
    expect(planText({ devices: [bound], ledger, inUse })).toBe('0000:01:00.0 Held HeldByPod (p)');
    expect(planText({ devices: [bound], ledger, inUse, policies: [takeNics] })).toBe('0000:01:00.0 Bound (p)');
  });

  test('unreadable PodResources count as use of what is on VFIO, not of what is not', () => {
    const inUse = { holders: [], unreadable: 'no socket' };
    expect(planText({ devices: [bound], ledger, inUse })).toBe('0000:01:00.0 Held PodResourcesUnreadable (p)');
    expect(planText({ devices: [nic], policies: [takeNics], inUse })).toMatch(/^0000:01:00.0 Bind/);
  });

  test('nothing is written beside a holder', () => {
    const sibling = aDevice({ address: '0000:01:00.1', iommuGroup: 1 });
    const inUse = { holders: [{ ...holder, code: 'HeldByProcess' as const }], unreadable: null };
    expect(planText({ devices: [bound, sibling], ledger, inUse, policies: [takeNics] })).toBe(
      '0000:01:00.0 Bound (p)\n0000:01:00.1 Held HeldByProcess (p)',
    );
  });

  test('a stuck or quarantined member holds the rest of its group', () => {
    const sibling = aDevice({ address: '0000:01:00.1', iommuGroup: 1 });
    for (const state of ['Stuck', 'Quarantined'] as const) {
      const blocked = aLedger([anEntry(bound, { state, detail: 'unbind has not returned' })]);
      expect(planText({ devices: [bound, sibling], ledger: blocked, policies: [takeNics] })).toBe(
        `0000:01:00.0 ${state} ${state} (p)\n0000:01:00.1 Held ${state} (p)`,
      );
    }
  });

  test('a change of resource waits for the holder, a change of policy alone does not', () => {
    const inUse = { holders: [holder], unreadable: null };
    const other = { ...takeNics, resource: aResource('x.io/other') };
    expect(planText({ devices: [bound], ledger, inUse, policies: [other] })).toBe('0000:01:00.0 Held HeldByPod (p)');
    const renamed = { ...takeNics, name: 'q' };
    expect(planText({ devices: [bound], ledger, inUse, policies: [renamed] })).toBe(
      '0000:01:00.0 Bound (q)\nBind group:1',
    );
  });

  test('a failed transaction waits for its back-off', () => {
    const failures = new Map([['group:1', { message: 'bind said EIO', due: false }]]);
    expect(planText({ devices: [nic], policies: [takeNics], failures })).toBe('0000:01:00.0 Failed (p)');
    const due = new Map([['group:1', { message: 'bind said EIO', due: true }]]);
    expect(planText({ devices: [nic], policies: [takeNics], failures: due })).toMatch(/^0000:01:00.0 Bind/);
  });
});
