// Who had what open when the host was last looked at, whoever looked: a pass that has just begun already, not only one that has ended.
import type { HostObservation, HostObserver } from '../host/observe-host.ts';

/** An observer that remembers the holders of its last look. */
export interface SeenHolders {
  readonly observer: HostObserver;
  /** Which process had a member of the IOMMU group open, e.g. `process qemu-system-x86 (4711) has /dev/vfio/12 open`; null: none was seen. */
  processHolding(group: number): string | null;
}

/** Wraps `observer`. */
export function rememberHolders(observer: HostObserver): SeenHolders {
  let seen: Pick<HostObservation, 'inventory' | 'holders'> | null = null;
  return {
    observer: {
      get sources() {
        return observer.sources;
      },
      async observe(options) {
        const observation = await observer.observe(options);
        seen = observation;
        return observation;
      },
    },
    processHolding: (group) => {
      const members = seen?.inventory.groups.get(group)?.members ?? [];
      const found = seen?.holders.find((one) => one.code === 'HeldByProcess' && members.includes(one.address));
      return found?.who ?? null;
    },
  };
}
