// What is given back, to which driver, and what is not.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aDevice, aLedger, aPlanInput, anEntry } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';
import { applyModel } from '../../support/apply-model.ts';
import { renderPlan } from '../../support/render-plan.ts';

describe('release', () => {
  const bound = onVfio(nic);
  const ledger = aLedger([anEntry(bound)]);

  test('a device nobody wants goes back to its driver', () => {
    expect(planText({ devices: [bound], ledger })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: drivers_probe (expect e1000e)`,
    );
  });

  test('not seeing the policy is not none', () => {
    const policies = { complete: false, policies: [], why: 'the directory is not readable' };
    expect(planText({ devices: [bound], ledger, policies })).toBe('0000:01:00.0 Bound (p)');
  });

  test('onDelete Retain leaves it bound', () => {
    const retain = aLedger([anEntry(bound, { onDelete: 'Retain' })]);
    expect(planText({ devices: [bound], ledger: retain })).toBe('0000:01:00.0 Release (p)\nRelease group:1');
    const retained = aLedger([anEntry(bound, { onDelete: 'Retain', retained: true })]);
    expect(planText({ devices: [bound], ledger: retained })).toBe('0000:01:00.0 Ignored (p)');
  });

  test('an adopted device is left without driver', () => {
    const adopted = aLedger([anEntry(bound, { adopted: true, originalDriver: 'vfio-pci' })]);
    expect(planText({ devices: [bound], ledger: adopted })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci`,
    );
  });

  test('an override that named another driver is set again last', () => {
    const forced = aLedger([anEntry(bound, { originalOverride: 'pci-stub' })]);
    expect(planText({ devices: [bound], ledger: forced })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: drivers_probe (expect e1000e)
  0000:01:00.0: driver_override = pci-stub`,
    );
    const own = aLedger([anEntry(bound, { originalOverride: 'e1000e' })]);
    expect(planText({ devices: [bound], ledger: own })).toMatch(
      /driver_override = e1000e\n.*unbind.*\n.*drivers_probe.*$/,
    );
  });

  test('a record of another boot or another device is not acted on', () => {
    expect(planText({ devices: [nic], ledger: aLedger([anEntry(bound, { bootId: 'other' })]) })).toBe('');
    expect(planText({ devices: [nic], ledger: aLedger([anEntry(bound, { modalias: 'pci:other' })]) })).toBe('');
  });

  test('a group that cannot be used any more is given back', () => {
    const audio = aDevice({
      address: '0000:01:00.1',
      device: '10d4',
      classCode: '040300',
      driver: 'snd_hda_intel',
      iommuGroup: 1,
    });
    expect(planText({ devices: [bound, audio], policies: [takeNics], ledger }).split('\n')[0]).toBe(
      '0000:01:00.0 Release (p)',
    );
  });

  test('of a group given back together, what shall stay bound is known afterwards', () => {
    const sibling = onVfio(aDevice({ address: '0000:01:00.1', iommuGroup: 1 }));
    const input = aPlanInput({
      devices: [bound, sibling],
      ledger: aLedger([anEntry(bound), anEntry(sibling, { onDelete: 'Retain' })]),
    });
    const after = applyModel(input, plan(input).transactions, () => 'e1000e');
    expect([...after.ledger.entries.values()].map(({ address, retained }) => [address, retained])).toEqual([
      [sibling.address, true],
    ]);
    expect(renderPlan(plan(after))).toBe('0000:01:00.1 Ignored (p)');
  });
});
