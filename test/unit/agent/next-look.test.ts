// How soon the next pass comes.
import { expect, it } from 'vitest';
import type { ApplyOutcome } from '../../../src/agent/apply-context.ts';
import { nextLook } from '../../../src/agent/next-look.ts';
import { plan } from '../../../src/domain/plan.ts';
import { aLedger, anEntry, aPlanInput } from '../../support/builders.ts';
import { nic, onVfio, takeNics } from '../../support/plan-cases.ts';

const idle = plan(aPlanInput({}));
const pending = plan(aPlanInput({ devices: [nic], policies: [takeNics] }));
const after = (outcome: ApplyOutcome): ReadonlyMap<string, ApplyOutcome> => new Map([['group:1', outcome]]);
const nothing = new Map<string, ApplyOutcome>();
const none = new Set<string>();
const applied = after({ outcome: 'Applied' });

it('at the interval, or when a retry falls due before', () => {
  expect(nextLook(idle, nothing, none, null, 30_000)).toBe(30_000);
  expect(nextLook(idle, nothing, none, 4_000, 30_000)).toBe(4_000);
  expect(nextLook(idle, nothing, none, 90_000, 30_000)).toBe(30_000);
  expect(nextLook(idle, applied, none, null, 30_000)).toBe(30_000);
});

it('at once while steps are left and the last ones worked, but not for what comes back unchanged', () => {
  expect(nextLook(pending, applied, none, null, 30_000)).toBe(0);
  expect(nextLook(pending, applied, new Set(['group:1']), null, 30_000)).toBe(2_000);
  expect(nextLook(pending, after({ outcome: 'NotBegun', why: 'x' }), none, null, 30_000)).toBe(2_000);
  expect(nextLook(pending, nothing, none, null, 500)).toBe(500);
});

it('soon while somebody holds something, not for what is stuck', () => {
  const bound = onVfio(nic);
  const holder = { address: nic.address, code: 'HeldByPod' as const, who: 'default/vm' };
  const ledger = aLedger([anEntry(bound)]);
  const inUse = { holders: [holder], unreadable: null };
  expect(nextLook(plan(aPlanInput({ devices: [bound], ledger, inUse })), nothing, none, null, 30_000)).toBe(2_000);
  const sibling = { ...nic, address: '0000:01:00.1' };
  const stuck = aLedger([anEntry(bound, { state: 'Stuck' })]);
  const input = aPlanInput({ devices: [bound, sibling], policies: [takeNics], ledger: stuck });
  expect(plan(input).decisions.map((decision) => decision.kind)).toEqual(['Stuck', 'Held']);
  expect(nextLook(plan(input), nothing, none, null, 30_000)).toBe(30_000);
});
