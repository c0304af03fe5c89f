// Agents that are broken on purpose, each in one way that a real mistake could be. The simulation has to catch every one of them.
import type { KubeletUse } from '../../src/agent/kubelet-side.ts';
import type { Device, Inventory } from '../../src/domain/device.ts';
import type { Ledger } from '../../src/domain/ledger.ts';
import type { HostObservation, HostObserver, ObserveRequest } from '../../src/host/observe-host.ts';
import type { KernelWorker, WorkerLease } from '../../src/host/ports.ts';
import { FileError } from '../../src/runtime/ports.ts';
import type { Files, LogFile } from '../../src/runtime/ports.ts';
import type { Mutation } from './mutation.ts';

/** A mutant: what it gets wrong, and a seed from which on few histories suffice to catch it. */
export interface Mutant {
  readonly wrong: string;
  readonly from: number;
  readonly mutation: Mutation;
}

/** All of them, by name. */
export const mutants: Readonly<Record<string, Mutant>> = {
  noFsync: {
    wrong: 'nothing is ever synced to the disk',
    from: 5,
    mutation: {
      files: (files) => ({
        ...withLog(files, (log) => ({ ...log, sync: () => Promise.resolve() })),
        syncDirectory: () => Promise.resolve(),
      }),
    },
  },
  noJournal: {
    wrong: 'records of the journal are not written',
    from: 1,
    mutation: {
      files: (files) =>
        withLog(files, (log, path) =>
          path.includes('/journal') ? { ...log, append: (text) => log.append(withoutTransactions(text)) } : log,
        ),
    },
  },
  blindToProcesses: {
    wrong: 'processes that have a device open are not seen',
    from: 1,
    mutation: {
      observer: (observer) => changing(observer, (seen) => ({ ...seen, holders: [] })),
    },
  },
  blindToPods: {
    wrong: 'what pods hold is not asked',
    from: 45,
    mutation: {
      kubelet: (kubelet) => ({
        offer: (pools) => kubelet.offer(pools),
        told: (pools) => kubelet.told(pools),
        readUse: async (): Promise<KubeletUse> => {
          await kubelet.readUse();
          return { holders: [], unreadable: null };
        },
        get resources() {
          return kubelet.resources;
        },
        stop: () => kubelet.stop(),
      }),
    },
  },
  unreadableIsNone: {
    wrong: 'policies that cannot be read are taken for no policies',
    from: 59,
    mutation: {
      policies: (source) => ({
        get current() {
          return source.current.complete ? source.current : { complete: true, policies: [], why: null };
        },
        close: () => source.close(),
      }),
    },
  },
  oldBootIsThisBoot: {
    wrong: 'records of an earlier boot are acted on',
    from: 12,
    mutation: {
      files: (files) => ({
        ...files,
        readText: (path, maxBytes) =>
          path.endsWith('/random/boot_id') ? 'the-one-and-only-boot\n' : files.readText(path, maxBytes),
      }),
    },
  },
  cachedAnswerUnchecked: {
    wrong: 'a container starts with whatever kubelet remembers',
    from: 47,
    mutation: {
      grpc: (grpc) => ({
        ...grpc,
        serve: (path, routes) =>
          grpc.serve(
            path,
            routes.map((route) =>
              route.kind === 'unary' && route.path.endsWith('/PreStartContainer')
                ? { ...route, answer: () => Promise.resolve(new Uint8Array()) }
                : route,
            ),
          ),
      }),
    },
  },
  moduleForDriver: {
    wrong: "a module's name is taken for its driver's",
    from: 1,
    mutation: { worker: (worker) => writing(worker, (text) => text.replace('e1000e-vfio', 'e1000e_vfio_pci')) },
  },
  alwaysHealthy: {
    wrong: 'devices are offered as healthy whatever they are',
    from: 27,
    mutation: {
      kubelet: (kubelet) => {
        const known = new Map<string, Parameters<typeof kubelet.offer>[0][number]>();
        return {
          offer: (pools) => {
            for (const pool of pools) if (!known.has(pool.resource)) known.set(pool.resource, pool);
            return kubelet.offer([...known.values()]);
          },
          told: (pools) => kubelet.told(pools),
          readUse: () => kubelet.readUse(),
          get resources() {
            return kubelet.resources;
          },
          stop: () => kubelet.stop(),
        };
      },
    },
  },
  twoWriters: {
    wrong: 'whoever has the lock of the host is taken to have given it back',
    from: 1,
    mutation: {
      files: (files) => ({
        ...files,
        readText: (path, maxBytes) => (/\/lock\.\d+$/.test(path) ? 'given back' : files.readText(path, maxBytes)),
      }),
    },
  },
  companionAdvertised: {
    wrong: 'companions of a group are offered like what was selected',
    from: 1,
    mutation: {
      kubelet: (kubelet) => ({
        offer: (pools) =>
          kubelet.offer(
            pools.map((pool) => ({
              ...pool,
              devices: pool.devices.flatMap((device) => [
                device,
                ...device.functions
                  .filter(({ selected }) => !selected)
                  .map(({ address }) => ({ ...device, id: address })),
              ]),
            })),
          ),
        told: (pools) => kubelet.told(pools),
        readUse: () => kubelet.readUse(),
        get resources() {
          return kubelet.resources;
        },
        stop: () => kubelet.stop(),
      }),
    },
  },
  foreignIsFree: {
    wrong: 'a driver_override that somebody else set is not seen',
    from: 68,
    mutation: {
      observer: (observer) =>
        changing(observer, (seen, { ledger }) => ({ ...seen, inventory: withoutForeign(seen.inventory, ledger) })),
    },
  },
  stalePreflight: {
    wrong: 'the preflight looks at what the plan was made from',
    from: 4,
    mutation: {
      observer: (observer) => withObserve(observer, stale(observer)),
    },
  },
  blindToSiblings: {
    wrong: 'of the devices that a process may have open only the first counts as held',
    from: 16,
    mutation: {
      observer: (observer) =>
        changing(observer, (seen) => ({
          ...seen,
          holders: seen.holders.filter(({ who }, at) => seen.holders.findIndex((other) => other.who === who) === at),
        })),
    },
  },
  unreadableIsFree: {
    wrong: 'a source of proof that cannot be read proves that nothing is in use',
    from: 4,
    mutation: { files: readingNothing },
  },
  stuckIsFailed: {
    wrong: 'a write that does not return is rolled back',
    from: 16,
    mutation: { worker: impatient },
  },
};

function withLog(files: Files, change: (log: LogFile, path: string) => LogFile): Files {
  return { ...files, openLog: async (path, options) => change(await files.openLog(path, options), path) };
}

function withoutTransactions(text: string): string {
  return /"type":"(Opened|Snapshot)"/.test(text) || !text.includes('{') ? text : '';
}

function withObserve(observer: HostObserver, observe: HostObserver['observe']): HostObserver {
  return {
    get sources() {
      return observer.sources;
    },
    observe,
  };
}

function changing(
  observer: HostObserver,
  change: (seen: HostObservation, request: ObserveRequest) => HostObservation,
): HostObserver {
  return withObserve(observer, async (request) => change(await observer.observe(request), request));
}

/** Only a pass looks; a preflight, which names its devices, gets what the last pass saw. */
function stale(observer: HostObserver): HostObserver['observe'] {
  let last: HostObservation | null = null;
  return async (request) => {
    if (request.alsoInterested !== undefined && last !== null) return last;
    return (last = await observer.observe(request));
  };
}

function withoutForeign(inventory: Inventory, ledger: Ledger): Inventory {
  const devices = [...inventory.devices].map(([address, device]): readonly [string, Device] => {
    if (ledger.entries.has(address)) return [address, device];
    return [address, Object.assign({}, device, { guarded: { ...device.guarded, driverOverride: null } })];
  });
  return { ...inventory, devices: new Map(devices) };
}

function readingNothing(files: Files): Files {
  const proofs = /^\/(proc|run\/udev)\//;
  const orElse = <Value>(path: string, read: () => Value, nothing: Value): Value => {
    try {
      return read();
    } catch (error) {
      if (error instanceof FileError && proofs.test(path)) return nothing;
      throw error;
    }
  };
  return {
    ...files,
    readText: (path, maxBytes) => orElse(path, () => files.readText(path, maxBytes), ''),
    list: (path) => orElse(path, () => files.list(path), []),
  };
}

function writing(worker: KernelWorker, change: (text: string) => string): KernelWorker {
  return withLease(worker, (lease) => ({
    worker: lease.worker,
    write: (path, text, deadline) => lease.write(change(path), change(text), deadline),
    release: () => lease.release(),
  }));
}

function impatient(worker: KernelWorker): KernelWorker {
  return withLease(worker, (lease) => ({
    worker: lease.worker,
    write: async (path, text, deadline) => {
      const outcome = await lease.write(path, text, deadline);
      return outcome.outcome === 'Stuck' ? { outcome: 'Failed', errno: 'ETIMEDOUT' } : outcome;
    },
    release: () => lease.release(),
  }));
}

function withLease(worker: KernelWorker, change: (lease: WorkerLease) => WorkerLease): KernelWorker {
  return {
    lease: async () => change(await worker.lease()),
    read: (paths, deadline) => worker.read(paths, deadline),
    get abandoned() {
      return worker.abandoned;
    },
    close: () => worker.close(),
  };
}
