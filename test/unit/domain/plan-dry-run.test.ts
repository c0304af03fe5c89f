// DryRun: claims nothing, freezes what is bound, and tells what it would do.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aDevice, aLedger, anEntry, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';
import { renderPlan } from '../../support/render-plan.ts';

describe('DryRun', () => {
  test('claims nothing and reports what it would do', () => {
    const dry = { ...takeNics, mode: 'DryRun' as const };
    const result = plan(aPlanInput({ devices: [nic], policies: [dry] }));
    expect(renderPlan(result)).toBe('');
    expect(result.dryRun.map((decision) => [decision.address, decision.kind])).toEqual([[nic.address, 'Bind']]);
  });

  test('from Enforce to DryRun freezes', () => {
    const bound = onVfio(nic);
    const dry = { ...takeNics, mode: 'DryRun' as const };
    const rival = aPolicy({ name: 'rival', priority: 9, devices: [{ vendor: '8086' }] });
    const ledger = aLedger([anEntry(bound)]);
    expect(planText({ devices: [bound], policies: [dry, rival], ledger })).toBe('0000:01:00.0 Bound (p)');
    const rebooted = aLedger([anEntry(bound, { bootId: 'before' })]);
    expect(planText({ devices: [nic], policies: [dry, rival], ledger: rebooted })).toBe('0000:01:00.0 Ignored (p)');
  });

  test('leaves its group to the resource in which it stays offered', () => {
    const frozen = onVfio(aDevice({ address: '0000:03:00.0', iommuGroup: 3 }));
    const mate = onVfio(aDevice({ address: '0000:03:00.1', vendor: '144d', classCode: '010802', iommuGroup: 3 }));
    const dry = { ...takeNics, mode: 'DryRun' as const, resource: aResource('x.io/nic') };
    const disks = (unit: 'Group' | 'Function') =>
      aPolicy({ name: 'disks', devices: [{ class: '0108' }], resource: aResource('x.io/disk', { unit }) });
    const ledger = aLedger([
      anEntry(frozen, { resource: 'x.io/nic', deviceId: frozen.address }),
      anEntry(mate, { policy: 'disks' }),
    ]);
    expect(planText({ devices: [frozen, mate], policies: [dry, disks('Group')], ledger })).toBe(
      '0000:03:00.0 Bound (p)\n0000:03:00.1 Refused Conflict (disks)',
    );
    const shared = { ...dry, resource: aResource('x.io/nic', { unit: 'Function' as const }) };
    expect(planText({ devices: [frozen, mate], policies: [shared, disks('Function')], ledger })).toContain(
      '0000:03:00.1 Bind (disks)',
    );
  });
});
