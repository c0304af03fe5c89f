// Who had what open when the host was last looked at, whoever looked: a pass that has just begun already, not only one that has ended.
import type { HostObserver } from '../host/observe-host.ts';
import type { Holder } from '../domain/ledger.ts';

/** An observer that remembers the holders of its last look. */
export interface SeenHolders {
  readonly observer: HostObserver;
  /** Which process had one of these open, e.g. `process qemu-system-x86 (4711) has /dev/vfio/12 open`; null: none was seen. */
  processHolding(addresses: readonly string[]): string | null;
}

/** Wraps `observer`. */
export function rememberHolders(observer: HostObserver): SeenHolders {
  let holders: readonly Holder[] = [];
  return {
    observer: {
      get sources() {
        return observer.sources;
      },
      async observe(options) {
        const observation = await observer.observe(options);
        holders = observation.holders;
        return observation;
      },
    },
    processHolding: (addresses) =>
      holders.find((one) => one.code === 'HeldByProcess' && addresses.includes(one.address))?.who ?? null,
  };
}
