// DryRun: claims nothing, freezes what is bound, and tells what it would do.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aLedger, anEntry, aPlanInput, aPolicy } from '../../support/builders.ts';
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
});
