// What is changing is offered to nobody, whatever a look shows of it.
import type { ResourcePool } from '../domain/resource-pool.ts';
import type { Transaction } from '../domain/step.ts';

/** The pools, with what transactions are about to change offered to nobody. */
export function withdraw(
  pools: readonly ResourcePool[],
  transactions: readonly Transaction[],
): readonly ResourcePool[] {
  const going = new Set(transactions.flatMap(({ members }) => members.map((member) => member.identity.address)));
  return pools.map((pool) => ({
    ...pool,
    devices: pool.devices.map((device) =>
      device.functions.some((fn) => going.has(fn.address))
        ? { ...device, healthy: false, unhealthyBecause: device.unhealthyBecause ?? 'it is about to change' }
        : device,
    ),
  }));
}
