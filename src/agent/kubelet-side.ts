// What the reconcile loop asks of kubelet's side: offer these pools, say who uses what. Without a kubelet nothing is offered and
// nobody allocates, so only processes can hold devices.
import type { Holder } from '../domain/ledger.ts';
import type { ResourcePool } from '../domain/resource-pool.ts';

/** One resource as kubelet has it. */
export interface ResourceStatus {
  readonly resource: string;
  readonly registered: boolean;
  readonly capacity: number;
  readonly healthy: number;
  readonly lastError: string | null;
}

/** What pods hold. `unreadable`: PodResources cannot be read, so everything on VFIO counts as in use. */
export interface KubeletUse {
  readonly holders: readonly Holder[];
  readonly unreadable: string | null;
}

export interface KubeletSide {
  /** Offers exactly these pools from now on: plugins start, change their list, or withdraw. Allocate goes by them at once. */
  offer(pools: readonly ResourcePool[]): Promise<void>;
  /** The pools as kubelet is told of them: a device whose group is another pod's is unhealthy, with the reason. */
  told(pools: readonly ResourcePool[]): readonly ResourcePool[];
  /** Reads PodResources afresh and joins recent Allocates to it. Never rejects. */
  readUse(): Promise<KubeletUse>;
  readonly resources: readonly ResourceStatus[];
  /** Ends streams and sockets; devices stay bound. */
  stop(): Promise<void>;
}

/** `--kubelet=none`. */
export const noKubelet: KubeletSide = {
  offer: () => Promise.resolve(),
  told: (pools) => pools,
  readUse: () => Promise.resolve({ holders: [], unreadable: null }),
  resources: [],
  stop: () => Promise.resolve(),
};
