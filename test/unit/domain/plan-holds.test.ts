// What waits: for holders, for kernel calls that have not returned, for a back-off.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aDevice, aLedger, anEntry, aPlanInput, aResource } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';
import { renderPlan } from '../../support/render-plan.ts';

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

  test('a new resource is no offer of the old one any more, before anything is recorded', () => {
    const other = { ...takeNics, resource: aResource('x.io/other') };
    const offered = aLedger([anEntry(bound, { resource: 'x.io/nic', deviceId: bound.address })]);
    const result = plan(aPlanInput({ devices: [bound], ledger: offered, policies: [other] }));
    expect(renderPlan(result)).toBe('0000:01:00.0 Bind (p)\nBind group:1');
    expect(result.decisions[0]?.message).toBe(
      'on vfio-pci; from now on offered as 0000:01:00.0 of x.io/other, for policy p',
    );
    const [silent] = plan(aPlanInput({ devices: [bound], ledger: offered, policies: [takeNics] })).decisions;
    expect(silent?.message).toBe('on vfio-pci; from now on offered no more, for policy p');
  });

  test('a group is held under the id it was offered as, also when that member is gone', () => {
    const offered = { resource: 'x.io/nic', deviceId: '0000:01:00.0' };
    const sibling = onVfio(aDevice({ address: '0000:01:00.1', iommuGroup: 1 }));
    const policies = [{ ...takeNics, resource: aResource('x.io/nic') }];
    const both = aLedger([anEntry(bound, offered), anEntry(sibling, offered)]);
    const inUse = { holders: [holder], unreadable: null };
    expect(planText({ devices: [sibling], ledger: both, inUse, policies })).toBe('0000:01:00.1 Held HeldByPod (p)');
    expect(planText({ devices: [sibling], ledger: both, inUse })).toBe('0000:01:00.1 Held HeldByPod (p)');
    expect(planText({ devices: [sibling], ledger: both, policies })).toBe('0000:01:00.1 Bind (p)\nBind group:1');
  });

  test('a device that shall stay bound after its policy waits for its holder too', () => {
    const retain = aLedger([anEntry(bound, { onDelete: 'Retain' })]);
    const inUse = { holders: [holder], unreadable: null };
    expect(planText({ devices: [bound], ledger: retain, inUse })).toBe('0000:01:00.0 Held HeldByPod (p)');
  });

  test('of several holders the same one is named, in whatever order they come', () => {
    const holders = ['b', 'a', 'c'].map((who) => ({ ...holder, who }));
    const name = (list: typeof holders): string | undefined =>
      plan(aPlanInput({ devices: [bound], ledger, inUse: { holders: list, unreadable: null } })).decisions[0]?.message;
    expect(name(holders)).toMatch(/in use: a\./);
    expect(name([...holders].reverse())).toBe(name(holders));
  });

  test('a device that somebody moved to another VFIO driver is recorded as being there', () => {
    const moved = { ...bound, driver: 'mlx5_vfio_pci' };
    const driver = { name: 'mlx5_vfio_pci', module: null, requireVariant: false, aliases: [] };
    expect(planText({ devices: [moved], ledger, policies: [{ ...takeNics, driver }] })).toBe(
      '0000:01:00.0 Bound (p)\nBind group:1',
    );
  });

  test('a failed transaction waits for its back-off', () => {
    const failures = new Map([['group:1', { message: 'bind said EIO', due: false }]]);
    expect(planText({ devices: [nic], policies: [takeNics], failures })).toBe('0000:01:00.0 Failed (p)');
    const due = new Map([['group:1', { message: 'bind said EIO', due: true }]]);
    expect(planText({ devices: [nic], policies: [takeNics], failures: due })).toMatch(/^0000:01:00.0 Bind/);
  });
});
