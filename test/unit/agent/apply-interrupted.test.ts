// Transactions that do not simply end: stuck in the kernel, not to be undone yet, stopped in the middle.
import { describe, expect, it } from 'vitest';
import { applyTransaction } from '../../../src/agent/apply-transaction.ts';
import { recover } from '../../../src/agent/recover.ts';
import { labAddresses } from '../../../src/simulation/nodes/lab-node.ts';
import { identified, type Life } from '../../support/apply-machine.ts';
import { apply, bind, newMachine, release, stateOf } from '../../support/apply-transactions.ts';
import { aMember, aTransaction, releaseSteps } from '../../support/transactions.ts';

const { nic, pair0, pair1 } = labAddresses;

describe('what does not return', () => {
  it('a probe: the group is left alone, others go on, and when it returns it is put right', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    machine.kernel.control.failProbe(pair0, 'hang', 'vfio-pci');
    const outcome = await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
    expect(outcome).toMatchObject({
      outcome: 'Stuck',
      said: expect.stringContaining(`${pair0}: bind to vfio-pci`) as string,
    });
    expect(stateOf(machine, pair1)).toBe('e1000e -');
    expect(life.journal.ledger().entries.get(pair1)).toMatchObject({ state: 'Stuck' });
    expect(await apply(machine, life, bind(machine, [pair1], 'vfio_pci'))).toMatchObject({ outcome: 'NotBegun' });
    expect((await apply(machine, life, bind(machine, [nic], 'vfio_pci'))).outcome).toBe('Applied');
    await apply(machine, life, release(machine, nic, 'vfio-pci', 'e1000e'));

    const stillThere = await machine.finish(recover(life.context));
    expect([...stillThere.values()]).toMatchObject([{ outcome: 'Stuck' }]);
    machine.kernel.control.failProbe(pair0, null, 'vfio-pci');
    if (outcome.outcome === 'Stuck') await machine.finish(outcome.returned);
    expect([...(await machine.finish(recover(life.context))).values()]).toMatchObject([{ outcome: 'RolledBack' }]);
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('an unbind of an open device: the next agent finds the worker by the journal', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    const holder = machine.kernel.control.openDevice(nic);
    if ('errno' in holder) throw new Error(holder.errno);
    const outcome = await apply(machine, life, release(machine, nic, 'vfio-pci', 'e1000e'));
    expect(outcome).toMatchObject({ outcome: 'Stuck' });
    life.kill();

    const next = await machine.startLife();
    expect(next.journal.ledger().entries.get(nic)).toMatchObject({ state: 'Stuck' });
    const first = (await machine.finish(recover(next.context))).get(`device:${nic}`);
    expect(first).toMatchObject({ outcome: 'Stuck', worker: outcome.outcome === 'Stuck' ? outcome.worker : null });
    expect(next.events).toEqual([]);
    holder.close();
    if (first?.outcome === 'Stuck') await machine.finish(first.returned);
    expect((await machine.finish(recover(next.context))).get(`device:${nic}`)).toMatchObject({ outcome: 'RolledBack' });
    expect(stateOf(machine, nic)).toBe('vfio-pci vfio-pci');
    expect((await apply(machine, next, release(machine, nic, 'vfio-pci', 'e1000e'))).outcome).toBe('Applied');
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    expect(machine.kernel.control.damage).toEqual([]);
  });

  it('a read before the first write is stuck too, and names its process', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    machine.kernel.control.openDevice(nic);
    const lease = await machine.kernel.worker.lease();
    void lease.write('/sys/bus/pci/drivers/vfio-pci/unbind', nic, 1_000);
    const outcome = await apply(machine, life, release(machine, nic, 'vfio-pci', 'e1000e'));
    expect(outcome).toMatchObject({
      outcome: 'Stuck',
      said: expect.stringContaining('clear driver_override') as string,
    });
    expect(life.journal.open()).toMatchObject([
      { inFlight: { worker: outcome.outcome === 'Stuck' ? outcome.worker : null } },
    ]);
  });
});

describe('undoing', () => {
  it('waits while anybody holds a member, and goes through afterwards', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    let held = true;
    const life = await machine.startLife({
      holders: () =>
        held ? { ok: false, code: 'HeldByProcess', message: 'qemu (4711) has /dev/vfio/3 open' } : { ok: true },
    });
    machine.kernel.control.failProbe(pair1, { errno: 'EIO' }, 'vfio-pci');
    const outcome = await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
    expect(outcome).toMatchObject({ outcome: 'Quarantined', why: expect.stringContaining('qemu (4711)') as string });
    expect(stateOf(machine, pair0)).toBe('vfio-pci vfio-pci');
    expect(life.journal.ledger().entries.get(pair0)).toMatchObject({ state: 'Quarantined' });
    const size = machine.kernel.files.readText('/var/lib/vfio-operator/journal').length;
    expect([...(await machine.finish(recover(life.context))).values()]).toEqual([outcome]);
    expect(machine.kernel.files.readText('/var/lib/vfio-operator/journal')).toHaveLength(size);
    held = false;
    expect([...(await machine.finish(recover(life.context))).values()]).toMatchObject([{ outcome: 'RolledBack' }]);
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('leaves alone what somebody else has bound meanwhile', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    life.stop();
    const other = await machine.startLife({
      faults: {
        beforeWrite: (path) => (path.endsWith('/bind') ? 'EIO' : null),
      },
      holders: () => {
        machine.kernel.control.failProbe(nic, null);
        return { ok: true };
      },
    });
    const write = async (path: string, text: string): Promise<void> => {
      const lease = await machine.kernel.worker.lease();
      await lease.write(path, text, 1000);
      lease.release();
    };
    const context = {
      ...other.context,
      holders: async () => {
        await write(`/sys/bus/pci/devices/${nic}/driver_override`, 'pci-stub\n');
        await machine.kernel.processes.run('modprobe', ['pci_stub'], { deadline: 1000 });
        await write('/sys/bus/pci/drivers/pci-stub/bind', nic);
        return { ok: true as const };
      },
    };
    const outcome = await machine.finish(applyTransaction(bind(machine, [nic], 'vfio_pci'), context));
    expect(outcome).toMatchObject({
      outcome: 'Quarantined',
      why: expect.stringContaining('has driver pci-stub, which this transaction did not bind') as string,
    });
    expect(stateOf(machine, nic)).toBe('pci-stub pci-stub');
  });

  it('does not take a device back from a host driver that is in use by then', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'));
    let looks = 0;
    const next = await machine.startLife({
      preflight: () =>
        ++looks === 1 ? { ok: true } : { ok: false, code: 'NetworkInUse', message: 'eth2 has an address' },
    });
    machine.kernel.control.failProbe(pair1, { errno: 'EIO' }, 'e1000e');
    const steps = [...releaseSteps(pair0, 'vfio-pci', 'e1000e'), ...releaseSteps(pair1, 'vfio-pci', 'e1000e')];
    const both = identified(machine, aTransaction('Release', [aMember(pair0), aMember(pair1)], steps, 'group:1'));
    expect(await apply(machine, next, both)).toMatchObject({
      outcome: 'Quarantined',
      why: expect.stringContaining('eth2 has an address') as string,
    });
    expect(stateOf(machine, pair0)).toBe('e1000e -');
  });

  it('is looked at once more: what somebody changed meanwhile is not called undone', async () => {
    const machine = await newMachine();
    const meddle = async (): Promise<void> => {
      const lease = await machine.kernel.worker.lease();
      await lease.write(`/sys/bus/pci/devices/${pair1}/driver_override`, 'none\n', 1000);
      lease.release();
    };
    let binds = 0;
    const life = await machine.startLife({
      faults: {
        // pair0, pair1 (fails), then pair1 and pair0 back to their driver.
        beforeWrite: (path) => {
          if (!path.endsWith('/bind')) return null;
          binds += 1;
          if (binds === 4) void meddle();
          return binds === 2 ? 'EIO' : null;
        },
      },
    });
    expect(await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'))).toMatchObject({
      outcome: 'Quarantined',
      why: expect.stringContaining('driver_override none') as string,
    });
    expect(binds).toBe(4);
  });

  it('is not needed for a device that is gone', async () => {
    const machine = await newMachine();
    const life = await machine.startLife({
      faults: {
        beforeWrite: (path) => {
          if (path.endsWith('/bind')) machine.kernel.control.unplug(nic);
          return null;
        },
      },
    });
    expect(await apply(machine, life, bind(machine, [nic], 'vfio_pci'))).toMatchObject({ outcome: 'RolledBack' });
    expect(life.journal.open()).toEqual([]);
    expect(life.journal.ledger().entries.size).toBe(0);
  });
});

describe('stopping', () => {
  it('finishes the running step, and the next start puts it right', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    for (let stopAt = 1; stopAt <= 3; stopAt += 1) {
      let writes = 0;
      const life: Life = await machine.startLife({
        faults: {
          beforeWrite: () => {
            if (++writes === stopAt) life.stop();
            return null;
          },
        },
      });
      const outcome = await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
      expect(outcome.outcome).toBe(stopAt < 3 ? 'Interrupted' : 'Applied');
      await life.journal.close();
      const next = await machine.startLife();
      await machine.finish(recover(next.context));
      expect(next.journal.open()).toEqual([]);
      if (stopAt === 3) await apply(machine, next, release(machine, nic, 'vfio-pci', 'e1000e'));
      expect(machine.kernel.control.snapshot()).toEqual(initial);
      await next.journal.close();
    }
  });
});
