// What the planner refuses, with its code and its proof.
import { describe, expect, test } from 'vitest';
import type { Inventory } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import {
  aBridge,
  aCatalog,
  aDevice,
  aLedger,
  aPlanInput,
  aPolicy,
  aResource,
  anEntry,
  anInventory,
} from '../../support/builders.ts';
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

  test('of several findings the gravest, of equal ones the first by proof', () => {
    const finding = (code: 'NetworkInUse' | 'RootStorage', proof: string) => ({ address: nic.address, code, proof });
    const findings = [finding('NetworkInUse', 'a'), finding('RootStorage', 'z'), finding('RootStorage', 'b')];
    const [decision] = plan(aPlanInput({ devices: [nic], policies: [takeNics], findings })).decisions;
    expect(decision?.findings.map(({ code, proof }) => `${code} ${proof}`)).toEqual([
      'RootStorage b',
      'RootStorage z',
      'NetworkInUse a',
    ]);
    expect(decision?.message).toMatch(/^b\. /);
  });

  test('no-IOMMU mode needs the policy and the kernel', () => {
    const bare = { ...nic, iommuGroup: null };
    const policies = [{ ...takeNics, allow: ['NoIommu'] as const }];
    const message = (one: Policy, kernel: Partial<Inventory['kernel']>): string | undefined =>
      plan(aPlanInput({ policies: [one], inventory: anInventory([bare], kernel) })).decisions[0]?.message;
    expect(message(takeNics, { noIommuMode: true })).toMatch(/^this machine has no IOMMU, or it is off\. /);
    expect(message(takeNics, { iommu: true })).toMatch(/^it is in no IOMMU group\. /);
    expect(message({ ...takeNics, allow: ['NoIommu'] }, {})).toMatch(/enable_unsafe_noiommu_mode is not Y/);
    const inventory = anInventory([bare], { noIommuMode: true });
    expect(planText({ policies, inventory })).toMatch(/^0000:01:00.0 Bind \(p\)\nBind device:0000:01:00.0/);
    expect(message({ ...takeNics, allow: ['NoIommu'] }, { noIommuMode: true })).toBe(
      'from e1000e to vfio-pci for policy p, without an IOMMU: whoever has it reaches all memory of this node',
    );
  });

  test('memory that the firmware has mapped for the group', () => {
    const inventory = anInventory([nic]);
    const groups = new Map([[1, { number: 1, members: [nic.address], directRegions: ['0xa0000 0xbffff direct'] }]]);
    const [decision] = plan(aPlanInput({ policies: [takeNics], inventory: { ...inventory, groups } })).decisions;
    expect([decision?.code, decision?.message]).toEqual([
      'ReservedRegions',
      expect.stringMatching(/^IOMMU group 1 has direct-mapped memory: 0xa0000 0xbffff direct\. /),
    ]);
  });

  test('data on a disk, unless the ledger knows the disk by its serial number, from whatever boot', () => {
    const disk = { ...nic, diskSerial: 'S1' };
    const findings = [{ address: nic.address, code: 'StorageHasData' as const, proof: 'ext4' }];
    const known = (serial: string | null) => aLedger([anEntry({ ...nic, diskSerial: serial }, { bootId: 'before' })]);
    expect(refused({ devices: [disk], findings })).toMatch(/Refused StorageHasData/);
    expect(refused({ devices: [disk], findings, ledger: known('S2') })).toMatch(/Refused StorageHasData/);
    expect(refused({ devices: [nic], findings, ledger: known(null) })).toMatch(/Refused StorageHasData/);
    expect(refused({ devices: [disk], findings, ledger: known('S1') })).toMatch(/ Bind /);
  });

  test('adopting needs to know the driver_override', () => {
    const policies = [{ ...takeNics, allow: ['NotOurs'] as const }];
    expect(planText({ devices: [{ ...onVfio(nic), guarded: null }], policies })).toBe(
      '0000:01:00.0 Refused Unproven (p)',
    );
    const forced = { ...nic, guarded: { driverOverride: 'e1000e', autoprobe: null } };
    const result = plan(aPlanInput({ devices: [forced], policies }));
    expect(result.transactions[0]?.members[0]).toMatchObject({ adopted: true, override: 'e1000e' });
  });

  test('everything of class 06, whatever its header says', () => {
    const lpc = aDevice({ address: '0000:00:1f.0', device: '2918', classCode: '060100', driver: null, iommuGroup: 5 });
    const policies = [aPolicy({ name: 'p', devices: [{ class: '06' }] })];
    expect(planText({ devices: [lpc], policies })).toBe('0000:00:1f.0 Refused Bridge (p)');
    const beside = { ...nic, iommuGroup: 5 };
    expect(planText({ devices: [lpc, beside], policies: [takeNics] })).toBe(
      '0000:01:00.0 Refused GroupHasCritical (p)',
    );
    const unnamed = {
      ...aDevice({ address: '0000:00:1e.0', device: '244e', isBridge: true, driver: 'x', iommuGroup: 5 }),
      classCode: null,
    };
    const [decision] = plan(aPlanInput({ devices: [unnamed, beside], policies: [takeNics] })).decisions;
    expect(decision?.message).toMatch(/^member 0000:00:1e.0: Bridge: 0000:00:1e.0 is a bridge \(class 06\)/);
  });
});
