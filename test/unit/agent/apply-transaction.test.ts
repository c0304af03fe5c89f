// Transactions on the simulated kernel: what is bound, what is put back, and what is left alone.
import { describe, expect, it } from 'vitest';
import { recover } from '../../../src/agent/recover.ts';
import type { Step, Transaction } from '../../../src/domain/step.ts';
import { labAddresses, labNode } from '../../../src/simulation/nodes/lab-node.ts';
import { createApplyMachine, identified } from '../../support/apply-machine.ts';
import { apply, bind, makeVirtualFunctions, newMachine, release, stateOf } from '../../support/apply-transactions.ts';
import { aMember, aTransaction, bindSteps } from '../../support/transactions.ts';

const { nic, edu, pair0, pair1, igb, nvme, faulty } = labAddresses;

describe('a transaction', () => {
  it.each(['6.1.0', '6.12.0', '7.3.4'])(
    'binds by the driver’s name, proves it, and gives it back (%s)',
    async (kernel) => {
      const machine = await newMachine(kernel);
      const initial = machine.kernel.control.snapshot();
      const life = await machine.startLife();
      expect(await apply(machine, life, bind(machine, [nic], 'e1000e_vfio_pci'))).toEqual({ outcome: 'Applied' });
      expect(stateOf(machine, nic)).toBe('e1000e-vfio e1000e-vfio');
      expect(life.journal.ledger().entries.get(nic)).toMatchObject({
        state: 'Taken',
        driver: 'e1000e-vfio',
        module: 'e1000e_vfio_pci',
        originalDriver: 'e1000e',
        bootId: machine.bootId(),
      });
      expect(life.events.map(({ step, outcome }) => `${step.kind} ${outcome}`)).toEqual([
        'LoadModule Done',
        'SetOverride Done',
        'Unbind Done',
        'Bind Done',
      ]);
      expect(await apply(machine, life, release(machine, nic, 'e1000e-vfio', 'e1000e'))).toEqual({
        outcome: 'Applied',
      });
      expect(machine.kernel.control.snapshot()).toEqual(initial);
      expect(life.journal.ledger().entries.size).toBe(0);
    },
  );

  it('moves a whole group, and changes the driver of one, keeping where it came from', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    expect((await apply(machine, life, bind(machine, [pair0, pair1], 'vfio_pci'))).outcome).toBe('Applied');
    expect([stateOf(machine, pair0), stateOf(machine, pair1)]).toEqual(['vfio-pci vfio-pci', 'vfio-pci vfio-pci']);
    const steps = bindSteps(pair0, 'e1000e_vfio_pci', 'vfio-pci').map((step) =>
      step.kind === 'SetOverride' ? { ...step, previous: 'vfio-pci' } : step,
    );
    const change = identified(
      machine,
      aTransaction('ChangeDriver', [aMember(pair0, { override: 'vfio-pci' })], steps, 'group:1'),
    );
    expect((await apply(machine, life, change)).outcome).toBe('Applied');
    expect(stateOf(machine, pair0)).toBe('e1000e-vfio e1000e-vfio');
    expect(life.journal.ledger().entries.get(pair0)).toMatchObject({
      originalDriver: 'e1000e',
      originalOverride: null,
    });
    await apply(machine, life, release(machine, pair0, 'e1000e-vfio', 'e1000e'));
    await apply(machine, life, release(machine, pair1, 'vfio-pci', 'e1000e'));
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('restores an override that was there before, and leaves without a driver what had none', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    expect((await apply(machine, life, bind(machine, [edu], 'edu_second_vfio_pci'))).outcome).toBe('Applied');
    expect(stateOf(machine, edu)).toBe('edu-second-vfio edu-second-vfio');
    const back: Transaction = {
      ...release(machine, edu, 'edu-second-vfio', null),
      steps: [
        {
          kind: 'SetOverride',
          bus: 'pci',
          address: edu,
          driver: { module: null, name: 'none' },
          previous: 'edu-second-vfio',
        },
        { kind: 'Unbind', bus: 'pci', address: edu, driver: 'edu-second-vfio' },
      ],
    };
    expect((await apply(machine, life, back)).outcome).toBe('Applied');
    expect(stateOf(machine, edu)).toBe('- none');
  });

  it('makes VFs, unbound, and removes them', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    expect((await apply(machine, life, makeVirtualFunctions(machine, igb, 7))).outcome).toBe('Applied');
    const { virtualFunctions, autoprobe, drivers } = machine.kernel.control.snapshot();
    expect([virtualFunctions[igb], autoprobe[igb]]).toEqual([7, true]);
    expect(Object.keys(drivers).length).toBe(Object.keys(initial.drivers).length + 7);
    expect(life.journal.ledger().entries.get(igb)).toMatchObject({
      role: 'PhysicalFunction',
      virtualFunctions: { previousCount: 0, count: 7, autoprobe: true },
    });
    const steps: readonly Step[] = [{ kind: 'SetVirtualFunctions', address: igb, count: 0, previous: 7 }];
    const removal = identified(machine, aTransaction('RemoveVirtualFunctions', [aMember(igb)], steps, `pf:${igb}`));
    expect((await apply(machine, life, removal)).outcome).toBe('Applied');
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    expect(life.journal.ledger().entries.size).toBe(0);
  });

  it('changes the ledger alone where there is nothing to write', async () => {
    const machine = await newMachine();
    const life = await machine.startLife({ preflight: () => ({ ok: false, code: 'HeldByPod', message: 'in use' }) });
    const other = await machine.startLife();
    await apply(machine, other, bind(machine, [nic], 'vfio_pci'));
    const again = await machine.startLife({ preflight: () => ({ ok: false, code: 'HeldByPod', message: 'in use' }) });
    const handOver = identified(machine, aTransaction('Bind', [aMember(nic, { policy: 'q' })], [], `device:${nic}`));
    expect((await apply(machine, again, handOver)).outcome).toBe('Applied');
    expect(again.journal.ledger().entries.get(nic)).toMatchObject({
      policy: 'q',
      driver: 'vfio-pci',
      originalDriver: 'e1000e',
    });
    const retain = identified(
      machine,
      aTransaction('Release', [aMember(nic, { onDelete: 'Retain' })], [], `device:${nic}`),
    );
    expect((await apply(machine, again, retain)).outcome).toBe('Applied');
    expect(again.journal.ledger().entries.get(nic)).toMatchObject({ retained: true });
    expect(stateOf(machine, nic)).toBe('vfio-pci vfio-pci');
    expect(life.events).toEqual([]);
  });
});

describe('what fails', () => {
  it('is rolled back, with what the kernel said', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    const outcome = await apply(machine, life, bind(machine, [faulty], 'faulty_vfio_pci'));
    expect(outcome).toMatchObject({ outcome: 'RolledBack' });
    expect(outcome.outcome === 'RolledBack' && outcome.cause).toMatch(
      /0000:07:00.0: bind to faulty-vfio: EIO \(.*\); afterwards it has no driver/,
    );
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    expect(life.journal.ledger().entries.size).toBe(0);
    expect(life.journal.open()).toEqual([]);
  });

  it('is noticed also when the kernel says that all is well', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    machine.kernel.control.failProbe(nic, 'lie', 'vfio-pci');
    const outcome = await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    machine.kernel.control.failProbe(nic, null, 'vfio-pci');
    expect(outcome).toMatchObject({
      outcome: 'RolledBack',
      cause: expect.stringContaining('the kernel took the write') as string,
    });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('says which module or driver is not there', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    expect(await apply(machine, life, bind(machine, [nic], 'no_such_module'))).toMatchObject({
      outcome: 'RolledBack',
      cause: expect.stringContaining('no_such_module') as string,
    });
    expect(await apply(machine, life, bind(machine, [nic], 'vfio'))).toMatchObject({
      outcome: 'RolledBack',
      cause: expect.stringContaining('module vfio has registered no driver on the pci bus') as string,
    });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('fewer VFs than asked are no VFs', async () => {
    const spec = labNode('6.1.0');
    const devices = spec.devices.map((device) =>
      device.address === igb && 'sriov' in device && device.sriov !== undefined
        ? { ...device, sriov: { ...device.sriov, makes: 3 } }
        : device,
    );
    const machine = await createApplyMachine({ ...spec, devices });
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife();
    const outcome = await apply(machine, life, makeVirtualFunctions(machine, igb, 7));
    expect(outcome).toMatchObject({ outcome: 'RolledBack', cause: expect.stringContaining('3 VFs') as string });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('a release whose old driver fails goes back to VFIO', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    const bound = machine.kernel.control.snapshot();
    machine.kernel.control.failProbe(nic, { errno: 'ENOMEM' }, 'e1000e');
    const outcome = await apply(machine, life, release(machine, nic, 'vfio-pci', 'e1000e'));
    expect(outcome).toMatchObject({ outcome: 'RolledBack', cause: expect.stringContaining('ENOMEM') as string });
    expect(machine.kernel.control.snapshot()).toEqual(bound);
    expect(life.journal.ledger().entries.get(nic)).toMatchObject({ state: 'Taken', originalDriver: 'e1000e' });
  });
});

describe('what must not be written', () => {
  it('refused by the preflight: nothing at all', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    const life = await machine.startLife({
      preflight: () => ({ ok: false, code: 'RootStorage', message: 'nvme0n1 is mounted on /' }),
    });
    expect(await apply(machine, life, bind(machine, [nvme], 'vfio_pci'))).toEqual({
      outcome: 'Refused',
      code: 'RootStorage',
      proof: 'nvme0n1 is mounted on /',
    });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    expect(life.journal.newId()).toBe(1);
  });

  it('refused once the module is loaded: no device is touched', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    let looks = 0;
    const life = await machine.startLife({
      preflight: () =>
        ++looks === 1 ? { ok: true } : { ok: false, code: 'NetworkInUse', message: 'eth1 has an address now' },
    });
    expect(await apply(machine, life, bind(machine, [nic], 'vfio_pci'))).toMatchObject({
      outcome: 'Refused',
      code: 'NetworkInUse',
    });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
    expect(life.journal.open()).toEqual([]);
  });

  it('another device, another driver, another group, no device: plan anew', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    const planned = bind(machine, [nic], 'vfio_pci');
    const [member] = planned.members;
    if (member === undefined) throw new Error('no member');
    for (const [change, why] of [
      [{ modalias: 'pci:v1' }, 'has become another device'],
      [{ driver: 'nvme' }, 'has gone from nvme to e1000e'],
      [{ iommuGroup: 99 }, 'has moved from IOMMU group 99'],
      [{ address: '0000:77:00.0' }, 'is gone'],
    ] as const) {
      const stale = { ...planned, members: [{ ...member, identity: { ...member.identity, ...change } }] };
      expect(await apply(machine, life, stale)).toMatchObject({
        outcome: 'NotBegun',
        why: expect.stringContaining(why) as string,
      });
    }
  });

  it('without the lock, while stopping, beside an open transaction, without a journal', async () => {
    const machine = await newMachine();
    const planned = bind(machine, [nic], 'vfio_pci');
    const initial = machine.kernel.control.snapshot();
    const unlocked = await machine.startLife({ isWriter: () => false });
    expect(await apply(machine, unlocked, planned)).toMatchObject({
      outcome: 'NotBegun',
      why: expect.stringContaining('lock') as string,
    });
    const life = await machine.startLife();
    machine.kernel.files.setFault((operation) => (operation === 'fsync' ? 'EROFS' : null));
    expect(await apply(machine, life, planned)).toMatchObject({
      outcome: 'NotBegun',
      why: expect.stringContaining('EROFS') as string,
    });
    machine.kernel.files.setFault(null);
    await life.journal.append({
      type: 'Begun',
      id: life.journal.newId(),
      bootId: machine.bootId(),
      at: 0,
      transaction: planned,
    });
    expect(await apply(machine, life, planned)).toMatchObject({
      outcome: 'NotBegun',
      why: expect.stringContaining('has not ended') as string,
    });
    life.stop();
    expect(await apply(machine, life, planned)).toMatchObject({ outcome: 'NotBegun', why: 'the agent is stopping' });
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });

  it('over somebody else’s driver_override', async () => {
    const machine = await newMachine();
    const life = await machine.startLife();
    const planned = bind(machine, [nic], 'vfio_pci');
    const lease = await machine.kernel.worker.lease();
    await machine.finish(lease.write(`/sys/bus/pci/devices/${nic}/driver_override`, 'pci-stub\n', 1000));
    lease.release();
    expect(await apply(machine, life, planned)).toMatchObject({
      outcome: 'RolledBack',
      cause: expect.stringContaining('it is pci-stub now and was not set: somebody else changed it') as string,
    });
    expect(stateOf(machine, nic)).toBe('e1000e pci-stub');
  });

  it('while the journal cannot be written in the middle; afterwards it is undone', async () => {
    const machine = await newMachine();
    const initial = machine.kernel.control.snapshot();
    let writes = 0;
    const life = await machine.startLife({
      faults: {
        beforeWrite: () => {
          if (++writes === 2)
            machine.kernel.files.setFault((operation) =>
              operation === 'append' || operation === 'write' || operation === 'fsync' ? 'ENOSPC' : null,
            );
          return null;
        },
      },
    });
    const outcome = await apply(machine, life, bind(machine, [nic], 'vfio_pci'));
    expect(outcome).toMatchObject({ outcome: 'Quarantined', why: expect.stringContaining('ENOSPC') as string });
    expect(stateOf(machine, nic)).toBe('- vfio-pci');
    machine.kernel.files.setFault(null);
    expect([...(await machine.finish(recover(life.context))).values()]).toMatchObject([{ outcome: 'RolledBack' }]);
    expect(machine.kernel.control.snapshot()).toEqual(initial);
  });
});
