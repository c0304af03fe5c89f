// Which guarded attributes a look reads while transactions are under way: a read in a group with a kernel call in flight may not return.
import { expect, it } from 'vitest';
import type { Ledger } from '../../../src/domain/ledger.ts';
import { emptyLedger } from '../../../src/domain/ledger.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createHostObserver } from '../../../src/host/observe-host.ts';
import type { ObserveRequest } from '../../../src/host/observe-host.ts';
import { demoAddresses, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../../src/simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { aDevice, aLedger, anEntry } from '../../support/builders.ts';

const { gpu, connectX: nic } = demoAddresses;

/** The addresses whose `driver_override` one look asks for. */
async function readIn(request: (bootId: string) => Partial<ObserveRequest>): Promise<readonly string[]> {
  const clock = createVirtualClock({ settle: settleByImmediate });
  const kernel = createSimulatedKernel({ spec: demoNode, clock, random: createSeededRandom(1) });
  const asked: string[] = [];
  const observer = createHostObserver({
    files: kernel.files,
    paths: hostPaths(),
    worker: {
      lease: () => kernel.worker.lease(),
      read: (paths, deadline) => {
        asked.push(...paths.flatMap((path) => /devices\/([^/]+)\/driver_override$/.exec(path)?.[1] ?? []));
        return kernel.worker.read(paths, deadline);
      },
      abandoned: 0,
      close: () => kernel.worker.close(),
    },
    clock,
    proofs: { disks: createSimulatedDisks(kernel.files), nodeAddresses: [], endpoints: [], ownAddresses: () => [] },
    mayLoad: true,
    readDeadline: 1_000,
  });
  const bootId = kernel.files.readText('/proc/sys/kernel/random/boot_id').trim();
  let ended = false;
  const look = observer
    .observe({ policies: [], ledger: emptyLedger, alsoInterested: [gpu, nic], ...request(bootId) })
    .finally(() => (ended = true));
  await clock.runUntil(() => ended, 60_000);
  await look;
  return asked.sort();
}

const inTransaction = (address: string, bootId: string): Ledger =>
  aLedger([anEntry(aDevice({ address }), { state: 'InTransaction', bootId })]);

it('reads those of a transaction that waits for the look, and not those of one that has begun, before the look or in it', async () => {
  expect(await readIn(() => ({}))).toEqual([gpu, nic].sort());
  expect(await readIn((bootId) => ({ ledger: inTransaction(nic, bootId) }))).toEqual([gpu]);
  expect(await readIn((bootId) => ({ ledgerNow: () => inTransaction(nic, bootId) }))).toEqual([gpu]);
  expect(await readIn((bootId) => ({ ledgerNow: () => inTransaction(nic, bootId), waiting: [nic] }))).toEqual(
    [gpu, nic].sort(),
  );
});
