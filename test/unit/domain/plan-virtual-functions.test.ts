// SR-IOV: making virtual functions, using those that are there, and removing those we made.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import { applyModel } from '../../support/apply-model.ts';
import { aDevice, aLedger, anEntry, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { onVfio, planText } from '../../support/plan-cases.ts';
import { renderPlan } from '../../support/render-plan.ts';

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

  test('not on a PF whose driver_override somebody else set', () => {
    const pinned = { ...pf, guarded: { driverOverride: 'igb', autoprobe: true } };
    expect(planText({ devices: [pinned], policies: [makeVfs] })).toBe(
      '0000:04:00.0 Refused NotOurs PhysicalFunction (vfs)',
    );
    const adopting = { ...makeVfs, allow: ['NotOurs' as const] };
    expect(planText({ devices: [pinned], policies: [adopting] })).toContain('sriov_numvfs = 2');
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

  describe('that we made', () => {
    const record = { previousCount: 0, count: 2, autoprobe: true };
    const made = anEntry(withVfs, {
      role: 'PhysicalFunction',
      driver: null,
      module: null,
      policy: 'vfs',
      virtualFunctions: record,
    });
    const bound = [onVfio(vf(0)), onVfio(vf(1))];
    const entries = bound.map((device) => anEntry(device, { policy: 'vfs', originalDriver: null }));
    const ledger = aLedger([made, ...entries]);

    test('go by the policy that wants them now', () => {
      const other = { ...makeVfs, name: 'other', resource: null, onDelete: 'Retain' as const };
      const input = aPlanInput({ devices: [withVfs, ...bound], policies: [other], ledger });
      const result = plan(input);
      expect(result.transactions.map(({ key, steps }) => [key, steps.length])).toEqual([
        ['group:40', 0],
        ['group:41', 0],
        ['pf:0000:04:00.0', 0],
      ]);
      const after = applyModel(input, result.transactions, () => null);
      expect(after.ledger.entries.get(pf.address)).toMatchObject({
        policy: 'other',
        onDelete: 'Retain',
        virtualFunctions: record,
      });
      expect(plan(after).transactions).toEqual([]);
      const gone = plan({ ...after, policies: { complete: true, policies: [], why: null } });
      expect(gone.transactions.flatMap((transaction) => transaction.steps)).toEqual([]);
    });

    test('stay while a pod has one, also when they shall stay afterwards', () => {
      const kept = aLedger([{ ...made, onDelete: 'Retain' }, ...entries]);
      const holder = { address: '0000:04:10.1', code: 'HeldByPod' as const, who: 'default/vm' };
      const inUse = { holders: [holder], unreadable: null };
      expect(planText({ devices: [withVfs, ...bound], ledger: kept, inUse })).toBe(
        [
          '0000:04:00.0 Held HeldByPod PhysicalFunction (vfs)',
          '0000:04:10.0 Held HeldByPod (vfs)',
          '0000:04:10.1 Held HeldByPod (vfs)',
        ].join('\n'),
      );
    });

    test('are given to nobody while their PF is stuck', () => {
      const stuck = aLedger([{ ...made, state: 'Stuck', detail: 'sriov_numvfs has not returned' }]);
      const free = [vf(0), vf(1)];
      expect(planText({ devices: [withVfs, ...free], policies: [makeVfs], ledger: stuck })).toBe(
        [
          '0000:04:00.0 Stuck Stuck PhysicalFunction (vfs)',
          '0000:04:10.0 Held Stuck (vfs)',
          '0000:04:10.1 Held Stuck (vfs)',
        ].join('\n'),
      );
      const removal = aLedger([{ ...made, state: 'Stuck' }, ...entries]);
      expect(planText({ devices: [withVfs, ...bound], ledger: removal })).toBe(
        [
          '0000:04:00.0 Stuck Stuck PhysicalFunction (vfs)',
          '0000:04:10.0 Held Stuck (vfs)',
          '0000:04:10.1 Held Stuck (vfs)',
        ].join('\n'),
      );
    });

    test('wait together when one is stuck', () => {
      const [first, second] = entries;
      const stuck = aLedger([
        made,
        ...(first ? [first] : []),
        ...(second ? [{ ...second, state: 'Stuck' as const }] : []),
      ]);
      expect(planText({ devices: [withVfs, ...bound], ledger: stuck })).toBe(
        [
          '0000:04:00.0 Held Stuck PhysicalFunction (vfs)',
          '0000:04:10.0 Held Stuck (vfs)',
          '0000:04:10.1 Stuck Stuck (vfs)',
        ].join('\n'),
      );
    });

    test('are not ours to remove once somebody changed their number, or the host uses one', () => {
      const [one] = bound;
      const fewer = { ...pf, virtualFunctions: ['0000:04:10.0'] };
      const result = plan(aPlanInput({ devices: [fewer, ...(one ? [one] : [])], ledger: aLedger([made]) }));
      expect(renderPlan(result)).toBe('0000:04:00.0 Refused NotOurs PhysicalFunction (vfs)');
      expect(result.decisions[0]?.message).toMatch(/^we made 2 virtual functions of 0000:04:00.0, it has 1 now/);
      const given = { ...vf(1), driver: 'igbvf' };
      const findings = [
        { address: given.address, code: 'PrimaryNetwork' as const, proof: 'eth9 has the default route' },
      ];
      expect(planText({ devices: [withVfs, ...(one ? [one] : []), given], ledger: aLedger([made]), findings })).toBe(
        '0000:04:00.0 Refused PrimaryNetwork PhysicalFunction (vfs)',
      );
    });

    test('are not removed while the policies are not completely known, nor while another policy wants one', () => {
      const policies = { complete: false, policies: [], why: 'not readable' };
      expect(planText({ devices: [withVfs, ...bound], ledger, policies })).toBe(
        '0000:04:00.0 Bound PhysicalFunction (vfs)\n0000:04:10.0 Bound (vfs)\n0000:04:10.1 Bound (vfs)',
      );
      const one = aPolicy({ name: 'one', devices: [{ addresses: ['0000:04:10.0'] }] });
      expect(
        planText({ devices: [withVfs, ...bound], ledger, policies: [one] })
          .split('\n')
          .slice(0, 3),
      ).toEqual([
        '0000:04:00.0 Bound PhysicalFunction (vfs)',
        '0000:04:10.0 Bound (one)',
        '0000:04:10.1 Release (vfs)',
      ]);
    });

    test('wait for the back-off of a removal that failed', () => {
      const failures = new Map([['pf:0000:04:00.0', { message: 'EBUSY', due: false }]]);
      expect(planText({ devices: [withVfs, ...bound], ledger, failures })).toBe(
        '0000:04:00.0 Failed PhysicalFunction (vfs)\n0000:04:10.0 Failed (vfs)\n0000:04:10.1 Failed (vfs)',
      );
    });

    test('that are gone already leave only the record to be dropped', () => {
      expect(planText({ devices: [pf], ledger: aLedger([made]) })).toBe(
        '0000:04:00.0 Release PhysicalFunction (vfs)\nRemoveVirtualFunctions pf:0000:04:00.0',
      );
    });
  });

  test('a PF that we have on VFIO is given back before it makes any', () => {
    const whole = onVfio(pf);
    const ledger = aLedger([anEntry(whole, { policy: 'vfs', originalDriver: 'igb' })]);
    expect(planText({ devices: [whole], policies: [makeVfs], ledger })).toBe(
      `0000:04:00.0 Release (vfs)
Release group:4
  0000:04:00.0: clear driver_override
  0000:04:00.0: unbind from vfio-pci
  0000:04:00.0: drivers_probe (expect igb)`,
    );
  });

  test.each([
    ['it cannot make any', { totalVirtualFunctions: 0 }, 'Ignored'],
    ['it has no driver', { driver: null }, 'Failed'],
    ['it is on VFIO, and not by our hand', { driver: 'vfio-pci', vfioDevice: 'vfio0' }, 'Refused NotOurs'],
    ['its attributes could not be read', { guarded: null }, 'Refused Unproven'],
    ['it is a bridge', { classCode: '060400', isBridge: true }, 'Refused Bridge'],
  ])('none are made when %s', (_why, parts, verdict) => {
    expect(planText({ devices: [{ ...pf, ...parts }], policies: [makeVfs] })).toBe(
      `0000:04:00.0 ${verdict} PhysicalFunction (vfs)`,
    );
  });

  test('without autoprobe to switch off there is one step; a failed try waits for its back-off', () => {
    const plain = { ...pf, guarded: { driverOverride: null, autoprobe: null } };
    expect(planText({ devices: [plain], policies: [makeVfs] })).toBe(
      `0000:04:00.0 Bind PhysicalFunction (vfs)
CreateVirtualFunctions pf:0000:04:00.0
  0000:04:00.0: sriov_numvfs = 2`,
    );
    const failures = new Map([['pf:0000:04:00.0', { message: 'EIO', due: false }]]);
    expect(planText({ devices: [pf], policies: [makeVfs], failures })).toBe(
      '0000:04:00.0 Failed PhysicalFunction (vfs)',
    );
  });

  test('frozen after a reboot none are made again', () => {
    const before = aLedger([anEntry(pf, { role: 'PhysicalFunction', policy: 'vfs', bootId: 'before' })]);
    expect(planText({ devices: [pf], policies: [{ ...makeVfs, mode: 'DryRun' }], ledger: before })).toBe(
      '0000:04:00.0 Ignored PhysicalFunction (vfs)',
    );
  });
});
