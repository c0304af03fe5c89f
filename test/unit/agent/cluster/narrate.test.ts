// What is worth an event, told once, and what is not.
import { describe, expect, it } from 'vitest';
import { createNarrator, longWaits, type Told } from '../../../../src/agent/cluster/narrate.ts';
import type { VfioNodeState } from '../../../../src/api/generated/types.ts';
import type { Transaction } from '../../../../src/domain/step.ts';
import { aDecision, aPlan } from '../../../support/node-state-input.ts';

const at = '0000:01:00.0';
const pass = (parts: Partial<Told> = {}): Told => ({
  plan: aPlan([]),
  policies: { complete: true, why: null },
  invalidPolicies: [],
  resources: [],
  ...parts,
});
const decided = (...decisions: Parameters<typeof aDecision>[0][]): Told =>
  pass({ plan: aPlan(decisions.map((decision) => aDecision(decision))) });
const reasons = (events: readonly { readonly reason: string }[]): readonly string[] =>
  events.map(({ reason }) => reason);

function member(address: string, parts: Partial<Transaction['members'][number]> = {}): Transaction['members'][number] {
  return {
    identity: { address, modalias: null, driver: 'igb', iommuGroup: 1 },
    bus: 'pci',
    override: null,
    role: 'Selected',
    policy: 'nics',
    policyUid: null,
    onDelete: 'Restore',
    resource: null,
    deviceId: null,
    adopted: false,
    diskSerial: null,
    allow: [],
    ...parts,
  };
}

function bind(address: string): Transaction {
  const driver = { module: 'vfio_pci', name: 'vfio-pci' };
  const steps = [{ kind: 'Bind' as const, bus: 'pci' as const, address, driver }];
  return { key: `device:${address}`, kind: 'Bind', group: null, members: [member(address)], steps };
}

describe('verdicts', () => {
  it.each(['Refused', 'Failed', 'Quarantined', 'Stuck'] as const)(
    '%s is told once, and again after a change',
    (kind) => {
      const narrator = createNarrator(null);
      const bad = decided({ address: at, kind, code: kind === 'Refused' ? 'RootStorage' : null, message: 'because' });
      expect(narrator.tell(bad, 0)).toEqual([{ reason: kind, note: `${at} (policy nics): because` }]);
      expect(narrator.tell(bad, 1)).toEqual([]);
      expect(narrator.tell(decided({ address: at, kind: 'Bound' }), 2)).toEqual([]);
      expect(reasons(narrator.tell(bad, 3))).toEqual([kind]);
    },
  );

  it('with one cause are one event, however many devices there are', () => {
    const addresses = Array.from({ length: 64 }, (_, index) => `0000:01:00.${index}`);
    const told = decided(
      ...addresses.map((address) => ({
        address,
        kind: 'Refused' as const,
        code: 'NotOurs' as const,
        message: 'not ours',
      })),
      { address: '0000:02:00.0', kind: 'Refused', code: 'RootStorage', message: 'mounted on /' },
    );
    const events = createNarrator(null).tell(told, 0);
    expect(events.map(({ note }) => note)).toEqual([
      '64 devices (policy nics): 0000:01:00.0, 0000:01:00.1, 0000:01:00.2, 0000:01:00.3 and 60 more. The first: not ours',
      '0000:02:00.0 (policy nics): mounted on /',
    ]);
  });

  it('have notes that the API server takes', () => {
    const [event] = createNarrator(null).tell(decided({ address: at, kind: 'Failed', message: 'x'.repeat(5000) }), 0);
    expect(event?.note.length).toBeLessThanOrEqual(1024);
  });

  it('that an earlier agent told are not told again', () => {
    const before: VfioNodeState = {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioNodeState',
      metadata: { name: 'node-1' },
      status: {
        devices: [{ address: at, decision: 'Refused', code: 'RootStorage' }],
        policies: [{ name: 'bad', observedGeneration: 2, code: 'Invalid' }],
      },
    };
    const narrator = createNarrator(before);
    const told = {
      ...decided({ address: at, kind: 'Refused', code: 'RootStorage' }),
      invalidPolicies: [{ name: 'bad', uid: null, generation: 2, message: 'colour' }],
    };
    expect(narrator.tell(told, 0)).toEqual([]);
    const next = { ...told, invalidPolicies: [{ name: 'bad', uid: null, generation: 3, message: 'colour' }] };
    expect(narrator.tell(next, 1)).toEqual([{ reason: 'PolicyInvalid', note: 'policy bad: colour' }]);
    expect(narrator.tell(next, 2)).toEqual([]);
  });
});

describe('transactions', () => {
  it('are told when they were applied, together', () => {
    const narrator = createNarrator(null);
    narrator.noteOutcome(bind(at), { outcome: 'Applied' });
    narrator.noteOutcome(bind('0000:02:00.0'), { outcome: 'Applied' });
    narrator.noteOutcome(bind('0000:03:00.0'), { outcome: 'RolledBack', cause: 'no' });
    expect(narrator.tell(pass(), 0)).toEqual([
      {
        reason: 'Bound',
        note: `2 devices (policy nics): ${at}, 0000:02:00.0. The first: bound to vfio-pci, was on igb`,
      },
    ]);
    expect(narrator.tell(pass(), 1)).toEqual([]);
  });

  it('are told by what was planned when the last look was before their end', () => {
    const narrator = createNarrator(null);
    narrator.noteOutcome(bind(at), { outcome: 'Applied' });
    const seen = decided({ address: at, kind: 'Bound', driverNow: 'igb' });
    expect(narrator.tell(seen, 0)).toMatchObject([{ note: `${at} (policy nics): bound to vfio-pci, was on igb` }]);
  });

  it.each<[string, Transaction, readonly string[]]>([
    [
      'a release that wrote',
      { ...bind(at), kind: 'Release', steps: [{ kind: 'Unbind', bus: 'pci', address: at, driver: 'vfio-pci' }] },
      ['Released'],
    ],
    [
      'a release that retains',
      { ...bind(at), kind: 'Release', members: [member(at, { onDelete: 'Retain' })], steps: [] },
      ['Released'],
    ],
    ['a change of our records alone', { ...bind(at), steps: [] }, []],
    [
      'virtual functions made',
      {
        ...bind(at),
        kind: 'CreateVirtualFunctions',
        members: [member(at, { role: 'PhysicalFunction' })],
        steps: [{ kind: 'SetVirtualFunctions', address: at, count: 8, previous: 0 }],
      },
      ['VirtualFunctionsMade'],
    ],
    [
      'virtual functions removed',
      {
        ...bind(at),
        kind: 'RemoveVirtualFunctions',
        members: [member(at, { role: 'PhysicalFunction' }), member('0000:01:10.0')],
        steps: [{ kind: 'SetVirtualFunctions', address: at, count: 0, previous: 8 }],
      },
      ['Released'],
    ],
  ])('%s', (_, transaction, expected) => {
    const narrator = createNarrator(null);
    narrator.noteOutcome(transaction, { outcome: 'Applied' });
    expect(reasons(narrator.tell(pass(), 0))).toEqual(expected);
  });
});

describe('what merely waits is told when it lasts, once per stretch', () => {
  const waiting: readonly (readonly [string, Told, number])[] = [
    ['HeldLong', decided({ address: at, kind: 'Held', code: 'HeldByPod' }), longWaits.held],
    ['PoliciesUnknown', pass({ policies: { complete: false, why: '403' } }), longWaits.policies],
    [
      'NotRegistered',
      pass({
        resources: [{ resource: 'a.b/c', registered: false, capacity: 1, healthy: 1, lastError: 'refused' }],
      }),
      longWaits.registration,
    ],
  ];
  it.each(waiting)('%s', (reason, bad, least) => {
    const narrator = createNarrator(null);
    expect(narrator.tell(bad, 0)).toEqual([]);
    expect(narrator.tell(bad, least - 1)).toEqual([]);
    expect(reasons(narrator.tell(bad, least))).toEqual([reason]);
    expect(narrator.tell(bad, least * 5)).toEqual([]);
    expect(narrator.tell(pass(), least * 6)).toEqual([]);
    expect(narrator.tell(bad, least * 7)).toEqual([]);
    expect(reasons(narrator.tell(bad, least * 8))).toEqual([reason]);
  });

  it('PassFailed', () => {
    const narrator = createNarrator(null);
    expect(narrator.tellFailure('no /proc', 0)).toEqual([]);
    expect(narrator.tellFailure('no /proc', longWaits.pass)).toEqual([{ reason: 'PassFailed', note: 'no /proc' }]);
    expect(narrator.tellFailure('no /proc', longWaits.pass * 2)).toEqual([]);
    narrator.tell(pass(), longWaits.pass * 3);
    expect(narrator.tellFailure('no /proc', longWaits.pass * 4)).toEqual([]);
  });
});
