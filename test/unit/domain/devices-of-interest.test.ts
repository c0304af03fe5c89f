// Which devices are looked at closely: proofs and guarded reads cost, and a read can hang.
import { expect, test } from 'vitest';
import { devicesOfInterest } from '../../../src/domain/assign-devices.ts';
import { emptyLedger, type Ledger } from '../../../src/domain/ledger.ts';
import type { Policy } from '../../../src/domain/policy.ts';
import { aDevice, aLedger, anEntry, anInventory, aPolicy } from '../../support/builders.ts';

const vf = aDevice({ address: '0000:01:10.0', device: '10ca', iommuGroup: 9, physicalFunction: '0000:01:00.0' });
const pf = aDevice({
  address: '0000:01:00.0',
  iommuGroup: 1,
  totalVirtualFunctions: 7,
  virtualFunctions: [vf.address],
});
const sibling = aDevice({ address: '0000:01:00.1', device: '1111', iommuGroup: 1 });
const alone = aDevice({ address: '0000:02:00.0', device: '2222' });
const inventory = anInventory([pf, sibling, vf, alone]);
const interest = (policies: readonly Policy[], ledger: Ledger = emptyLedger): readonly string[] =>
  [...devicesOfInterest(policies, inventory, ledger)].sort();

test('what a policy selects with the rest of its group, also in DryRun, less what it excludes', () => {
  const devices = [{ device: '10d3' }];
  expect(interest([])).toEqual([]);
  expect(interest([aPolicy({ name: 'p', devices, mode: 'DryRun' })])).toEqual([pf.address, sibling.address]);
  expect(interest([aPolicy({ name: 'p', devices, exclude: devices })])).toEqual([]);
  expect(interest([aPolicy({ name: 'p', devices: [{ device: '2222' }] })])).toEqual([alone.address]);
});

test('the virtual functions of a PF that makes them, or that has them from us', () => {
  const devices = [{ device: '10d3' }];
  const all = [pf.address, sibling.address, vf.address];
  expect(interest([aPolicy({ name: 'p', devices, virtualFunctions: 1 })])).toEqual(all);
  expect(interest([], aLedger([anEntry(pf, { role: 'PhysicalFunction' })]))).toEqual(all);
  expect(interest([], aLedger([anEntry(pf)]))).toEqual([pf.address, sibling.address]);
});
