// Which transactions run side by side, and that none stops another.
import { describe, expect, it } from 'vitest';
import type { ApplyOutcome } from '../../../src/agent/apply-context.ts';
import { applyPlan } from '../../../src/agent/apply-plan.ts';
import { runTransactions, type TransactionWork } from '../../../src/agent/run-transactions.ts';
import type { Step, Transaction } from '../../../src/domain/step.ts';
import { labAddresses } from '../../../src/simulation/nodes/lab-node.ts';
import { bind, newMachine, stateOf } from '../../support/apply-transactions.ts';
import { aMember, aTransaction } from '../../support/transactions.ts';

const applied: ApplyOutcome = { outcome: 'Applied' };

/** Runs all and says how many were at work at once, and which pairs ever were. */
async function watch(
  transactions: readonly Transaction[],
  parallel = 4,
): Promise<{ most: number; pairs: Set<string> }> {
  const running = new Set<string>();
  const pairs = new Set<string>();
  let most = 0;
  const work = transactions.map((transaction): TransactionWork => ({
    transaction,
    run: async () => {
      for (const other of running) pairs.add([other, transaction.key].sort().join(' + '));
      running.add(transaction.key);
      most = Math.max(most, running.size);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      running.delete(transaction.key);
      return applied;
    },
  }));
  const results = await runTransactions(work, parallel, () => undefined);
  expect([...results.keys()].sort()).toEqual([...new Set(transactions.map(({ key }) => key))].sort());
  return { most, pairs };
}

const ofGroup = (group: number, address = `0000:0${group}:00.0`): Transaction =>
  aTransaction('Bind', [aMember(address)], [], `group:${group}`);

const ofPf = (address: string): Transaction => {
  const step: Step = { kind: 'SetVirtualFunctions', address, count: 4, previous: 0 };
  return aTransaction('CreateVirtualFunctions', [aMember(address)], [step], `pf:${address}`);
};

describe('transactions of a plan', () => {
  it('run side by side, at most as many as told', async () => {
    const groups = [1, 2, 3, 4, 5, 6, 7].map((group) => ofGroup(group));
    expect((await watch(groups)).most).toBe(4);
    expect((await watch(groups, 1)).most).toBe(1);
    expect((await watch([])).most).toBe(0);
  });

  it('wait for each other where they share a group or a device', async () => {
    const shared = '0000:09:00.0';
    const { pairs } = await watch([
      ofGroup(1, shared),
      aTransaction('Bind', [aMember(shared)], [], `device:${shared}`),
      { ...ofGroup(3), key: 'pf:x', group: 1 },
      ofGroup(4),
    ]);
    expect(pairs.size).toBeGreaterThan(0);
    expect(pairs.has(`device:${shared} + group:1`)).toBe(false);
    expect(pairs.has('group:1 + pf:x')).toBe(false);
  });

  it('make VFs one PF at a time', async () => {
    const { pairs } = await watch([ofPf('0000:01:00.0'), ofPf('0000:02:00.0'), ofGroup(5), ofPf('0000:03:00.0')]);
    expect([...pairs].filter((pair) => !pair.includes('group:5'))).toEqual([]);
    expect(pairs.size).toBeGreaterThan(0);
  });

  it('one’s failure, even a bug of ours, stops no other', async () => {
    const outcomes: string[] = [];
    const results = await runTransactions(
      [
        { transaction: ofGroup(1), run: () => Promise.reject(new Error('a bug')) },
        { transaction: ofGroup(2), run: () => Promise.resolve({ outcome: 'RolledBack', cause: 'EIO' }) },
        { transaction: ofGroup(3), run: () => Promise.resolve(applied) },
      ],
      2,
      ({ key }, { outcome }) => void outcomes.push(`${key} ${outcome}`),
    );
    expect(outcomes.sort()).toEqual(['group:1 Quarantined', 'group:2 RolledBack', 'group:3 Applied']);
    expect(results.get('group:1')).toMatchObject({ why: expect.stringContaining('a bug') as string });
  });

  it('are applied on the kernel, each with its own end', async () => {
    const { nic, hot, faulty } = labAddresses;
    const machine = await newMachine();
    const life = await machine.startLife();
    const transactions = [
      bind(machine, [nic], 'vfio_pci'),
      bind(machine, [faulty], 'faulty_vfio_pci'),
      bind(machine, [hot], 'vfio_pci'),
    ];
    machine.kernel.control.failProbe(nic, 'hang', 'vfio-pci');
    const results = await machine.finish(applyPlan(transactions, life.context));
    expect([...results].map(([key, { outcome }]) => `${key} ${outcome}`).sort()).toEqual(
      [`device:${nic} Stuck`, `device:${hot} Applied`, `device:${faulty} RolledBack`].sort(),
    );
    expect(stateOf(machine, hot)).toBe('vfio-pci vfio-pci');
  });

  it('are not begun once eight kernel calls are stuck; what is begun is put back', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    const {
      edu,
      hot,
      nic,
      faulty,
      pair0,
      pair1,
      'numa-nic': far,
      'numa-edu': farEdu,
      'legacy-edu': legacy,
    } = labAddresses;
    const eight = [edu, hot, faulty, pair0, pair1, far, farEdu, legacy];
    for (const address of eight) machine.kernel.control.failProbe(address, 'hang', 'vfio-pci');
    const transactions = eight.map((address) => ({ ...bind(machine, [address], 'vfio_pci'), group: null }));
    const results = await machine.finish(applyPlan(transactions, life.context));
    expect([...results.values()].map(({ outcome }) => outcome)).toEqual(eight.map(() => 'Stuck'));
    expect(life.context.host.worker.abandoned).toBe(8);
    const initial = machine.kernel.control.snapshot();
    const ninth = await machine.finish(applyPlan([bind(machine, [nic], 'vfio_pci')], life.context));
    expect([...ninth.values()]).toMatchObject([
      { outcome: 'RolledBack', cause: expect.stringContaining('not returned') as string },
    ]);
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    for (const address of eight) machine.kernel.control.failProbe(address, null, 'vfio-pci');
    await machine.clock.advance(1_000);
    expect(life.context.host.worker.abandoned).toBe(0);
  });
});
