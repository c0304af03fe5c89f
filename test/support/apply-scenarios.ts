// The transactions that are run through every fault and every cut: on the lab's machine, from the state that `prepare` leaves.
import type { Step, Transaction } from '../../src/domain/step.ts';
import { applyTransaction } from '../../src/agent/apply-transaction.ts';
import { labAddresses, labNode } from '../../src/simulation/nodes/lab-node.ts';
import { createApplyMachine, identified, type ApplyMachine } from './apply-machine.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from './transactions.ts';

const { nic, pair0, pair1, igb, nvme } = labAddresses;

/** One transaction, and how the machine gets to where it starts. */
export interface ApplyScenario {
  readonly name: string;
  readonly before: readonly ((machine: ApplyMachine) => Transaction)[];
  readonly transaction: (machine: ApplyMachine) => Transaction;
  /** Addresses in the ledger at the start, and once it is done. */
  readonly ledgerBefore: readonly string[];
  readonly ledgerAfter: readonly string[];
}

const bindNic = (machine: ApplyMachine): Transaction =>
  identified(machine, aTransaction('Bind', [aMember(nic)], bindSteps(nic, 'e1000e_vfio_pci'), 'group:3'));

const bindPair = (machine: ApplyMachine): Transaction =>
  identified(
    machine,
    aTransaction(
      'Bind',
      [aMember(pair0), aMember(pair1, { role: 'Companion' })],
      [...bindSteps(pair0, 'vfio_pci'), ...bindSteps(pair1, 'vfio_pci').slice(1)],
      'group:7',
    ),
  );

const releasePair = (machine: ApplyMachine): Transaction =>
  identified(
    machine,
    aTransaction(
      'Release',
      [aMember(pair0), aMember(pair1)],
      [...releaseSteps(pair0, 'vfio-pci', 'e1000e'), ...releaseSteps(pair1, 'vfio-pci', 'e1000e')],
      'group:7',
    ),
  );

const changeNic = (machine: ApplyMachine): Transaction => {
  const steps = bindSteps(nic, 'vfio_pci', 'e1000e-vfio').map((step) =>
    step.kind === 'SetOverride' ? { ...step, previous: 'e1000e-vfio' } : step,
  );
  return identified(
    machine,
    aTransaction('ChangeDriver', [aMember(nic, { override: 'e1000e-vfio' })], steps, 'group:3'),
  );
};

const virtualFunctions = (address: string, count: number) => (machine: ApplyMachine) => {
  const steps: readonly Step[] = [
    { kind: 'SetAutoprobe', address, value: false, previous: true },
    { kind: 'SetVirtualFunctions', address, count, previous: 0 },
    { kind: 'SetAutoprobe', address, value: true, previous: false },
  ];
  const member = aMember(address, { role: 'PhysicalFunction' });
  return identified(machine, aTransaction('CreateVirtualFunctions', [member], steps, `pf:${address}`));
};

const removeVirtualFunctions = (machine: ApplyMachine): Transaction => {
  const steps: readonly Step[] = [{ kind: 'SetVirtualFunctions', address: igb, count: 0, previous: 7 }];
  const member = aMember(igb, { role: 'PhysicalFunction' });
  return identified(machine, aTransaction('RemoveVirtualFunctions', [member], steps, `pf:${igb}`));
};

/** All kinds of transactions. */
export const applyScenarios: readonly ApplyScenario[] = [
  { name: 'bind one', before: [], transaction: bindNic, ledgerBefore: [], ledgerAfter: [nic] },
  { name: 'bind a group', before: [], transaction: bindPair, ledgerBefore: [], ledgerAfter: [pair0, pair1] },
  {
    name: 'release a group',
    before: [bindPair],
    transaction: releasePair,
    ledgerBefore: [pair0, pair1],
    ledgerAfter: [],
  },
  { name: 'change the driver', before: [bindNic], transaction: changeNic, ledgerBefore: [nic], ledgerAfter: [nic] },
  { name: 'make VFs', before: [], transaction: virtualFunctions(igb, 7), ledgerBefore: [], ledgerAfter: [igb] },
  {
    name: 'make VFs of an NVMe',
    before: [],
    transaction: virtualFunctions(nvme, 4),
    ledgerBefore: [],
    ledgerAfter: [nvme],
  },
  {
    name: 'remove VFs',
    before: [virtualFunctions(igb, 7)],
    transaction: removeVirtualFunctions,
    ledgerBefore: [igb],
    ledgerAfter: [],
  },
];

/** A machine where `scenario` can begin. */
export async function prepare(scenario: ApplyScenario, release: string): Promise<ApplyMachine> {
  const machine = await createApplyMachine(labNode(release));
  const life = await machine.startLife();
  for (const step of scenario.before) {
    const { outcome } = await machine.finish(applyTransaction(step(machine), life.context));
    if (outcome !== 'Applied') throw new Error(`${scenario.name}: preparing ended ${outcome}`);
  }
  await life.journal.close();
  life.kill();
  return machine;
}
