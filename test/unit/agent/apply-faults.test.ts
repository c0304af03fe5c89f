// Every transaction through every single fault and every cut: the machine ends as planned or as it was, and the ledger knows which.
import { describe, expect, it } from 'vitest';
import { applyTransaction } from '../../../src/agent/apply-transaction.ts';
import { recover } from '../../../src/agent/recover.ts';
import type { KernelSnapshot } from '../../../src/simulation/kernel/control.ts';
import type { ApplyMachine, LifeOptions } from '../../support/apply-machine.ts';
import { applyScenarios, prepare, type ApplyScenario } from '../../support/apply-scenarios.ts';

const releases = ['5.10.0', '6.1.0', '7.3.4'];
const cases = applyScenarios.flatMap((scenario) =>
  releases
    // The lab's variant drivers exist from 6.1 on.
    .filter((release) => release !== '5.10.0' || !['bind one', 'change the driver'].includes(scenario.name))
    .map((release) => ({ name: `${scenario.name} (${release})`, scenario, release })),
);

// Group numbers are recycled lowest first, so VFs that go and come may have others; everything else must be equal.
function comparable({ groups: _groups, ...rest }: KernelSnapshot): string {
  return JSON.stringify(rest);
}

async function ends(
  scenario: ApplyScenario,
  release: string,
): Promise<{ initial: string; planned: string; writes: number; calls: number }> {
  const machine = await prepare(scenario, release);
  const initial = comparable(machine.kernel.control.snapshot());
  let writes = 0;
  const life = await machine.startLife({
    faults: {
      beforeWrite: () => {
        writes += 1;
        return null;
      },
    },
  });
  const outcome = await machine.finish(applyTransaction(scenario.transaction(machine), life.context));
  expect(outcome).toEqual({ outcome: 'Applied' });
  return { initial, planned: comparable(machine.kernel.control.snapshot()), writes, calls: life.calls() };
}

function ledgerOf(addresses: Iterable<string>): string {
  return [...addresses].sort().join(' ');
}

/** After everything: nothing open, the machine in one of the two ends, and a ledger that fits. */
async function settle(
  scenario: ApplyScenario,
  machine: ApplyMachine,
  initial: string,
  planned: string,
): Promise<'initial' | 'planned'> {
  const life = await machine.startLife();
  const results = await machine.finish(recover(life.context));
  expect([...results.values()].filter(({ outcome }) => outcome !== 'Applied' && outcome !== 'RolledBack')).toEqual([]);
  expect(life.journal.open()).toEqual([]);
  const now = comparable(machine.kernel.control.snapshot());
  expect([initial, planned]).toContain(now);
  expect(machine.kernel.control.damage).toEqual([]);
  const { entries } = life.journal.ledger();
  expect([...entries.values()].filter((entry) => entry.state !== 'Taken')).toEqual([]);
  const where = now === planned ? 'planned' : 'initial';
  expect(ledgerOf(entries.keys())).toBe(ledgerOf(where === 'planned' ? scenario.ledgerAfter : scenario.ledgerBefore));
  // Once more changes nothing.
  const again = await machine.startLife();
  expect((await machine.finish(recover(again.context))).size).toBe(0);
  return where;
}

describe.each(cases)('$name', ({ scenario, release }) => {
  it('a write that fails, whichever: everything is as it was', async () => {
    const { initial, planned, writes } = await ends(scenario, release);
    expect(writes).toBeGreaterThan(0);
    for (let failing = 1; failing <= writes; failing += 1) {
      const machine = await prepare(scenario, release);
      let count = 0;
      const life = await machine.startLife({ faults: { beforeWrite: () => (++count === failing ? 'EIO' : null) } });
      const outcome = await machine.finish(applyTransaction(scenario.transaction(machine), life.context));
      // A probe that fails is asked again through the driver's own bind file, which may then succeed.
      if (outcome.outcome === 'Applied') {
        expect(comparable(machine.kernel.control.snapshot())).toBe(planned);
      } else {
        expect(outcome).toMatchObject({ outcome: 'RolledBack', cause: expect.stringContaining('EIO') as string });
        expect(comparable(machine.kernel.control.snapshot())).toBe(initial);
      }
      await life.journal.close();
      life.kill();
      await settle(scenario, machine, initial, planned);
    }
  });

  it('a write that fails, and then one of those that undo it: put right at the next try', async () => {
    const { initial, planned, writes } = await ends(scenario, release);
    for (let failing = 1; failing <= writes; failing += 1) {
      for (let second = failing + 1; second <= failing + 5; second += 1) {
        const machine = await prepare(scenario, release);
        let count = 0;
        const life = await machine.startLife({
          faults: { beforeWrite: () => (++count === failing || count === second ? 'EIO' : null) },
        });
        await machine.finish(applyTransaction(scenario.transaction(machine), life.context));
        await life.journal.close();
        life.kill();
        await settle(scenario, machine, initial, planned);
      }
    }
  });

  it('cut off at any call, before or after its effect: planned or as it was', async () => {
    const { initial, planned, calls } = await ends(scenario, release);
    const seen = new Set<string>();
    for (let at = 1; at <= calls; at += 1) {
      for (const when of ['before', 'after'] as const) {
        seen.add(await cutOff(scenario, release, { cut: { at, when } }, initial, planned));
      }
    }
    expect([...seen].sort()).toEqual(['initial', 'planned']);
  });
});

// These cut twice; the kernels differ here in nothing that the cases above do not show.
describe.each(cases.filter(({ release }) => release === '6.1.0'))('$name, twice', ({ scenario, release }) => {
  it('cut off while it undoes a failure', async () => {
    const { initial, planned, writes } = await ends(scenario, release);
    for (let failing = 1; failing <= writes; failing += 1) {
      for (let at = 4; at < 80; at += 3) {
        let count = 0;
        const faults = { beforeWrite: () => (++count === failing ? 'EIO' : null) };
        await cutOff(scenario, release, { cut: { at, when: 'after' }, faults }, initial, planned);
      }
    }
  });

  it('cut off, and cut off again while it recovers', async () => {
    const { initial, planned, calls } = await ends(scenario, release);
    for (let at = 6; at <= calls; at += 3) {
      for (let again = 1; again <= 30; again += 3) {
        const machine = await prepare(scenario, release);
        await runUntilCut(machine, { cut: { at, when: 'after' } }, (life) =>
          applyTransaction(scenario.transaction(machine), life.context),
        );
        await runUntilCut(machine, { cut: { at: again, when: 'after' } }, (life) => recover(life.context));
        await settle(scenario, machine, initial, planned);
      }
    }
  });
});

type LifeOf = Awaited<ReturnType<ApplyMachine['startLife']>>;

async function runUntilCut(
  machine: ApplyMachine,
  options: LifeOptions,
  run: (life: LifeOf) => Promise<unknown>,
): Promise<void> {
  const life = await machine.startLife(options);
  await machine.finish(Promise.race([run(life), life.cut]));
  life.kill();
}

async function cutOff(
  scenario: ApplyScenario,
  release: string,
  options: LifeOptions,
  initial: string,
  planned: string,
): Promise<string> {
  const machine = await prepare(scenario, release);
  await runUntilCut(machine, options, (life) => applyTransaction(scenario.transaction(machine), life.context));
  return settle(scenario, machine, initial, planned);
}
