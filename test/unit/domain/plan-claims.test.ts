// A device of ours that somebody else has put a driver_override on: it is theirs until that is gone, and nothing is written to it.
import { describe, expect, test } from 'vitest';
import { buildPools } from '../../../src/domain/build-pools.ts';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import { planRelease } from '../../../src/domain/plan-release.ts';
import type { PlanInput } from '../../../src/domain/plan-input.ts';
import { aDevice, aLedger, anEntry, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { nic, onVfio, planText, takeNics } from '../../support/plan-cases.ts';

const claimed = (device: Device, override: string | null): Device => ({
  ...device,
  guarded: { driverOverride: override, autoprobe: null },
});
const bound = onVfio(nic);
const ledger = aLedger([anEntry(bound)]);
const policies = [takeNics];
const wantsVariant = {
  ...takeNics,
  driver: { name: 'mlx5_vfio_pci', module: null, requireVariant: false, aliases: [] },
};
const refused = '0000:01:00.0 Refused NotOurs (p)';

describe('a claim', () => {
  test('on a device that is bound is said, and the device stays as it is', () => {
    const { decisions, transactions } = plan(aPlanInput({ devices: [claimed(bound, 'pci-stub')], policies, ledger }));
    expect(decisions).toMatchObject([{ kind: 'Refused', code: 'NotOurs' }]);
    expect(decisions[0]?.message).toMatch(/^its driver_override is 'pci-stub' now: somebody else claims it/);
    expect(transactions).toEqual([]);
  });

  test('with the device moved away, by driverctl to its host driver or to another VFIO driver, or kept off any', () => {
    expect(planText({ devices: [claimed(nic, 'e1000e')], policies, ledger })).toBe(refused);
    const moved = { ...claimed(bound, 'mlx5_vfio_pci'), driver: 'mlx5_vfio_pci' };
    expect(planText({ devices: [moved], policies, ledger })).toBe(refused);
    expect(planText({ devices: [{ ...claimed(nic, 'none'), driver: null }], policies, ledger })).toBe(refused);
  });

  test('stands against a policy that now wants another driver', () => {
    const input = { devices: [claimed(bound, 'pci-stub')], ledger };
    expect(planText({ ...input, policies: [wantsVariant] })).toBe(refused);
  });

  test('and findings: the gravest is told', () => {
    const findings = [{ address: nic.address, code: 'PrimaryNetwork' as const, proof: 'eth0 has the default route' }];
    expect(planText({ devices: [claimed(nic, 'e1000e')], policies, ledger, findings })).toMatch(/PrimaryNetwork/);
  });

  test.each([
    ['gone', claimed(bound, null), 'Bound'],
    ['gone, with the device back on its host driver', nic, 'Bind'],
    ['gone, with the device on another VFIO driver', { ...claimed(bound, null), driver: 'mlx5_vfio_pci' }, 'Bind'],
    ['ours all along, and only unbound by hand', { ...bound, driver: null, vfioDevice: null }, 'Bind'],
    ['not read', { ...bound, guarded: null }, 'Bound'],
  ])('that is %s is none', (_what, device, kind) => {
    expect(planText({ devices: [device], policies, ledger }).split('\n')[0]).toBe(`0000:01:00.0 ${kind} (p)`);
  });

  test('for the driver that the policy wants by now agrees with it', () => {
    const moved = { ...claimed(bound, 'mlx5_vfio_pci'), driver: 'mlx5_vfio_pci' };
    expect(planText({ devices: [moved], policies: [wantsVariant], ledger })).toBe(
      '0000:01:00.0 Bound (p)\nBind group:1',
    );
  });

  test('does not count where the policy adopts what is not ours', () => {
    const adopting = [{ ...takeNics, allow: ['NotOurs'] as const }];
    expect(planText({ devices: [claimed(bound, 'pci-stub')], policies: adopting, ledger })).toBe(
      '0000:01:00.0 Bound (p)',
    );
    expect(planText({ devices: [claimed(nic, 'e1000e')], policies: adopting, ledger })).toMatch(
      /driver_override = vfio-pci/,
    );
    const adopted = aLedger([anEntry(bound, { adopted: true })]);
    expect(planText({ devices: [claimed(bound, 'x')], ledger: adopted })).toMatch(/clear driver_override/);
  });
});

describe('a claimed device that no policy wants any more', () => {
  test('stays bound until the claim is gone, and says so', () => {
    const { decisions, transactions } = plan(aPlanInput({ devices: [claimed(bound, 'pci-stub')], ledger }));
    expect(decisions).toMatchObject([{ kind: 'Refused', code: 'NotOurs' }]);
    expect(decisions[0]?.message).toMatch(/^its driver_override is 'pci-stub' now: somebody else claims it/);
    expect(transactions).toEqual([]);
  });

  test('is forgotten without a write where somebody has given it a driver, or taken ours away', () => {
    const forgotten = '0000:01:00.0 Release (p)\nRelease group:1';
    for (const device of [claimed(nic, 'e1000e'), { ...claimed(nic, 'none'), driver: null }, { ...nic, driver: 'igb' }])
      expect(planText({ devices: [device], ledger })).toBe(forgotten);
    const unclaimed = { ...claimed(bound, null), driver: 'mlx5_vfio_pci' };
    expect(planText({ devices: [unclaimed], ledger })).toBe(forgotten);
  });

  test('of which our override is left gets rid of that', () => {
    expect(planText({ devices: [{ ...bound, driver: 'igb' }], ledger })).toBe(
      '0000:01:00.0 Release (p)\nRelease group:1\n  0000:01:00.0: clear driver_override',
    );
  });

  test('is not given back by hand either', () => {
    const input = aPlanInput({ devices: [claimed(bound, 'pci-stub')], ledger });
    expect(planRelease(nic.address, plan(input), input)).toEqual({
      refusal: "the driver_override of 0000:01:00.0 is 'pci-stub', and we did not set it: clear it first",
    });
  });
});

describe('in a group of several', () => {
  const gpu = onVfio(aDevice({ address: '0000:03:00.0', vendor: '10de', classCode: '030000', iommuGroup: 3 }));
  const audio = onVfio(aDevice({ address: '0000:03:00.1', vendor: '10de', classCode: '040300', iommuGroup: 3 }));
  const resource = aResource('x.io/gpu');
  const takeBoth = aPolicy({ name: 'p', devices: [{ vendor: '10de' }], resource });
  const offer = { resource: 'x.io/gpu', deviceId: gpu.address };
  const both = aLedger([anEntry(gpu, offer), anEntry(audio, offer)]);

  const healthOf = (input: PlanInput): readonly unknown[] =>
    buildPools({
      ...input,
      decisions: plan(input).decisions,
      policies: input.policies.policies,
      nodes: { groups: new Set(['3']), cdevs: new Set() },
      noIommuNodes: new Map(),
      silent: new Map(),
    }).flatMap((pool) => pool.devices.map(({ id, unhealthyBecause }) => [id, unhealthyBecause?.slice(0, 40)]));

  test('a claim on one member leaves the others bound and the offer what it was, Unhealthy', () => {
    const input = aPlanInput({ devices: [claimed(gpu, 'nouveau'), audio], policies: [takeBoth], ledger: both });
    const { decisions, transactions } = plan(input);
    expect(decisions.map(({ kind, code }) => [kind, code])).toEqual([
      ['Refused', 'NotOurs'],
      ['Bound', null],
    ]);
    expect(transactions).toEqual([]);
    expect(healthOf(input)).toEqual([[gpu.address, "0000:03:00.0: its driver_override is 'no"]]);
  });

  test('a claim on a companion does not give the group back', () => {
    const takeGpu = { ...aPolicy({ name: 'p', devices: [{ class: '0300' }] }), iommuGroup: 'BindCompanions' as const };
    const withCompanion = aLedger([anEntry(gpu), anEntry(audio, { role: 'Companion' })]);
    const devices = [gpu, claimed(audio, 'snd_hda_intel')];
    const text = '0000:03:00.0 Bound (p)\n0000:03:00.1 Refused NotOurs Companion (p)';
    expect(planText({ devices, policies: [takeGpu], ledger: withCompanion })).toBe(text);
    const adopting = [{ ...takeGpu, allow: ['NotOurs'] as const }];
    expect(planText({ devices, policies: adopting, ledger: withCompanion })).toBe(
      '0000:03:00.0 Bound (p)\n0000:03:00.1 Bound Companion (p)',
    );
  });
});
