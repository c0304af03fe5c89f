import { describe, expect, test } from 'vitest';
import { explainSelection, type PolicyVerdict } from '../../../src/cli/explain-selection.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { aDevice, aPlanInput, anInventory, aPolicy } from '../../support/builders.ts';

const gpu = aDevice({ address: '0000:01:00.0', vendor: '10de', device: '2204', classCode: '030000', iommuGroup: 1 });

function verdicts(policies: readonly Policy[], device = gpu): readonly PolicyVerdict[] {
  const input = aPlanInput({
    inventory: anInventory([device]),
    policies: { complete: true, policies, why: null },
  });
  const planned = plan(input);
  const isIt = (one: { readonly address: string }): boolean => one.address === device.address;
  return explainSelection(device, input, planned.decisions.find(isIt) ?? null, planned.dryRun.filter(isIt));
}

const why = (policies: readonly Policy[]): string =>
  verdicts(policies)
    .map((one) => `${one.verdict}: ${one.why}`)
    .join();

describe('a policy', () => {
  test('that selects the device names the selector', () => {
    expect(why([aPolicy({ name: 'a', devices: [{ vendor: '8086' }, { vendor: '10de' }] })])).toBe(
      'Selected: devices[1] matches',
    );
  });

  test('that loses says to whom and why', () => {
    const low = aPolicy({ name: 'low', devices: [{ vendor: '10de' }] });
    const high = aPolicy({ name: 'high', priority: 5, devices: [{ vendor: '10de' }] });
    expect(verdicts([low, high]).map(({ verdict }) => verdict)).toEqual(['Lost', 'Selected']);
    expect(verdicts([low, high])[0]?.why).toBe('policy high has priority 5, low has 0');
  });

  test('that does not select it shows its nearest miss', () => {
    const policy = aPolicy({
      name: 'a',
      devices: [{ vendor: '8086' }, { vendor: '10de', class: '02' }, { vendor: '15b3', class: '03' }],
    });
    expect(why([policy])).toBe('NotSelected: devices[1]: class is 030000, not 02xxxx');
  });

  test('that excludes it says by what', () => {
    const policy = aPolicy({ name: 'a', devices: [{ vendor: '10de' }], exclude: [{ addresses: [gpu.address] }] });
    expect(why([policy])).toBe('Excluded: exclude[0] names it');
  });

  test('for other nodes says so', () => {
    const nodeSelector = { matchLabels: { gpu: 'yes' }, matchExpressions: [] };
    expect(why([aPolicy({ name: 'a', devices: [{ vendor: '10de' }], nodeSelector })])).toMatch(/^OtherNode: /);
  });

  test('in dry run would select it', () => {
    expect(why([aPolicy({ name: 'a', mode: 'DryRun', devices: [{ vendor: '10de' }] })])).toBe(
      'DryRun: devices[0] matches',
    );
  });
});
