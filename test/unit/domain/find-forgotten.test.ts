// Records of devices that are gone.
import { expect, test } from 'vitest';
import { findForgotten } from '../../../src/domain/find-forgotten.ts';
import { aLedger, anEntry, aPlanInput } from '../../support/builders.ts';
import { nic, onVfio, takeNics } from '../../support/plan-cases.ts';

const bound = onVfio(nic);
const forgotten = (
  parts: Parameters<typeof aPlanInput>[0],
  entry: Parameters<typeof anEntry>[1] = {},
): readonly string[] => findForgotten(aPlanInput({ ledger: aLedger([anEntry(bound, entry)]), ...parts }));

test('a device that is gone is forgotten once its policy is gone too, or another device is in its place', () => {
  expect(forgotten({})).toEqual([nic.address]);
  expect(forgotten({ devices: [{ ...nic, modalias: 'pci:other' }] })).toEqual([nic.address]);
  expect(forgotten({}, { retained: true })).toEqual([nic.address]);
  expect(forgotten({ devices: [bound] })).toEqual([]);
  expect(forgotten({ policies: [takeNics] })).toEqual([]);
  expect(forgotten({ policies: [{ ...takeNics, mode: 'DryRun' }] })).toEqual([]);
  expect(forgotten({ policies: [{ ...takeNics, uid: 'another' }] })).toEqual([nic.address]);
});

test('not while anything of it is unknown, held or not ended', () => {
  expect(forgotten({ policies: { complete: false, policies: [], why: 'x' } })).toEqual([]);
  expect(forgotten({ inUse: { holders: [], unreadable: 'x' } })).toEqual([]);
  const holding = (address: string) => ({
    holders: [{ address, code: 'HeldByPod' as const, who: 'default/vm' }],
    unreadable: null,
  });
  expect(forgotten({ inUse: holding(nic.address) })).toEqual([]);
  expect(forgotten({ inUse: holding('0000:01:00.7') }, { deviceId: '0000:01:00.7' })).toEqual([]);
  expect(forgotten({}, { state: 'Quarantined' })).toEqual([]);
});

test('of another boot only what exempts a disk is kept', () => {
  expect(forgotten({ devices: [nic] }, { bootId: 'before' })).toEqual([nic.address]);
  expect(forgotten({ devices: [nic] }, { bootId: 'before', diskSerial: 'S1' })).toEqual([]);
  expect(forgotten({ devices: [nic], policies: [takeNics] }, { bootId: 'before' })).toEqual([]);
});
