// The lab's machine and the transactions that tests of the apply engine run on it.
import type { ApplyOutcome } from '../../src/agent/apply-context.ts';
import { applyTransaction } from '../../src/agent/apply-transaction.ts';
import type { Step, Transaction } from '../../src/domain/step.ts';
import { labNode } from '../../src/simulation/nodes/lab-node.ts';
import { createApplyMachine, identified, type ApplyMachine, type Life } from './apply-machine.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from './transactions.ts';

/** The lab's machine. */
export async function newMachine(release = '6.1.0'): Promise<ApplyMachine> {
  return createApplyMachine(labNode(release));
}

/** Binds the devices, as one transaction, to the driver of `module`. */
export function bind(machine: ApplyMachine, addresses: readonly string[], module: string): Transaction {
  const members = addresses.map((address) => aMember(address, { diskSerial: null }));
  const draft = identified(machine, aTransaction('Bind', members, [], `device:${addresses[0] ?? ''}`));
  const steps = draft.members.flatMap(({ identity }, at) => {
    const all = bindSteps(identity.address, module, identity.driver);
    return at === 0 ? all : all.slice(1);
  });
  return { ...draft, group: draft.members[0]?.identity.iommuGroup ?? null, steps };
}

/** Gives one device back. */
export function release(machine: ApplyMachine, address: string, from: string, expect: string | null): Transaction {
  return identified(
    machine,
    aTransaction('Release', [aMember(address)], releaseSteps(address, from, expect), `device:${address}`),
  );
}

/** Makes VFs, with probing off meanwhile. */
export function makeVirtualFunctions(machine: ApplyMachine, address: string, count: number): Transaction {
  const steps: readonly Step[] = [
    { kind: 'SetAutoprobe', address, value: false, previous: true },
    { kind: 'SetVirtualFunctions', address, count, previous: 0 },
    { kind: 'SetAutoprobe', address, value: true, previous: false },
  ];
  const member = aMember(address, { role: 'PhysicalFunction' });
  return identified(machine, aTransaction('CreateVirtualFunctions', [member], steps, `pf:${address}`));
}

/** Applies, letting time pass. */
export function apply(machine: ApplyMachine, life: Life, transaction: Transaction): Promise<ApplyOutcome> {
  return machine.finish(applyTransaction(transaction, life.context));
}

/** `DRIVER OVERRIDE` as the kernel has them, `-` for none. */
export function stateOf({ kernel }: ApplyMachine, address: string): string {
  const { drivers, overrides } = kernel.control.snapshot();
  return `${drivers[address] ?? '-'} ${overrides[address] ?? '-'}`;
}
