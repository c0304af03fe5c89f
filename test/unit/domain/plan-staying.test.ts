// What is bound stays bound when a policy is wrong, frozen or not seen, and so does what came along with it.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import type { LedgerEntry } from '../../../src/domain/ledger.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { aDevice, aLedger, anEntry, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { nic, onVfio, planText, takeNics } from '../../support/plan-cases.ts';

const gpu = onVfio(aDevice({ address: '0000:03:00.0', vendor: '10de', classCode: '030000', iommuGroup: 3 }));
const audio = onVfio(aDevice({ address: '0000:03:00.1', vendor: '10de', classCode: '040300', iommuGroup: 3 }));
const taken = (device: Device, policy: string, parts: Partial<LedgerEntry> = {}): LedgerEntry =>
  anEntry(device, { policy, originalDriver: 'snd_hda_intel', ...parts });
const takeGpu = aPolicy({ name: 'gpu', devices: [{ class: '0300' }] });
const takeAudio = aPolicy({ name: 'audio', devices: [{ class: '0403' }] });
const both = aLedger([taken(gpu, 'gpu'), taken(audio, 'audio')]);
const withCompanion = aLedger([taken(gpu, 'gpu'), taken(audio, 'gpu', { role: 'Companion' })]);
/** Ranks above all others and has the name of their resource, with other fields. */
const winner = aPolicy({
  name: 'winner',
  priority: 9,
  devices: [{ vendor: 'ffff' }],
  resource: aResource('x.io/a', { unit: 'Function' }),
});
const wrong = (policy: Policy): Policy => ({ ...policy, resource: aResource('x.io/a') });

describe('a policy in conflict', () => {
  test('keeps its devices, and its group is as usable as before', () => {
    expect(planText({ devices: [gpu, audio], policies: [takeGpu, wrong(takeAudio), winner], ledger: both })).toBe(
      '0000:03:00.0 Bound (gpu)\n0000:03:00.1 Refused Conflict (audio)',
    );
  });

  test('keeps what came along', () => {
    const policies = [wrong({ ...takeGpu, iommuGroup: 'BindCompanions' }), winner];
    expect(planText({ devices: [gpu, audio], policies, ledger: withCompanion })).toBe(
      '0000:03:00.0 Refused Conflict (gpu)\n0000:03:00.1 Bound Companion (gpu)',
    );
  });

  test('keeps its virtual functions, whoever made them', () => {
    const vf = onVfio(aDevice({ address: '0000:04:10.0', iommuGroup: 40, physicalFunction: '0000:04:00.0' }));
    const pf = aDevice({
      address: '0000:04:00.0',
      device: '10c9',
      iommuGroup: 4,
      totalVirtualFunctions: 7,
      virtualFunctions: [vf.address],
    });
    const record = { previousCount: 0, count: 1, autoprobe: true };
    const made = anEntry(pf, { role: 'PhysicalFunction', driver: null, policy: 'vfs', virtualFunctions: record });
    const makeVfs = aPolicy({ name: 'vfs', devices: [{ device: '10c9' }], virtualFunctions: 1 });
    const devices = [pf, vf];
    expect(planText({ devices, policies: [wrong(makeVfs), winner], ledger: aLedger([made, taken(vf, 'vfs')]) })).toBe(
      '0000:04:00.0 Refused Conflict PhysicalFunction (vfs)\n0000:04:10.0 Refused Conflict (vfs)',
    );
    const takeVfs = wrong(aPolicy({ name: 'vfs2', devices: [{ addresses: [vf.address] }] }));
    expect(planText({ devices, policies: [takeVfs, winner], ledger: aLedger([made, taken(vf, 'vfs2')]) })).toBe(
      '0000:04:00.0 Bound PhysicalFunction (vfs)\n0000:04:10.0 Refused Conflict (vfs2)',
    );
  });

  test('says of a stuck device that it is stuck', () => {
    const ledger = aLedger([taken(gpu, 'gpu', { state: 'Stuck', detail: 'unbind has not returned' })]);
    expect(planText({ devices: [gpu], policies: [wrong(takeGpu), winner], ledger })).toBe(
      '0000:03:00.0 Stuck Stuck (gpu)',
    );
  });
});

describe('a driver that cannot be had', () => {
  const driver = { name: 'typo-vfio', module: null, requireVariant: false, aliases: [] };

  test('leaves the device, its group and its companions as they are', () => {
    expect(planText({ devices: [gpu, audio], policies: [takeGpu, { ...takeAudio, driver }], ledger: both })).toBe(
      '0000:03:00.0 Bound (gpu)\n0000:03:00.1 Refused NoDriver (audio)',
    );
    const policies = [{ ...takeGpu, driver, iommuGroup: 'BindCompanions' as const }];
    expect(planText({ devices: [gpu, audio], policies, ledger: withCompanion })).toBe(
      '0000:03:00.0 Refused NoDriver (gpu)\n0000:03:00.1 Bound Companion (gpu)',
    );
  });
});

describe('a frozen device', () => {
  const dry = (policy: Policy): Policy => ({ ...policy, mode: 'DryRun' });

  test('does not spoil its group', () => {
    expect(planText({ devices: [gpu, audio], policies: [takeGpu, dry(takeAudio)], ledger: both })).toBe(
      '0000:03:00.0 Bound (gpu)\n0000:03:00.1 Bound (audio)',
    );
  });

  test('keeps its companions, which nobody else may take along', () => {
    const policies = [dry({ ...takeGpu, iommuGroup: 'BindCompanions' }), { ...takeAudio, priority: 9 }];
    expect(planText({ devices: [gpu, audio], policies, ledger: withCompanion })).toBe(
      '0000:03:00.0 Bound (gpu)\n0000:03:00.1 Bound Companion (gpu)',
    );
  });

  test('that is back on its driver after a reboot is a stranger in its group', () => {
    const booted = { ...audio, driver: 'snd_hda_intel', vfioDevice: null };
    const free = { ...gpu, driver: null, vfioDevice: null, guarded: nic.guarded };
    const ledger = aLedger([taken(audio, 'audio', { bootId: 'before' })]);
    expect(planText({ devices: [free, booted], policies: [takeGpu, dry(takeAudio)], ledger })).toBe(
      '0000:03:00.0 Refused GroupNotViable (gpu)\n0000:03:00.1 Ignored (audio)',
    );
    const taking = { ...takeGpu, iommuGroup: 'BindCompanions' as const };
    expect(planText({ devices: [free, booted], policies: [taking, dry(takeAudio)], ledger })).toBe(
      '0000:03:00.0 Refused GroupNotViable (gpu)\n0000:03:00.1 Ignored (audio)',
    );
  });

  test('is stuck when it is stuck, and its group is held', () => {
    const ledger = aLedger([taken(gpu, 'gpu', { state: 'Stuck' }), taken(audio, 'audio')]);
    expect(planText({ devices: [gpu, audio], policies: [dry(takeGpu), dry(takeAudio)], ledger })).toBe(
      '0000:03:00.0 Stuck Stuck (gpu)\n0000:03:00.1 Held Stuck (audio)',
    );
  });

  test('stays what it was taken as, whatever its policy asks for now', () => {
    const policies = [{ ...dry(takeGpu), virtualFunctions: 2 }];
    expect(planText({ devices: [gpu], policies, ledger: aLedger([taken(gpu, 'gpu')]) })).toBe(
      '0000:03:00.0 Bound (gpu)',
    );
    const vf = aDevice({ address: '0000:04:10.0', iommuGroup: 40, physicalFunction: nic.address, driver: null });
    const pf = { ...nic, totalVirtualFunctions: 7, virtualFunctions: [vf.address] };
    const made = anEntry(pf, {
      role: 'PhysicalFunction',
      driver: null,
      virtualFunctions: { previousCount: 0, count: 1, autoprobe: true },
    });
    expect(planText({ devices: [pf, vf], policies: [dry(takeNics)], ledger: aLedger([made]) })).toBe(
      '0000:01:00.0 Bound PhysicalFunction (p)',
    );
    const rival = aPolicy({ name: 'rival', priority: 9, devices: [{ device: '10d3' }], virtualFunctions: 1 });
    expect(planText({ devices: [pf, vf], policies: [dry(takeNics), rival], ledger: aLedger([made]) })).toBe(
      '0000:01:00.0 Bound PhysicalFunction (p)',
    );
  });
});

describe('policies that are not completely known', () => {
  const unknown = (...policies: Policy[]) => ({ complete: false, policies, why: 'the list is older' });

  test('leave every device as it is, and its group', () => {
    const [first, second] = plan(
      aPlanInput({ devices: [gpu, audio], policies: unknown(takeGpu), ledger: both }),
    ).decisions;
    expect([first?.kind, second?.kind, second?.message]).toEqual([
      'Bound',
      'Bound',
      'the policies are not completely known: the list is older',
    ]);
  });

  test('do not hand a device of an unseen policy to another', () => {
    const other = { ...takeNics, name: 'q', resource: aResource('x.io/q') };
    const bound = onVfio(nic);
    expect(planText({ devices: [bound], policies: unknown(other), ledger: aLedger([anEntry(bound)]) })).toBe(
      '0000:01:00.0 Bound (p)',
    );
    expect(planText({ devices: [bound], policies: unknown(takeNics, other), ledger: aLedger([anEntry(bound)]) })).toBe(
      '0000:01:00.0 Bound (p)',
    );
  });

  test('still let a new device be taken', () => {
    expect(planText({ devices: [nic], policies: unknown(takeNics) })).toMatch(/^0000:01:00.0 Bind/);
  });
});
