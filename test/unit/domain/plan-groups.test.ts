// IOMMU groups: who may come along, who spoils a group, and to which resource it belongs.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import { aBridge, aDevice, aLedger, aPlanInput, aPolicy, aResource, anEntry } from '../../support/builders.ts';
import { onVfio, planText } from '../../support/plan-cases.ts';

describe('groups', () => {
  const gpu = aDevice({
    address: '0000:03:00.0',
    vendor: '10de',
    device: '2204',
    classCode: '030000',
    driver: 'nouveau',
    iommuGroup: 3,
  });
  const audio = aDevice({
    address: '0000:03:00.1',
    vendor: '10de',
    device: '1aef',
    classCode: '040300',
    driver: 'snd_hda_intel',
    iommuGroup: 3,
  });
  const takeGpu = aPolicy({ name: 'gpu', devices: [{ vendor: '10de', class: '03' }] });

  test('a sibling on a host driver refuses the group', () => {
    expect(planText({ devices: [gpu, audio], policies: [takeGpu] })).toBe('0000:03:00.0 Refused GroupNotViable (gpu)');
  });

  test('BindCompanions takes it along', () => {
    const policies = [{ ...takeGpu, iommuGroup: 'BindCompanions' as const }];
    expect(
      planText({ devices: [gpu, audio], policies })
        .split('\n')
        .slice(0, 3),
    ).toEqual(['0000:03:00.0 Bind (gpu)', '0000:03:00.1 Bind Companion (gpu)', 'Bind group:3']);
  });

  test('an excluded sibling is protected from coming along', () => {
    const policies = [
      aPolicy({
        name: 'gpu',
        devices: [{ class: '0300' }],
        exclude: [{ class: '0403' }],
        iommuGroup: 'BindCompanions',
      }),
    ];
    expect(planText({ devices: [gpu, audio], policies })).toBe('0000:03:00.0 Refused GroupNotViable (gpu)');
  });

  test('a critical member refuses the group', () => {
    const policies = [{ ...takeGpu, iommuGroup: 'BindCompanions' as const }];
    const findings = [{ address: audio.address, code: 'SystemDevice' as const, proof: 'it keeps the time' }];
    expect(planText({ devices: [gpu, audio], policies, findings })).toBe('0000:03:00.0 Refused GroupHasCritical (gpu)');
  });

  test('a bridge on pcieport harms nobody', () => {
    const bridge = aBridge({ address: '0000:02:00.0', iommuGroup: 3 });
    const policies = [aPolicy({ name: 'gpu', devices: [{ vendor: '10de' }] })];
    expect(planText({ devices: [bridge, gpu, audio], policies })).toMatch(
      /^0000:03:00.0 Bind \(gpu\)\n0000:03:00.1 Bind/,
    );
  });

  test('with unit Group a group belongs to one resource', () => {
    const policies = [
      aPolicy({ name: 'a', devices: [{ class: '03' }], resource: aResource('x.io/gpu') }),
      aPolicy({ name: 'b', devices: [{ class: '0403' }], resource: aResource('x.io/audio') }),
    ];
    expect(planText({ devices: [gpu, audio], policies })).toBe(
      '0000:03:00.0 Refused GroupNotViable (a)\n0000:03:00.1 Refused Conflict (b)',
    );
  });

  test('with unit Function it may lie in two', () => {
    const policies = [
      aPolicy({ name: 'a', devices: [{ class: '03' }], resource: aResource('x.io/gpu', { unit: 'Function' }) }),
      aPolicy({ name: 'b', devices: [{ class: '0403' }], resource: aResource('x.io/audio', { unit: 'Function' }) }),
    ];
    const result = plan(aPlanInput({ devices: [gpu, audio], policies }));
    expect(result.transactions[0]?.members.map((member) => [member.resource, member.deviceId])).toEqual([
      ['x.io/gpu', gpu.address],
      ['x.io/audio', audio.address],
    ]);
  });

  test('being blind about a member is a reason not to take the group, not one to give it back', () => {
    const idle = { ...audio, driver: null };
    const findings = [{ address: audio.address, code: 'Unproven' as const, proof: 'mountinfo of process 1: EACCES' }];
    expect(planText({ devices: [gpu, idle], policies: [takeGpu], findings })).toBe(
      '0000:03:00.0 Refused GroupHasCritical (gpu)',
    );
    const bound = onVfio(gpu);
    const ledger = aLedger([anEntry(bound, { policy: 'gpu', originalDriver: 'nouveau' })]);
    expect(planText({ devices: [bound, idle], policies: [takeGpu], findings, ledger })).toBe(
      '0000:03:00.0 Bound (gpu)',
    );
  });

  test('a sibling on a foreign VFIO driver, or one that cannot come along, is named', () => {
    const message = (...devices: readonly Device[]): string | undefined =>
      plan(aPlanInput({ devices, policies: [{ ...takeGpu, iommuGroup: 'BindCompanions' }] })).decisions[0]?.message;
    expect(message(gpu, onVfio(audio))).toMatch(/^member 0000:03:00.1 is on vfio-pci, and not by our hand\. /);
    expect(message(gpu, { ...audio, guarded: null })).toMatch(
      /is on host driver snd_hda_intel, and cannot come along: its driver_override could not be read\. /,
    );
    const excluded = aPolicy({
      ...takeGpu,
      devices: [{ vendor: '10de', class: '03' }],
      exclude: [{ class: '0403' }],
      iommuGroup: 'BindCompanions',
    });
    const [decision] = plan(aPlanInput({ devices: [gpu, audio], policies: [excluded] })).decisions;
    expect(decision?.message).toMatch(/is on host driver snd_hda_intel, and must not come along\. /);
  });

  test('a critical member that the policy allows comes along; what is driver_managed_dma harms nobody', () => {
    const findings = [{ address: audio.address, code: 'ActiveGpu' as const, proof: 'x' }];
    const policies = [{ ...takeGpu, iommuGroup: 'BindCompanions' as const, allow: ['ActiveGpu'] as const }];
    expect(planText({ devices: [gpu, audio], policies, findings })).toMatch(/^.*\n0000:03:00.1 Bind Companion/);
    expect(planText({ devices: [gpu, { ...audio, driver: 'pci-stub' }], policies: [takeGpu] })).toMatch(
      /^0000:03:00.0 Bind/,
    );
  });
});
