// What the planner refuses, with its code and its proof.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aBridge, aCatalog, aDevice, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';
import { renderPlan } from '../../support/render-plan.ts';

describe('refusals', () => {
  const refused = (parts: Parameters<typeof aPlanInput>[0]): string => planText({ policies: [takeNics], ...parts });

  test('a finding refuses, and its proof is in the sentence', () => {
    const findings = [{ address: nic.address, code: 'PrimaryNetwork' as const, proof: 'eth0 has the default route' }];
    const result = plan(aPlanInput({ devices: [nic], policies: [takeNics], findings }));
    expect(result.decisions[0]).toMatchObject({ kind: 'Refused', code: 'PrimaryNetwork' });
    expect(result.decisions[0]?.message).toMatch(/^eth0 has the default route\. /);
    expect(result.transactions).toEqual([]);
  });

  test('allow overrides what it may, and nothing else', () => {
    const policies = [{ ...takeNics, allow: ['NetworkInUse', 'PrimaryNetwork', 'RootStorage'] as const }];
    const finding = (code: 'NetworkInUse' | 'PrimaryNetwork') => [{ address: nic.address, code, proof: 'x' }];
    expect(planText({ devices: [nic], policies, findings: finding('NetworkInUse') })).toMatch(/ Bind /);
    expect(planText({ devices: [nic], policies, findings: finding('PrimaryNetwork') })).toMatch(
      / Refused PrimaryNetwork /,
    );
  });

  test('without a group there is no IOMMU', () => {
    const bare = { ...nic, iommuGroup: null };
    expect(refused({ devices: [bare] })).toBe('0000:01:00.0 Refused NoIommu (p)');
    const policies = [{ ...takeNics, allow: ['NoIommu'] as const }];
    expect(planText({ devices: [bare], policies })).toBe('0000:01:00.0 Refused NoIommu (p)');
  });

  test('a bridge, whatever selects it', () => {
    const bridge = aBridge({ address: '0000:00:01.0', iommuGroup: 9 });
    expect(planText({ devices: [bridge], policies: [aPolicy({ name: 'p', devices: [{ class: '06' }] })] })).toBe(
      '0000:00:01.0 Refused Bridge (p)',
    );
  });

  test('what is on VFIO, or has an override, without us is not ours', () => {
    expect(refused({ devices: [onVfio(nic)] })).toBe('0000:01:00.0 Refused NotOurs (p)');
    const foreign = { ...nic, guarded: { driverOverride: 'uio_pci_generic', autoprobe: null } };
    expect(refused({ devices: [foreign] })).toBe('0000:01:00.0 Refused NotOurs (p)');
  });

  test('an adopted device is taken into the ledger as it is', () => {
    const policies = [{ ...takeNics, allow: ['NotOurs'] as const }];
    const result = plan(aPlanInput({ devices: [onVfio(nic)], policies }));
    expect(renderPlan(result)).toBe('0000:01:00.0 Bind (p)\nBind group:1');
    expect(result.transactions[0]?.members[0]?.adopted).toBe(true);
  });

  test('an unread driver_override is unproven', () => {
    expect(refused({ devices: [{ ...nic, guarded: null }] })).toBe('0000:01:00.0 Refused Unproven (p)');
  });

  test('a PF with VFs', () => {
    const vf = aDevice({ address: '0000:01:10.0', physicalFunction: nic.address, iommuGroup: 7, driver: null });
    const pf = { ...nic, virtualFunctions: [vf.address], totalVirtualFunctions: 7 };
    const policies = [aPolicy({ name: 'p', devices: [{ addresses: [pf.address] }] })];
    expect(planText({ devices: [pf, vf], policies })).toBe('0000:01:00.0 Refused PfHasVfs (p)');
  });

  test('requireVariant without a variant, a missing module, a blacklisted one', () => {
    const variant = [{ ...takeNics, driver: { ...takeNics.driver, requireVariant: true } }];
    expect(planText({ devices: [nic], policies: variant })).toMatch(/NoDriver/);
    const missing = aCatalog([{ name: 'vfio_pci', state: 'Missing' }]);
    expect(refused({ devices: [nic], catalog: missing })).toMatch(/ModuleMissing/);
    const blacklisted = aCatalog([{ name: 'vfio_pci', blacklistedBy: '/etc/modprobe.d/x.conf:3' }]);
    expect(refused({ devices: [nic], catalog: blacklisted })).toMatch(/NoDriver/);
    const forbidden = { ...aCatalog([{ name: 'vfio_pci', state: 'Available' }]), mayLoad: false };
    const result = plan(aPlanInput({ devices: [nic], policies: [takeNics], catalog: forbidden }));
    expect(result.decisions[0]?.message).toMatch(/modules-load\.d.*Talos/);
  });

  test('deviceNodes that the kernel cannot give', () => {
    const policies = [{ ...takeNics, resource: aResource('x.io/nic', { deviceNodes: 'Iommufd' }) }];
    expect(planText({ devices: [nic], policies })).toBe('0000:01:00.0 Refused NoDeviceNode (p)');
  });
});
