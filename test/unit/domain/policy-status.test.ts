import { describe, expect, it } from 'vitest';
import type { Condition, VfioPolicyStatus } from '../../../src/api/generated/types.ts';
import { createPolicyFleet } from '../../../src/domain/policy-status-fleet.ts';
import { sameStatus, toPolicyStatus } from '../../../src/domain/policy-status.ts';
import { kstatus } from '../../support/kstatus.ts';
import { situations } from '../../support/kstatus-table.ts';
import { device, facts, fleetOf, node, seen, statusOf, statusTime } from '../../support/policy-status.ts';

const condition = (status: VfioPolicyStatus, type: string): Condition | undefined =>
  status.conditions?.find((one) => one.type === type);

describe('the verdict of kstatus', () => {
  it.each(situations)('$title: $kstatus', ({ object, kstatus: verdict }) => {
    expect(kstatus(object)).toBe(verdict);
  });

  it.each(situations)('$title: never Reconciling beside Stalled, and only True ones', ({ object }) => {
    const abnormal = object.status?.conditions?.filter(({ type }) => type !== 'Ready') ?? [];
    expect(abnormal.length).toBeLessThan(2);
    expect(abnormal.every(({ status }) => status === 'True')).toBe(true);
  });
});

describe('Ready', () => {
  it('is True with AllDone and says how much was done', () => {
    const refused = device({ address: '0000:02:00.0', decision: 'Refused', code: 'BootDisplay', message: 'boot_vga' });
    expect(condition(statusOf([node([device(), refused]), node([device()])]), 'Ready')).toEqual({
      type: 'Ready',
      status: 'True',
      observedGeneration: 1,
      lastTransitionTime: '2026-11-22T12:00:00Z',
      reason: 'AllDone',
      message: '2 of 2 nodes done: 2 bound, 1 refused',
    });
  });

  it.each([
    ['no match', [node()], facts(), 'True', 'NoMatchingDevices'],
    ['steps', [node([device({ decision: 'Bind' })])], facts(), 'False', 'StepsPending'],
    ['an agent behind', [node([device()])], facts({ generation: 2 }), 'False', 'AgentsBehind'],
    ['a hold', [node([device({ decision: 'Held', code: 'HeldByPod' })])], facts(), 'False', 'DevicesHeld'],
    ['a stuck device', [node([device({ decision: 'Stuck' })])], facts(), 'False', 'DevicesStuck'],
    ['a quarantined device', [node([device({ decision: 'Quarantined' })])], facts(), 'False', 'DevicesQuarantined'],
    ['a failed device', [node([device({ decision: 'Failed' })])], facts(), 'False', 'DevicesFailed'],
    ['a conflict', [node([device({ decision: 'Refused', code: 'Conflict' })])], facts(), 'False', 'Conflict'],
    ['an invalid policy', [], facts({ invalid: 'spec.mode: unknown' }), 'False', 'Invalid'],
    [
      'a rehearsal',
      [node([], { status: { dryRun: [device({ decision: 'Bind' })] } })],
      facts({ mode: 'DryRun' }),
      'True',
      'DryRunPlanned',
    ],
  ] as const)('says %s', (_title, nodes, policy, status, reason) => {
    expect(condition(statusOf(nodes, policy), 'Ready')).toMatchObject({ status, reason });
  });

  it('names the device, what is wrong and how many more there are', () => {
    const stuck = (address: string) => device({ address, decision: 'Stuck', message: 'unbind has not returned' });
    const message = condition(statusOf([node([stuck('0000:02:00.0'), stuck('0000:01:00.0')])]), 'Stalled')?.message;
    expect(message).toBe('node-0 0000:01:00.0: Stuck: unbind has not returned (and 1 more)');
  });

  it('names agents that are behind', () => {
    const nodes = [0, 1, 2, 3].map(() => node([device()]));
    expect(condition(statusOf(nodes, facts({ generation: 7 })), 'Reconciling')?.message).toBe(
      '4 agents have not acted on generation 7 yet: node-0, node-1, node-2 and 1 more',
    );
  });
});

describe('counts', () => {
  it('counts nodes by state and devices by decision', () => {
    const status = statusOf([
      node([device(), device({ address: '0000:02:00.0' })]),
      node([device({ decision: 'Failed' })]),
      node([device()], { agent: 'NotReady' }),
      node([device()], { labels: null }),
      node(),
    ]);
    expect(status.nodes).toEqual({ matched: 3, ready: 1, degraded: 2, vanished: 1 });
    expect(status.devices).toMatchObject({ bound: 3, failed: 1 });
  });

  it('counts nothing of a node that was never ours', () => {
    expect(statusOf([node([], { digest: null, agent: 'Missing' })]).nodes?.matched).toBe(0);
    expect(condition(statusOf([node([], { digest: null, agent: 'Missing' })]), 'Ready')?.status).toBe('True');
  });

  it('sees a device that goes because the node is no longer selected', () => {
    const policy = facts({ nodeSelector: { matchLabels: { rack: 'a' }, matchExpressions: [] } });
    const going = node([device({ decision: 'Release' })], { status: { policies: [] } });
    const status = statusOf([going], policy);
    expect(status.nodes).toEqual({ matched: 0, ready: 0, degraded: 0, vanished: 0 });
    expect(condition(status, 'Ready')).toMatchObject({ status: 'False', reason: 'StepsPending' });
  });

  it('waits for an agent that still acts on the wider selector', () => {
    const policy = facts({ generation: 2, nodeSelector: { matchLabels: { rack: 'a' }, matchExpressions: [] } });
    expect(condition(statusOf([node([device()])], policy), 'Ready')?.reason).toBe('AgentsBehind');
  });

  it('speaks in DryRun of the rehearsal alone', () => {
    const rehearsal = { dryRun: [device({ decision: 'Bind' as const }), device({ address: '0000:02:00.0' })] };
    const status = statusOf([node([device()], { status: rehearsal })], facts({ mode: 'DryRun' }));
    expect(status.devices).toMatchObject({ bind: 1, bound: 1 });
    expect(condition(status, 'Ready')?.message).toMatch(/^nothing is done in DryRun; on 1 node: 1 to bind, 1 bound/);
  });
});

describe('problems', () => {
  it('shows the worst first, then by node and address, and counts the rest', () => {
    const many = Array.from({ length: 15 }, (_, index) =>
      device({ address: `0000:0${index.toString(16)}:00.0`, decision: 'Refused', code: 'Bridge', message: 'a bridge' }),
    );
    const status = statusOf([
      node(many),
      node([...many, device({ address: '0000:ff:00.0', decision: 'Failed', message: 'EBUSY' })]),
      node([], { status: { policies: [seen()] }, agent: 'NotReady' }),
    ]);
    expect(status.problems).toHaveLength(20);
    expect(status.omittedProblems).toBe(12);
    expect(status.problems?.slice(0, 3).map(({ node: at, code }) => [at, code])).toEqual([
      ['node-1', 'Failed'],
      ['node-2', 'AgentNotReady'],
      ['node-0', 'Bridge'],
    ]);
  });

  it('names the policy that comes first', () => {
    const status = statusOf([node([device({ policy: 'other', alsoWantedBy: ['gpus'] })])]);
    expect(status.problems).toEqual([
      { node: 'node-0', device: '0000:01:00.0', code: 'Outranked', message: 'policy other comes first' },
    ]);
    expect(condition(status, 'Ready')?.message).toContain('1 device left to policies that come first');
  });

  it('says why an agent that is behind does not see the policies', () => {
    const blind = [{ type: 'PoliciesKnown', status: 'False' as const, reason: 'ListIncomplete', message: '403' }];
    const conditions = blind.map((one) => ({ ...one, lastTransitionTime: '2026-11-22T12:00:00Z' }));
    const status = statusOf([node([], { status: { policies: [], conditions } })]);
    expect(status.problems).toEqual([{ node: 'node-0', code: 'PoliciesUnknown', message: '403' }]);
  });
});

describe('times and sameness', () => {
  const policy = facts();
  const write = (nodes: Parameters<typeof statusOf>[0], before: VfioPolicyStatus | null, now: number) => {
    const sums = fleetOf(
      [policy],
      nodes.map((one, index) => [`node-${index}`, one] as const),
    ).sumsOf('gpus');
    if (sums === null) throw new Error('no sums');
    return toPolicyStatus({ policy, sums, notes: [], before, now });
  };

  it('moves the time of a condition only with its status', () => {
    const first = write([node([device()])], null, statusTime);
    const later = write([node([device()]), node([device()])], first, statusTime + 60_000);
    expect(condition(later, 'Ready')?.lastTransitionTime).toBe('2026-11-22T12:00:00Z');
    const failed = write([node([device({ decision: 'Failed' })])], later, statusTime + 120_000);
    expect(condition(failed, 'Ready')?.lastTransitionTime).toBe('2026-11-22T12:02:00Z');
  });

  it('is the same when written again, whatever the order of keys and conditions', () => {
    const status = write([node([device({ decision: 'Failed' })])], null, statusTime);
    const again = write([node([device({ decision: 'Failed' })])], status, statusTime + 60_000);
    const shuffled: VfioPolicyStatus = {
      ...Object.fromEntries(Object.entries(status).toReversed()),
      conditions: status.conditions?.toReversed() ?? [],
    };
    expect(sameStatus(again, shuffled)).toBe(true);
    expect(sameStatus(write([], status, statusTime), status)).toBe(false);
    expect(sameStatus(status, null)).toBe(false);
  });
});

describe('the fleet', () => {
  it('tells only of policies that changed', () => {
    const fleet = createPolicyFleet();
    fleet.setPolicy('gpus', facts());
    fleet.setPolicy('nics', facts({ name: 'nics', uid: 'uid-nics' }));
    fleet.setNode('a', node([device()], { status: { policies: [seen(), seen({ name: 'nics', uid: 'uid-nics' })] } }));
    expect(fleet.takeChanged().toSorted()).toEqual(['gpus', 'nics']);
    const both = [seen(), seen({ name: 'nics', uid: 'uid-nics' })];
    fleet.setNode('a', node([device()], { status: { policies: both } }));
    expect(fleet.takeChanged()).toEqual([]);
    fleet.setNode('a', node([device({ decision: 'Failed' })], { status: { policies: both } }));
    expect(fleet.takeChanged()).toEqual(['gpus']);
    fleet.setPolicy('gpus', facts());
    expect(fleet.takeChanged()).toEqual([]);
    fleet.setPolicy('gpus', null);
    expect(fleet.takeChanged()).toEqual([]);
    expect(fleet.sumsOf('gpus')).toBeNull();
  });
});
