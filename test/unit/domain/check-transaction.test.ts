// The last look before the first write: what has come up since the plan was made.
import { describe, expect, test } from 'vitest';
import { checkHolders, checkTransaction } from '../../../src/domain/check-transaction.ts';
import type { RefusalCode } from '../../../src/domain/codes.ts';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { PlanInput } from '../../../src/domain/plan-input.ts';
import type { Transaction } from '../../../src/domain/step.ts';
import { aDevice, aLedger, anEntry, aPlanInput, anInventory } from '../../support/builders.ts';
import { nic, onVfio, takeNics } from '../../support/plan-cases.ts';

/** The one transaction of an input. */
function planned(input: PlanInput): Transaction {
  const [transaction] = plan(input).transactions;
  if (transaction === undefined) throw new Error('nothing was planned');
  return transaction;
}

/** `ok`, or the code and what it says, once `later` is what the host shows. */
function check(input: PlanInput, later: Partial<PlanInput>): string {
  const verdict = checkTransaction(planned(input), { ...input, ...later });
  return verdict.ok ? 'ok' : `${verdict.code}: ${verdict.message}`;
}

const finding = (device: Device, code: RefusalCode) => [{ address: device.address, code, proof: 'it is so' }];
const holding = (device: Device) => ({
  holders: [{ address: device.address, code: 'HeldByProcess' as const, who: 'qemu (42)' }],
  unreadable: null,
});

describe('a bind', () => {
  const sibling = aDevice({ address: '0000:01:00.1', device: '10d4', driver: null, iommuGroup: 1 });
  const input = aPlanInput({ devices: [nic, sibling], policies: [takeNics] });

  test('may begin when all is as it was', () => {
    expect(check(input, {})).toBe('ok');
  });

  test('may not once a member of the group is in use, or what PodResources cannot tell is on VFIO', () => {
    expect(check(input, { inUse: holding(sibling) })).toBe('HeldByProcess: 0000:01:00.1 is in use: qemu (42)');
    const inventory = anInventory([nic, onVfio(sibling)]);
    expect(check(input, { inventory, inUse: { holders: [], unreadable: 'no socket' } })).toMatch(
      /^PodResourcesUnreadable: 0000:01:00.1 is on VFIO/,
    );
    expect(checkHolders(planned(input), { ...input, inUse: holding(nic) }).ok).toBe(false);
  });

  test('may not once a finding speaks against it that the policy does not allow', () => {
    expect(check(input, { findings: finding(nic, 'RootStorage') })).toBe('RootStorage: it is so');
    const allowing = {
      ...input,
      policies: { complete: true, why: null, policies: [{ ...takeNics, allow: ['NetworkInUse'] as const }] },
    };
    expect(check(allowing, { findings: finding(nic, 'NetworkInUse') })).toBe('ok');
    expect(check(input, { findings: finding(nic, 'NetworkInUse') })).toMatch(/^NetworkInUse/);
  });

  test('may not once a member of its group that stays is critical, unless the policy allows that', () => {
    expect(check(input, { findings: finding(sibling, 'SystemDevice') })).toBe(
      'GroupHasCritical: member 0000:01:00.1: SystemDevice: it is so',
    );
    const allowing = {
      ...input,
      policies: { complete: true, why: null, policies: [{ ...takeNics, allow: ['ActiveGpu'] as const }] },
    };
    expect(check(allowing, { findings: finding(sibling, 'ActiveGpu') })).toBe('ok');
    const ours = onVfio(sibling);
    const ledger = aLedger([anEntry(ours)]);
    const inventory = anInventory([nic, ours]);
    expect(check(input, { inventory, ledger, findings: finding(sibling, 'Unproven') })).toBe('ok');
  });

  test('may not once it has VFs, another driver_override, or one that cannot be read', () => {
    const vf = aDevice({ address: '0000:01:10.0', physicalFunction: nic.address, iommuGroup: 9 });
    const later = (parts: Partial<Device>) => ({ inventory: anInventory([{ ...nic, ...parts }, sibling, vf]) });
    expect(check(input, later({ virtualFunctions: [vf.address] }))).toMatch(/^PfHasVfs: 0000:01:00.0 has 1 virtual/);
    expect(check(input, later({ guarded: { driverOverride: 'uio', autoprobe: null } }))).toMatch(
      /^NotOurs: the driver_override of 0000:01:00.0 is 'uio' now/,
    );
    expect(check(input, later({ guarded: null }))).toMatch(/^Unproven: the driver_override of 0000:01:00.0/);
  });
});

test('a change of driver is no taking from the host', () => {
  const bound = onVfio(nic);
  const driver = { name: 'mlx5_vfio_pci', module: null, requireVariant: false, aliases: [] };
  const input = aPlanInput({
    devices: [bound],
    policies: [{ ...takeNics, driver }],
    ledger: aLedger([anEntry(bound)]),
  });
  expect(planned(input).kind).toBe('ChangeDriver');
  expect(check(input, { findings: finding(bound, 'Unproven') })).toBe('ok');
  expect(check(input, { inUse: holding(bound) })).toMatch(/^HeldByProcess/);
});

test('a release looks at its device only where the host has it again', () => {
  const bound = onVfio(nic);
  const input = aPlanInput({ devices: [bound], ledger: aLedger([anEntry(bound)]) });
  const findings = finding(bound, 'NetworkInUse');
  expect(check(input, { findings })).toBe('ok');
  expect(check(input, { findings, inventory: anInventory([{ ...bound, driver: null, vfioDevice: null }]) })).toBe('ok');
  expect(check(input, { findings, inventory: anInventory([nic]) })).toBe('NetworkInUse: it is so');
});

test('a release takes nothing back beside what the host has come to use, and gives back what it can', () => {
  const bound = onVfio(nic);
  const disk = aDevice({ address: '0000:01:00.1', device: '10d4', iommuGroup: 1 });
  const input = aPlanInput({ devices: [bound, disk], ledger: aLedger([anEntry(bound)]) });
  const findings = finding(disk, 'RootStorage');
  expect(check(input, { findings })).toBe('ok');
  expect(check(input, { findings, inventory: anInventory([nic, disk]) })).toBe(
    'GroupHasCritical: member 0000:01:00.1: RootStorage: it is so',
  );
});

describe('virtual functions', () => {
  const vf = onVfio(aDevice({ address: '0000:01:10.0', physicalFunction: nic.address, iommuGroup: 9 }));
  const pf = { ...nic, totalVirtualFunctions: 7, guarded: { driverOverride: null, autoprobe: true } };
  const withVf = { ...pf, virtualFunctions: [vf.address] };

  test('are made unless something has come up that their policy does not allow', () => {
    const input = aPlanInput({ devices: [pf], policies: [{ ...takeNics, virtualFunctions: 1 }] });
    expect(check(input, { findings: finding(pf, 'StorageHasData') })).toBe('ok');
    expect(check(input, { findings: finding(pf, 'PrimaryNetwork') })).toMatch(/^PrimaryNetwork/);
  });

  test('are removed unless one is in use by now', () => {
    const made = anEntry(withVf, {
      role: 'PhysicalFunction',
      driver: null,
      virtualFunctions: { previousCount: 0, count: 1, autoprobe: true },
    });
    const input = aPlanInput({ devices: [withVf, vf], ledger: aLedger([made]) });
    expect(check(input, {})).toBe('ok');
    expect(check(input, { findings: finding(pf, 'PrimaryNetwork') })).toBe('ok');
    expect(check(input, { inUse: holding(vf) })).toMatch(/^HeldByProcess: 0000:01:10.0/);
    expect(check(input, { findings: finding(vf, 'NetworkInUse') })).toBe(
      'NetworkInUse: virtual function 0000:01:10.0: it is so',
    );
  });
});
