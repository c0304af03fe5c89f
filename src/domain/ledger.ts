// The ledger: which devices we took, from which driver, for which policy. It is the fold of the journal and the only source of
// what may be given back: a device that is not in it was not taken by us.
import type { Bus } from './device.ts';

/** How far a device of ours is. */
export type LedgerState =
  /** A transaction began and has not ended: the next agent finishes or undoes it. */
  | 'InTransaction'
  /** Bound and verified, or (PF) its VFs made. */
  | 'Taken'
  /** A kernel call on it has not returned. */
  | 'Stuck'
  /** Could not be undone; a person must look. */
  | 'Quarantined';

/** What we did to a PF to make VFs, so that it can be undone. */
export interface VirtualFunctionRecord {
  /** VFs before we wrote: 0, since existing VFs are used as they are. */
  readonly previousCount: number;
  readonly count: number;
  readonly autoprobe: boolean | null;
}

/** One device of ours. */
export interface LedgerEntry {
  readonly address: string;
  readonly bus: Bus;
  /** Identity when taken. Another identity at the address is never acted on from this record. */
  readonly modalias: string | null;
  readonly diskSerial: string | null;
  /** Boot in which it was taken. A record of another boot is not acted on, but for the StorageHasData exemption. */
  readonly bootId: string;
  readonly originalDriver: string | null;
  readonly originalOverride: string | null;
  /** The VFIO driver we bound it to (driver name, module name); null for a PF. */
  readonly driver: string | null;
  readonly module: string | null;
  readonly role: 'Selected' | 'Companion' | 'PhysicalFunction';
  readonly policy: string;
  readonly policyUid: string | null;
  readonly onDelete: 'Restore' | 'Retain';
  /** The resource it was advertised in when taken, and kubelet's device id there; null when it is not advertised. */
  readonly resource: string | null;
  readonly deviceId: string | null;
  readonly adopted: boolean;
  /** Kept by `onDelete: Retain` after its policy went: bound, ours no longer, never touched again by us. */
  readonly retained: boolean;
  readonly virtualFunctions: VirtualFunctionRecord | null;
  readonly state: LedgerState;
  /** What went wrong (Stuck, Quarantined); null otherwise. */
  readonly detail: string | null;
}

/** Keyed by address. */
export interface Ledger {
  readonly entries: ReadonlyMap<string, LedgerEntry>;
}

export const emptyLedger: Ledger = { entries: new Map() };

/** Who uses a device, from every source; the planner writes nothing to a group with any. */
export interface Holder {
  readonly address: string;
  readonly code: 'HeldByPod' | 'HeldByProcess' | 'RecentlyAllocated';
  /** e.g. `default/vm-1 (compute)`, or `process qemu-system-x86 (4711) has /dev/vfio/12 open`. */
  readonly who: string;
}

/** What is known of use. */
export interface InUse {
  readonly holders: readonly Holder[];
  /** Why PodResources cannot be read: then every device counts as in use for anything that unbinds from VFIO. null: readable, or no kubelet. */
  readonly unreadable: string | null;
}
