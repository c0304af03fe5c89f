import { describe, expect, it } from 'vitest';
import type { Decision } from '../../../src/domain/decision.ts';
import type { Device, Inventory } from '../../../src/domain/device.ts';
import { toNodeState } from '../../../src/domain/node-state.ts';
import type { NodeStateInput } from '../../../src/domain/node-state.ts';
import { aDevice, anInventory } from '../../support/builders.ts';
import { aDecision, address, anInput, aPlan, aPool, other } from '../../support/node-state-input.ts';

function conditionsOf(parts: Partial<NodeStateInput>): Record<string, string> {
  const conditions = toNodeState(anInput(parts)).status?.conditions ?? [];
  return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe('the conditions of a node state', () => {
  const decided = (kind: Decision['kind'], parts: Partial<Decision> = {}): Partial<NodeStateInput> => ({
    plan: aPlan([aDecision({ address, kind: 'Bound' }), aDecision({ address: other, kind, ...parts })]),
  });

  it.each<[string, Partial<NodeStateInput>, Record<string, string>]>([
    ['everything is bound', decided('Bound'), { Ready: 'True AllDone' }],
    ['one is refused', decided('Refused', { code: 'RootStorage' }), { Ready: 'True AllDone' }],
    ['one is left alone', decided('Ignored'), { Ready: 'True AllDone' }],
    ['one is to be bound', decided('Bind'), { Ready: 'False StepsPending', Reconciling: 'True StepsPending' }],
    ['one is to be released', decided('Release'), { Ready: 'False StepsPending', Reconciling: 'True StepsPending' }],
    ['one is held', decided('Held', { code: 'HeldByPod' }), { Ready: 'False DevicesHeld' }],
    ['one failed', decided('Failed'), { Ready: 'False DevicesFailed', Stalled: 'True DevicesFailed' }],
    ['one is stuck', decided('Stuck'), { Ready: 'False DevicesStuck', Stalled: 'True DevicesStuck' }],
    [
      'one is quarantined',
      decided('Quarantined'),
      { Ready: 'False DevicesQuarantined', Stalled: 'True DevicesQuarantined' },
    ],
    [
      'policies conflict',
      { plan: aPlan([], { policyProblems: [{ policy: 'b', code: 'Conflict', message: 'a has it' }] }) },
      { Ready: 'False Conflict', Stalled: 'True Conflict' },
    ],
    [
      'a policy is invalid',
      { invalidPolicies: [{ name: 'new', uid: null, generation: 1, message: 'unknown word' }] },
      { Ready: 'False Invalid', Stalled: 'True Invalid' },
    ],
    [
      'virtual functions are to be made',
      {
        plan: aPlan([], {
          transactions: [{ key: 'pf:x', kind: 'CreateVirtualFunctions', group: null, members: [], steps: [] }],
        }),
      },
      { Ready: 'False StepsPending', Reconciling: 'True StepsPending' },
    ],
    [
      'one failed while another is to be bound: kstatus takes whichever of the two conditions comes first',
      { plan: aPlan([aDecision({ address, kind: 'Bind' }), aDecision({ address: other, kind: 'Failed' })]) },
      { Ready: 'False DevicesFailed', Stalled: 'True DevicesFailed' },
    ],
    [
      'one is to be bound while another is held',
      { plan: aPlan([aDecision({ address, kind: 'Bind' }), aDecision({ address: other, kind: 'Held' })]) },
      { Ready: 'False StepsPending', Reconciling: 'True StepsPending' },
    ],
  ])('say it when %s', (_, parts, expected) => {
    const { Ready, Reconciling, Stalled } = conditionsOf(parts);
    expect(Object.fromEntries(Object.entries({ Ready, Reconciling, Stalled }).filter(([, value]) => value))).toEqual(
      expected,
    );
  });

  it('tell loudly of a device on VFIO without an IOMMU, of that alone, and only while it is there', () => {
    const exposed = aDevice({ address, driver: 'vfio-pci', iommuGroup: null, vfioDevice: 'noiommu-vfio0' });
    const isolated = (device: Device, parts: Partial<Decision> = {}): unknown =>
      toNodeState(
        anInput({ inventory: anInventory([device]), plan: aPlan([aDecision({ address, kind: 'Bound', ...parts })]) }),
      ).status?.conditions?.find(({ type }) => type === 'Isolated');
    expect(isolated(exposed)).toMatchObject({
      status: 'False',
      reason: 'NoIommuMode',
      message: `${address} is on vfio-pci for policy nics, without an IOMMU: whoever has it reaches all memory of this node`,
    });
    // Also while it waits for its pod's end; and before 6.1, where the driver's name is all that tells.
    expect(isolated(exposed, { kind: 'Held', code: 'HeldByPod' })).toBeDefined();
    expect(isolated({ ...exposed, vfioDevice: null })).toBeDefined();
    expect(isolated({ ...exposed, iommuGroup: 7 })).toBeUndefined();
    expect(isolated({ ...exposed, driver: 'igb', vfioDevice: null })).toBeUndefined();
    expect(isolated({ ...exposed, driver: null, vfioDevice: null })).toBeUndefined();
    expect(isolated(exposed, { role: 'PhysicalFunction' })).toBeUndefined();
    expect(isolated({ ...exposed, address: other })).toBeUndefined();
  });

  it('tell what is not known', () => {
    expect(conditionsOf({ policies: { complete: false, policies: [], why: 'the directory is away' } })).toMatchObject({
      PoliciesKnown: 'False ListIncomplete',
    });
    expect(conditionsOf({ policies: { complete: false, policies: [], why: null } })).toMatchObject({
      PoliciesKnown: 'False ListIncomplete',
    });
    const inventory: Inventory = { ...anInventory([]), unread: [{ source: '/proc/1/mountinfo', why: 'EACCES' }] };
    expect(conditionsOf({ inventory })).toMatchObject({ HostReadable: 'False SourcesUnread' });
    expect(toNodeState(anInput({ inventory })).status?.unread).toEqual([
      { source: '/proc/1/mountinfo', why: 'EACCES' },
    ]);
  });

  it('tell whether kubelet has every resource', () => {
    const pools = [aPool('example.org/a', []), aPool('example.org/b', [])];
    const has = { registered: true, message: null, allocated: [] };
    expect(conditionsOf({ pools })).toMatchObject({ Registered: 'False KubeletHasNotAll' });
    expect(conditionsOf({ pools, registrations: new Map([['example.org/a', has]]) })).toMatchObject({
      Registered: 'False KubeletHasNotAll',
    });
    const registrations = new Map(pools.map(({ resource }) => [resource, has]));
    expect(conditionsOf({ pools, registrations })).toMatchObject({ Registered: 'True KubeletHasAll' });
    expect(conditionsOf({ pools, hasKubelet: false })).not.toHaveProperty('Registered');
  });

  it('take further ones from the agent', () => {
    const extra = { type: 'WorkerDetached', status: 'False' as const, reason: 'NoSysAdmin', message: 'no' };
    expect(conditionsOf({ extraConditions: [extra] })).toMatchObject({ WorkerDetached: 'False NoSysAdmin' });
  });

  it('name the first and count the rest', () => {
    const plan = aPlan([
      aDecision({ address, kind: 'Held', code: 'HeldByPod', message: 'default/vm-1 has it' }),
      aDecision({ address: other, kind: 'Held', code: 'HeldByPod' }),
    ]);
    const ready = toNodeState(anInput({ plan })).status?.conditions?.find(({ type }) => type === 'Ready');
    expect(ready?.message).toBe(`${address}: HeldByPod: default/vm-1 has it (and 1 more)`);
  });

  it('keep their time while their status stays', () => {
    const first = toNodeState(anInput());
    const later = toNodeState(anInput({ ...decided('Held'), before: first, now: Date.UTC(2026, 10, 22, 13) }));
    const times = Object.fromEntries(
      (later.status?.conditions ?? []).map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
    );
    expect(times).toEqual({
      HostReadable: '2026-11-22T12:00:00Z',
      PoliciesKnown: '2026-11-22T12:00:00Z',
      Ready: '2026-11-22T13:00:00Z',
      Registered: '2026-11-22T12:00:00Z',
    });
    expect(toNodeState(anInput({ before: first, now: Date.UTC(2027, 0, 1) }))).toEqual(first);
  });
});
