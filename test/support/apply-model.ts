// A host as obvious as it gets: runs a transaction's steps on an inventory and the ledger, as if every write succeeded. For
// properties of the planner; the simulated kernel is the place for everything that can go wrong.
import { compareAddresses, type Device } from '../../src/domain/device.ts';
import type { LedgerEntry } from '../../src/domain/ledger.ts';
import type { PlanInput } from '../../src/domain/plan-input.ts';
import { settleTransaction } from '../../src/domain/settle-transaction.ts';
import type { DriverTarget, Step, Transaction } from '../../src/domain/step.ts';
import { aDevice, anInventory } from './builders.ts';

/** The input after all `transactions`. `hostDriver` is what drivers_probe gives a device. */
export function applyModel(
  input: PlanInput,
  transactions: readonly Transaction[],
  hostDriver: (address: string) => string | null,
): PlanInput {
  const devices = new Map(input.inventory.devices);
  const entries = new Map(input.ledger.entries);
  for (const transaction of transactions) {
    const resolved = transaction.steps.map((step) => resolveStep(step, input));
    for (const step of resolved) runStep(step, devices, hostDriver);
    const change = settleTransaction(transaction, resolved, input.inventory.kernel.bootId ?? '', new Map(entries));
    for (const address of change.drop) entries.delete(address);
    for (const entry of change.set) entries.set(entry.address, entry);
  }
  const list = [...devices.values()].sort((a, b) => compareAddresses(a.address, b.address));
  return {
    ...input,
    inventory: anInventory(list),
    ledger: { entries: new Map<string, LedgerEntry>(entries) },
  };
}

function resolveStep(step: Step, input: PlanInput): Step {
  const name = (target: DriverTarget): DriverTarget => ({
    ...target,
    name: target.name ?? input.catalog.modules.get(target.module ?? '')?.drivers[0]?.name ?? null,
  });
  if (step.kind === 'Bind') return { ...step, driver: name(step.driver) };
  if (step.kind === 'SetOverride' && step.driver !== null) return { ...step, driver: name(step.driver) };
  return step;
}

function runStep(step: Step, devices: Map<string, Device>, hostDriver: (address: string) => string | null): void {
  if (step.kind === 'LoadModule' || step.kind === 'SetAutoprobe') return;
  const device = devices.get(step.address);
  if (device === undefined) throw new Error(`no device ${step.address}`);
  const put = (parts: Partial<Device>): void => void devices.set(step.address, { ...device, ...parts });
  switch (step.kind) {
    case 'SetOverride':
      return put({
        guarded: { driverOverride: step.driver?.name ?? null, autoprobe: device.guarded?.autoprobe ?? null },
      });
    case 'Unbind':
      if (device.driver !== step.driver)
        throw new Error(`${step.address} is on ${device.driver}, not on ${step.driver}`);
      return put({ driver: null, vfioDevice: null });
    case 'Bind':
      if (device.driver !== null) throw new Error(`${step.address} is bound already`);
      if (device.guarded?.driverOverride !== step.driver.name) throw new Error(`${step.address} has no override`);
      return put({ driver: step.driver.name, vfioDevice: 'vfio0' });
    case 'Probe':
      return device.driver === null ? put({ driver: hostDriver(step.address) }) : undefined;
    case 'SetVirtualFunctions': {
      for (const address of device.virtualFunctions) devices.delete(address);
      const addresses = Array.from(
        { length: step.count },
        (_, index) => `${device.address.slice(0, -4)}1${index >> 3}.${index & 7}`,
      );
      addresses.forEach((address, index) =>
        devices.set(
          address,
          aDevice({
            address,
            device: '10ca',
            driver: null,
            physicalFunction: device.address,
            iommuGroup: 100 + Number(device.iommuGroup) * 10 + index,
          }),
        ),
      );
      return put({ virtualFunctions: addresses });
    }
  }
}
