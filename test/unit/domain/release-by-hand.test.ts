// What a person may give back, and the sentence where not.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import { planRelease } from '../../../src/domain/plan-release.ts';
import { describeStep } from '../../../src/domain/step.ts';
import { aDevice, aLedger, anEntry, aPlanInput } from '../../support/builders.ts';
import { nic, onVfio, takeNics } from '../../support/plan-cases.ts';

/** The refusal, or the transaction as text. */
function release(address: string, parts: Parameters<typeof aPlanInput>[0]): string {
  const input = aPlanInput(parts);
  const planned = planRelease(address, plan(input), input);
  if ('refusal' in planned) return planned.refusal;
  const { key, kind, members, steps } = planned.transaction;
  const addresses = members.map((member) => member.identity.address).join(' ');
  return [`${kind} ${key}: ${addresses}`, ...steps.map((step) => `  ${describeStep(step)}`)].join('\n');
}

const bound = onVfio(nic);
const ledger = aLedger([anEntry(bound)]);
const givenBack = `Release group:1: 0000:01:00.0
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: drivers_probe (expect e1000e)`;

describe('a device', () => {
  test('that is not there, or not ours', () => {
    expect(release('0000:09:00.0', {})).toBe('0000:09:00.0: there is no such device on this host');
    const notOurs = '0000:01:00.0 is not ours: we did not take it in this boot, so there is nothing to give back';
    expect(release(nic.address, { devices: [nic] })).toBe(notOurs);
    const before = aLedger([anEntry(bound, { bootId: 'before' })]);
    expect(release(nic.address, { devices: [bound], ledger: before })).toBe(notOurs);
  });

  test('that a policy in force wants stays, one that is frozen or retained goes', () => {
    expect(release(nic.address, { devices: [bound], ledger, policies: [takeNics] })).toBe(
      'policy p (p.yaml) wants 0000:01:00.0; change or delete it, or exclude the device',
    );
    expect(release(nic.address, { devices: [bound], ledger, policies: [{ ...takeNics, mode: 'DryRun' }] })).toBe(
      givenBack,
    );
    const retained = aLedger([anEntry(bound, { retained: true, onDelete: 'Retain' })]);
    expect(release(nic.address, { devices: [bound], ledger: retained })).toBe(givenBack);
  });

  test('whose policies are not completely known stays', () => {
    const policies = (why: string | null) => ({ complete: false, policies: [], why });
    expect(release(nic.address, { devices: [bound], ledger, policies: policies('no directory') })).toBe(
      'the policies are not completely known: no directory',
    );
    expect(release(nic.address, { devices: [bound], ledger, policies: policies(null) })).toMatch(/known: unknown$/);
  });

  test('in use, or beside one that is in use or stuck, stays', () => {
    const sibling = onVfio(aDevice({ address: '0000:01:00.1', iommuGroup: 1 }));
    const both = aLedger([anEntry(bound), anEntry(sibling)]);
    const holder = { address: sibling.address, code: 'HeldByProcess' as const, who: 'qemu (42)' };
    const inUse = { holders: [holder], unreadable: null };
    expect(release(nic.address, { devices: [bound, sibling], ledger: both, inUse })).toBe(
      '0000:01:00.1 is in use: qemu (42)',
    );
    const stuck = aLedger([anEntry(bound), anEntry(sibling, { state: 'Stuck', detail: 'unbind hangs' })]);
    expect(release(nic.address, { devices: [bound, sibling], ledger: stuck })).toBe(
      '0000:01:00.1 is stuck: unbind hangs',
    );
    const lost = aLedger([anEntry(bound, { state: 'Quarantined' })]);
    expect(release(nic.address, { devices: [bound], ledger: lost })).toBe(
      '0000:01:00.0 is quarantined: it could not be put back',
    );
  });

  test('without a group is released by itself', () => {
    const alone = { ...bound, iommuGroup: null };
    expect(release(nic.address, { devices: [alone], ledger })).toMatch(/^Release device:0000:01:00.0/);
  });
});

describe('virtual functions', () => {
  const vf = (index: number): Device =>
    onVfio(
      aDevice({
        address: `0000:01:10.${index}`,
        device: '10ca',
        iommuGroup: 40 + index,
        physicalFunction: nic.address,
      }),
    );
  const pf = { ...nic, totalVirtualFunctions: 7, virtualFunctions: [vf(0).address, vf(1).address] };
  const made = anEntry(pf, {
    role: 'PhysicalFunction',
    driver: null,
    virtualFunctions: { previousCount: 0, count: 2, autoprobe: true },
  });
  const devices = [pf, vf(0), vf(1)];

  test('go with their PF', () => {
    expect(release(pf.address, { devices, ledger: aLedger([made, anEntry(vf(0))]) })).toBe(
      `RemoveVirtualFunctions pf:0000:01:00.0: 0000:01:00.0 0000:01:10.0
  0000:01:00.0: sriov_numvfs = 0`,
    );
  });

  test('keep it when a policy in force wants one, somebody holds one, or they are not those we made', () => {
    const policies = [{ ...takeNics, name: 'q', devices: takeNics.devices.map((one) => ({ ...one, device: '10ca' })) }];
    const all = aLedger([made, anEntry(vf(0)), anEntry(vf(1))]);
    expect(release(pf.address, { devices, ledger: all, policies })).toMatch(/^policy q .* wants 0000:01:10.0;/);
    const holder = { address: vf(1).address, code: 'HeldByPod' as const, who: 'default/vm' };
    const inUse = { holders: [holder], unreadable: null };
    expect(release(pf.address, { devices, ledger: aLedger([made]), inUse })).toBe('0000:01:10.1 is in use: default/vm');
    const fewer = [{ ...pf, virtualFunctions: [vf(0).address] }, vf(0)];
    expect(release(pf.address, { devices: fewer, ledger: aLedger([made]) })).toMatch(/somebody changed them$/);
  });
});
