// SR-IOV: making virtual functions, using those that are there, and removing those we made.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import { aDevice, aLedger, anEntry, aPolicy, aResource } from '../../support/builders.ts';
import { onVfio, planText } from '../../support/plan-cases.ts';

describe('virtual functions', () => {
  const pf = aDevice({
    address: '0000:04:00.0',
    device: '10c9',
    iommuGroup: 4,
    totalVirtualFunctions: 7,
    driver: 'igb',
  });
  const makeVfs = aPolicy({
    name: 'vfs',
    devices: [{ device: '10c9' }],
    virtualFunctions: 2,
    resource: aResource('x.io/vf'),
  });
  const vf = (index: number): Device =>
    aDevice({
      address: `0000:04:10.${index}`,
      device: '10ca',
      iommuGroup: 40 + index,
      driver: null,
      physicalFunction: pf.address,
    });
  const withVfs = { ...pf, virtualFunctions: ['0000:04:10.0', '0000:04:10.1'] };

  test('autoprobe off, make, autoprobe on', () => {
    expect(planText({ devices: [pf], policies: [makeVfs] })).toBe(
      `0000:04:00.0 Bind PhysicalFunction (vfs)
CreateVirtualFunctions pf:0000:04:00.0
  0000:04:00.0: sriov_drivers_autoprobe = 0
  0000:04:00.0: sriov_numvfs = 2
  0000:04:00.0: sriov_drivers_autoprobe = 1`,
    );
  });

  test('the VFs are then bound, the PF keeps its driver', () => {
    const lines = planText({ devices: [withVfs, vf(0), vf(1)], policies: [makeVfs] }).split('\n');
    expect(lines.slice(0, 3)).toEqual([
      '0000:04:00.0 Bound PhysicalFunction (vfs)',
      '0000:04:10.0 Bind (vfs)',
      '0000:04:10.1 Bind (vfs)',
    ]);
  });

  test('fewer VFs than wanted, and too many wanted', () => {
    const three = { ...makeVfs, virtualFunctions: 3 };
    expect(planText({ devices: [withVfs, vf(0), vf(1)], policies: [three] })).toMatch(/^0000:04:00.0 Refused PfHasVfs/);
    expect(planText({ devices: [pf], policies: [{ ...makeVfs, virtualFunctions: 9 }] })).toBe(
      '0000:04:00.0 Failed PhysicalFunction (vfs)',
    );
  });

  test('a PF the node lives on needs to be allowed', () => {
    const findings = [{ address: pf.address, code: 'PrimaryNetwork' as const, proof: 'x' }];
    expect(planText({ devices: [pf], policies: [makeVfs], findings })).toMatch(/Refused PrimaryNetwork/);
    const allowed = { ...makeVfs, allow: ['PrimaryNetwork'] as const };
    expect(planText({ devices: [pf], policies: [allowed], findings })).toMatch(/ Bind PhysicalFunction/);
    const data = [{ address: pf.address, code: 'StorageHasData' as const, proof: 'x' }];
    expect(planText({ devices: [pf], policies: [makeVfs], findings: data })).toMatch(/ Bind PhysicalFunction/);
  });

  test('VFs we made go together, once all are free', () => {
    const bound = [onVfio(vf(0)), onVfio(vf(1))];
    const record = { previousCount: 0, count: 2, autoprobe: true };
    const ledger = aLedger([
      anEntry(pf, { role: 'PhysicalFunction', driver: null, module: null, policy: 'vfs', virtualFunctions: record }),
      ...bound.map((device) => anEntry(device, { policy: 'vfs', originalDriver: null })),
    ]);
    expect(planText({ devices: [withVfs, ...bound], ledger })).toBe(
      `0000:04:00.0 Release PhysicalFunction (vfs)
0000:04:10.0 Release (vfs)
0000:04:10.1 Release (vfs)
RemoveVirtualFunctions pf:0000:04:00.0
  0000:04:00.0: sriov_numvfs = 0`,
    );
    const inUse = {
      holders: [{ address: '0000:04:10.1', code: 'HeldByPod' as const, who: 'default/vm (compute)' }],
      unreadable: null,
    };
    expect(planText({ devices: [withVfs, ...bound], ledger, inUse }).split('\n')).toEqual([
      '0000:04:00.0 Held HeldByPod PhysicalFunction (vfs)',
      '0000:04:10.0 Held HeldByPod (vfs)',
      '0000:04:10.1 Held HeldByPod (vfs)',
    ]);
  });
});
