// What the ledger says after a transaction.
import { describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../../src/domain/ledger.ts';
import { settleTransaction } from '../../../src/domain/settle-transaction.ts';
import type { Step } from '../../../src/domain/step.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from '../../support/transactions.ts';

const address = '0000:01:00.0';
const boot = 'boot-1';

function resolved(steps: readonly Step[], name: string): readonly Step[] {
  return steps.map((step) => (step.kind === 'Bind' ? { ...step, driver: { ...step.driver, name } } : step));
}

function taken(
  parts: Parameters<typeof aMember>[1] = {},
  before: readonly LedgerEntry[] = [],
  kind: 'Bind' | 'ChangeDriver' = 'Bind',
): LedgerEntry {
  const steps = resolved(bindSteps(address, 'vfio_pci', parts.driver), 'vfio-pci');
  const transaction = aTransaction(kind, [aMember(address, parts)], steps);
  const { set, drop } = settleTransaction(
    transaction,
    steps,
    boot,
    new Map(before.map((entry) => [entry.address, entry])),
  );
  expect(drop).toEqual([]);
  const [entry] = set;
  if (entry === undefined) throw new Error('no entry');
  return entry;
}

describe('settling', () => {
  it('a bind: all that a release and the next agent need', () => {
    expect(
      taken({ override: 'mine', diskSerial: 'S1', policy: 'gpu', policyUid: 'u1', resource: 'x/y', deviceId: address }),
    ).toEqual({
      address,
      bus: 'pci',
      modalias: `pci:${address}`,
      diskSerial: 'S1',
      bootId: boot,
      originalDriver: 'e1000e',
      originalOverride: 'mine',
      driver: 'vfio-pci',
      module: 'vfio_pci',
      role: 'Selected',
      policy: 'gpu',
      policyUid: 'u1',
      onDelete: 'Restore',
      resource: 'x/y',
      deviceId: address,
      adopted: false,
      retained: false,
      virtualFunctions: null,
      state: 'Taken',
      detail: null,
    });
  });

  it('a driver change, and a bind again after somebody’s unbind, keep the origin', () => {
    const first = taken({ diskSerial: 'S1', override: 'mine' });
    const origin = { originalDriver: 'e1000e', originalOverride: 'mine', diskSerial: 'S1' };
    expect(taken({ driver: 'vfio-pci', override: 'vfio-pci' }, [first], 'ChangeDriver')).toMatchObject(origin);
    expect(taken({ driver: null, override: 'vfio-pci' }, [first])).toMatchObject(origin);
  });

  it('a device that somebody moved to another VFIO driver, and that is moved back, keeps the origin', () => {
    const first = taken({ override: 'mine' });
    const origin = { originalDriver: 'e1000e', originalOverride: 'mine' };
    expect(taken({ driver: 'other-vfio', override: 'other-vfio' }, [first], 'ChangeDriver')).toMatchObject(origin);
  });

  it('a device that was given back behind our back, is another one, or was taken in another boot, has a new origin', () => {
    const first = taken({ diskSerial: 'S1', override: 'mine' });
    expect(taken({ driver: 'nvme' }, [first])).toMatchObject({ originalDriver: 'nvme', originalOverride: null });
    expect(taken({ driver: null, modalias: 'pci:other' }, [first])).toMatchObject({
      originalDriver: null,
      diskSerial: null,
    });
    expect(taken({ driver: null }, [{ ...first, bootId: 'boot-0' }])).toMatchObject({
      originalDriver: null,
      diskSerial: null,
    });
  });

  it('an adopted device goes back to no driver at all', () => {
    const member = aMember(address, { driver: 'vfio-pci', override: 'vfio-pci', adopted: true });
    const { set } = settleTransaction(aTransaction('Bind', [member], []), [], boot, new Map());
    expect(set).toMatchObject([
      { driver: 'vfio-pci', module: null, originalDriver: null, originalOverride: null, adopted: true },
    ]);
  });

  it('a handing over changes the policy alone', () => {
    const first = taken();
    const member = aMember(address, { driver: 'vfio-pci', override: 'vfio-pci', policy: 'q' });
    const { set } = settleTransaction(aTransaction('Bind', [member], []), [], boot, new Map([[address, first]]));
    expect(set).toEqual([{ ...first, policy: 'q' }]);
  });

  it('VFs are remembered with what was before', () => {
    const steps: readonly Step[] = [
      { kind: 'SetAutoprobe', address, value: false, previous: true },
      { kind: 'SetVirtualFunctions', address, count: 4, previous: 0 },
      { kind: 'SetAutoprobe', address, value: true, previous: false },
    ];
    const member = aMember(address, { role: 'PhysicalFunction' });
    const settled = (parts: readonly Step[]) =>
      settleTransaction(aTransaction('CreateVirtualFunctions', [member], parts), parts, boot, new Map()).set;
    expect(settled(steps)).toMatchObject([
      { driver: null, module: null, virtualFunctions: { previousCount: 0, count: 4, autoprobe: true } },
    ]);
    expect(settled(steps.slice(1, 2))).toMatchObject([{ virtualFunctions: { autoprobe: null } }]);
  });

  it('a release forgets, unless it retains', () => {
    const first = taken();
    const before = new Map([[address, first]]);
    const settled = (onDelete: 'Restore' | 'Retain', steps: readonly Step[]) =>
      settleTransaction(aTransaction('Release', [aMember(address, { onDelete })], steps), steps, boot, before);
    expect(settled('Restore', releaseSteps(address, 'vfio-pci', 'e1000e'))).toEqual({ set: [], drop: [address] });
    expect(settled('Restore', [])).toEqual({ set: [], drop: [address] });
    expect(settled('Retain', [])).toEqual({ set: [{ ...first, retained: true }], drop: [] });
    const removal = aTransaction('RemoveVirtualFunctions', [aMember(address)], []);
    expect(settleTransaction(removal, [], boot, before)).toEqual({ set: [], drop: [address] });
  });
});
