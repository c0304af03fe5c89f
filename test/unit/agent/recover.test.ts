// What a starting agent makes of what it finds in the journal.
import { describe, expect, it } from 'vitest';
import { applyTransaction } from '../../../src/agent/apply-transaction.ts';
import { recover } from '../../../src/agent/recover.ts';
import type { Transaction } from '../../../src/domain/step.ts';
import { labAddresses } from '../../../src/simulation/nodes/lab-node.ts';
import { identified, type ApplyMachine, type Life } from '../../support/apply-machine.ts';
import { apply, bind, newMachine, stateOf } from '../../support/apply-transactions.ts';
import { aMember, aTransaction, releaseSteps } from '../../support/transactions.ts';

const { nic, hot, pair0, pair1 } = labAddresses;

/** Runs until its n-th call and is killed there; the machine stays as it is. */
async function cutAfter(machine: ApplyMachine, transaction: Transaction, at: number): Promise<void> {
  const life = await machine.startLife({ cut: { at, when: 'after' } });
  await machine.finish(Promise.race([applyTransaction(transaction, life.context), life.cut]));
}

/** The call after which the device has no driver. */
async function cutUnbound(machine: ApplyMachine, address: string): Promise<void> {
  for (let at = 1; stateOf(machine, address) !== '- vfio-pci'; at += 1) {
    const before = await machine.startLife();
    await machine.finish(recover(before.context));
    await before.journal.close();
    before.kill();
    await cutAfter(machine, bind(machine, [address], 'vfio_pci'), at);
  }
}

describe('recovering', () => {
  it.each([
    ['within the grace', 500],
    ['long after it', 90_000],
  ])('waits for a kernel call that outlives its agent and ends %s', async (_when, ends) => {
    const machine = await newMachine();
    const life = await machine.startLife();
    machine.kernel.control.failProbe(nic, 'hang', 'vfio-pci');
    void applyTransaction(bind(machine, [nic], 'vfio_pci'), life.context);
    await machine.clock.advance(1_000);
    life.kill();
    machine.clock.after(ends, () => machine.kernel.control.failProbe(nic, null, 'vfio-pci'));

    const next = await machine.startLife();
    const first = (await machine.finish(recover(next.context))).get(`device:${nic}`);
    if (ends > 2_000) {
      expect(first).toMatchObject({ outcome: 'Stuck', said: expect.stringContaining('an earlier agent') as string });
      expect(next.events).toEqual([]);
      expect(next.journal.ledger().entries.get(nic)).toMatchObject({ state: 'Stuck' });
    }
    if (first?.outcome === 'Stuck') await machine.finish(first.returned);
    await machine.finish(recover(next.context));
    // The call was the last step, and did what it should: nothing is left to write.
    expect(next.events).toEqual([]);
    expect(next.journal.open()).toEqual([]);
    expect(next.journal.ledger().entries.get(nic)).toMatchObject({ state: 'Taken', originalDriver: 'e1000e' });
    expect(stateOf(machine, nic)).toBe('vfio-pci vfio-pci');
    expect(machine.kernel.control.damage).toEqual([]);
  });

  it('has nothing to do after a clean end', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    await life.journal.close();
    const next = await machine.startLife();
    expect((await machine.finish(recover(next.context))).size).toBe(0);
    expect(next.events).toEqual([]);
    expect(next.journal.ledger().entries.get(nic)).toMatchObject({ state: 'Taken' });
  });

  it('touches nothing after a reboot: the record stays, the transaction is over', async () => {
    const machine = await newMachine();
    await cutUnbound(machine, nic);
    machine.kernel.control.reboot();
    await machine.clock.runUntilIdle(60_000);
    const rebooted = machine.kernel.control.snapshot();
    const next = await machine.startLife();
    expect((await machine.finish(recover(next.context))).size).toBe(0);
    expect(next.events).toEqual([]);
    expect(machine.kernel.control.snapshot()).toEqual(rebooted);
    const entry = next.journal.ledger().entries.get(nic);
    expect(entry).toMatchObject({ state: 'Taken', originalDriver: 'e1000e' });
    expect(entry?.bootId).not.toBe(machine.bootId());
  });

  it('touches nothing after a power cut either', async () => {
    const machine = await newMachine();
    await cutUnbound(machine, nic);
    machine.kernel.control.powerCut();
    await machine.clock.runUntilIdle(60_000);
    const rebooted = machine.kernel.control.snapshot();
    const next = await machine.startLife();
    await machine.finish(recover(next.context));
    expect(next.events).toEqual([]);
    expect(machine.kernel.control.snapshot()).toEqual(rebooted);
  });

  it('does not touch another device at the address, nor miss one that is gone', async () => {
    const machine = await newMachine();
    await cutUnbound(machine, hot);
    machine.kernel.control.unplug(hot);
    machine.kernel.control.plug({
      address: hot,
      vendor: '1234',
      device: '11e8',
      class: '00ff00',
      parent: '0000:00:09.0',
    });
    const replaced = machine.kernel.control.snapshot();
    const next = await machine.startLife();
    expect([...(await machine.finish(recover(next.context))).values()]).toMatchObject([{ outcome: 'RolledBack' }]);
    expect(next.events).toEqual([]);
    expect(machine.kernel.control.snapshot()).toEqual(replaced);
    expect(next.journal.ledger().entries.size).toBe(0);
  });

  it('undoes what is left when one of a group is gone', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    machine.kernel.control.failProbe(pair1, 'hang', 'vfio-pci');
    const outcome = await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
    expect(outcome.outcome).toBe('Stuck');
    machine.kernel.control.failProbe(pair1, null, 'vfio-pci');
    await machine.clock.advance(1);
    machine.kernel.control.unplug(pair1);
    expect([...(await machine.finish(recover(life.context))).values()]).toMatchObject([{ outcome: 'RolledBack' }]);
    expect(stateOf(machine, pair0)).toBe('e1000e -');
  });

  it('does only what it is asked for, and nothing without the lock', async () => {
    const machine = await newMachine();
    await cutUnbound(machine, nic);
    const other = await machine.startLife({ isWriter: () => false });
    expect((await machine.finish(recover(other.context, new Set(['group:99'])))).size).toBe(0);
    expect([...(await machine.finish(recover(other.context))).values()]).toMatchObject([{ outcome: 'NotBegun' }]);
    expect(stateOf(machine, nic)).toBe('- vfio-pci');
  });

  it('finishes what the kernel shows as done, with the ledger to go with it', async () => {
    const counting = await newMachine();
    const counted = await counting.startLife();
    await apply(counting, counted, bind(counting, [nic], 'vfio_pci'));
    let finished = 0;
    for (let at = counted.calls() - 6; at < counted.calls(); at += 1) {
      const machine = await newMachine();
      await cutAfter(machine, bind(machine, [nic], 'vfio_pci'), at);
      const next = await machine.startLife();
      if (next.journal.open().length === 0 || stateOf(machine, nic) !== 'vfio-pci vfio-pci') continue;
      finished += 1;
      expect([...(await machine.finish(recover(next.context))).values()]).toEqual([{ outcome: 'Applied' }]);
      expect(next.events).toEqual([]);
      expect(next.journal.ledger().entries.get(nic)).toMatchObject({
        state: 'Taken',
        originalDriver: 'e1000e',
        driver: 'vfio-pci',
      });
    }
    expect(finished).toBeGreaterThan(0);
  });

  it('commits a change of the ledger alone', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    const handOver = identified(machine, aTransaction('Bind', [aMember(nic, { policy: 'q' })], [], `device:${nic}`));
    await life.journal.append({
      type: 'Begun',
      id: life.journal.newId(),
      bootId: machine.bootId(),
      at: 0,
      transaction: handOver,
    });
    await life.journal.close();
    const next = await machine.startLife();
    await machine.finish(recover(next.context));
    expect(next.journal.ledger().entries.get(nic)).toMatchObject({ policy: 'q', state: 'Taken' });
  });

  it('a driver whose node never appears is put back', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    const hidden = {
      ...life.context,
      host: {
        ...life.context.host,
        paths: { ...life.context.host.paths, vfio: '/nowhere', vfioCdev: () => '/nowhere' },
      },
    };
    const outcome = await machine.finish(applyTransaction(bind(machine, [nic], 'vfio_pci'), hidden));
    expect(outcome).toMatchObject({
      outcome: 'RolledBack',
      cause: expect.stringContaining('does not appear') as string,
    });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it.each(['before', 'after'] as const)(
    'finishes a release that must not be undone, killed %s any call',
    async (when) => {
      const steps = [...releaseSteps(pair0, 'vfio-pci', 'e1000e'), ...releaseSteps(pair1, 'vfio-pci', 'e1000e')];
      const ends = new Set<string>();
      let forward = 0;
      for (let at = 1, isCut = true; isCut; at += 1) {
        const machine = await newMachine();
        const life = await machine.startLife();
        await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
        await life.journal.close();
        const both = identified(machine, aTransaction('Release', [aMember(pair0), aMember(pair1)], steps, 'group:1'));
        const killed = await machine.startLife({ cut: { at, when } });
        await machine.finish(Promise.race([applyTransaction(both, killed.context), killed.cut]));
        isCut = killed.isCut();

        const next = await machine.startLife({
          preflight: () => ({ ok: false, code: 'GroupHasCritical', message: 'a disk beside it is mounted' }),
        });
        const outcome = (await machine.finish(recover(next.context))).get('group:1')?.outcome ?? 'Over';
        const [first, second] = [stateOf(machine, pair0), stateOf(machine, pair1)];
        // As it was, or as planned; from the host nothing is taken.
        expect(first).toBe(second);
        expect(next.events.filter(({ step }) => step.kind === 'Unbind' && step.driver === 'e1000e')).toEqual([]);
        if (outcome === 'Applied') expect(first).toBe('e1000e -');
        if (outcome === 'RolledBack') expect(first).toBe('vfio-pci vfio-pci');
        expect(next.journal.open()).toEqual([]);
        expect(next.journal.ledger().entries.size).toBe(first === 'e1000e -' ? 0 : 2);
        if (outcome === 'Applied' && next.events.length > 0) forward += 1;
        ends.add(outcome);
      }
      expect(ends).toEqual(new Set(['Over', 'RolledBack', 'Applied']));
      expect(forward).toBeGreaterThan(3);
    },
  );

  it('parks a release that can neither be undone nor finished, and says why', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
    await life.journal.close();
    const steps = [...releaseSteps(pair0, 'vfio-pci', 'e1000e'), ...releaseSteps(pair1, 'vfio-pci', 'e1000e')];
    const both = identified(machine, aTransaction('Release', [aMember(pair0), aMember(pair1)], steps, 'group:1'));
    const stopping: Life = await machine.startLife({
      faults: {
        beforeWrite: (path) => {
          if (path.endsWith(`${pair1}/driver_override`)) stopping.stop();
          return null;
        },
      },
    });
    await machine.finish(applyTransaction(both, stopping.context));
    await stopping.journal.close();
    machine.kernel.control.failProbe(pair1, { errno: 'EIO' }, 'e1000e');
    const refusing = {
      preflight: () => ({ ok: false, code: 'RootStorage', message: 'a disk beside it is mounted' }) as const,
    };
    const next = await machine.startLife(refusing);
    expect((await machine.finish(recover(next.context))).get('group:1')).toMatchObject({
      outcome: 'Quarantined',
      why: expect.stringMatching(/a disk beside it is mounted; finishing it failed: .*EIO/s) as string,
    });
    expect(stateOf(machine, pair0)).toBe('e1000e -');
    // What has failed is not finished a second time: it waits until it may be undone.
    const written = next.events.length;
    await machine.finish(recover(next.context));
    expect(next.events).toHaveLength(written);
  });
});
