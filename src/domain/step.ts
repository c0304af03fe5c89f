// Steps are data: what one write or command does to the host, what is needed to undo it, and how it reads to a person. Undoing goes by
// the states that steps lead from and to (transaction-states.ts), which is right also where nobody knows whether a step took effect.
import type { Bus } from './device.ts';

/**
 * The driver a step aims at. The name is what the kernel compares; it is known only once the module is loaded, so a plan may
 * carry the module alone, and the name is read from /sys/module/MODULE/drivers during the transaction.
 */
export interface DriverTarget {
  readonly module: string | null;
  readonly name: string | null;
}

/** One step. Values named `previous` are what undoing it restores. Loading a module cannot be undone. */
export type Step =
  | { readonly kind: 'LoadModule'; readonly module: string }
  | {
      readonly kind: 'SetOverride';
      readonly bus: Bus;
      readonly address: string;
      readonly driver: DriverTarget | null;
      readonly previous: string | null;
    }
  | { readonly kind: 'Unbind'; readonly bus: Bus; readonly address: string; readonly driver: string }
  | { readonly kind: 'Bind'; readonly bus: Bus; readonly address: string; readonly driver: DriverTarget }
  /** drivers_probe: lets the kernel match again; `expect` is the driver that had it, null when none is expected. */
  | { readonly kind: 'Probe'; readonly bus: Bus; readonly address: string; readonly expect: string | null }
  | { readonly kind: 'SetAutoprobe'; readonly address: string; readonly value: boolean; readonly previous: boolean }
  | {
      readonly kind: 'SetVirtualFunctions';
      readonly address: string;
      readonly count: number;
      readonly previous: number;
    };

/** Who a device was when the plan was made; preflight compares it with who it is now. */
export interface Identity {
  readonly address: string;
  readonly modalias: string | null;
  readonly driver: string | null;
  readonly iommuGroup: number | null;
}

/** What a transaction is for. */
export type TransactionKind = 'Bind' | 'ChangeDriver' | 'Release' | 'CreateVirtualFunctions' | 'RemoveVirtualFunctions';

/** What is done to one device within a transaction, and what the ledger will say of it. */
export interface TransactionMember {
  readonly identity: Identity;
  readonly bus: Bus;
  /** `driver_override` when the plan was made; what a release restores, unless the ledger knows an older one. */
  readonly override: string | null;
  /** `PhysicalFunction`: VFs are made or removed, the PF itself keeps its driver. */
  readonly role: 'Selected' | 'Companion' | 'PhysicalFunction';
  readonly policy: string;
  readonly policyUid: string | null;
  readonly onDelete: 'Restore' | 'Retain';
  /** The resource it is advertised in and kubelet's device id there; null when it is not advertised. The ledger keeps both. */
  readonly resource: string | null;
  readonly deviceId: string | null;
  /** The device was on VFIO before us and is adopted (`allow: NotOurs`); its release leaves it without a driver. */
  readonly adopted: boolean;
  readonly diskSerial: string | null;
  /** What the policy allows of this device's findings; preflight looks for all other codes again. */
  readonly allow: readonly string[];
}

/**
 * The steps for one IOMMU group (or one device without a group, or one PF), run strictly in order or rolled back. Without steps
 * it only changes the ledger: the same driver for another policy, or `Release` under `onDelete: Retain` (the device stays bound).
 */
export interface Transaction {
  /** Stable key: `group:N`, `device:ADDRESS` or `pf:ADDRESS`. Transactions of different keys may run side by side. */
  readonly key: string;
  readonly kind: TransactionKind;
  readonly group: number | null;
  readonly members: readonly TransactionMember[];
  readonly steps: readonly Step[];
}

/** One line for a person, with the write it stands for. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'LoadModule':
      return `modprobe ${step.module}`;
    case 'SetOverride':
      return step.driver === null
        ? `${step.address}: clear driver_override`
        : `${step.address}: driver_override = ${describeTarget(step.driver)}`;
    case 'Unbind':
      return `${step.address}: unbind from ${step.driver}`;
    case 'Bind':
      return `${step.address}: bind to ${describeTarget(step.driver)}`;
    case 'Probe':
      return `${step.address}: drivers_probe${step.expect === null ? '' : ` (expect ${step.expect})`}`;
    case 'SetAutoprobe':
      return `${step.address}: sriov_drivers_autoprobe = ${step.value ? 1 : 0}`;
    case 'SetVirtualFunctions':
      return `${step.address}: sriov_numvfs = ${step.count}`;
  }
}

function describeTarget(target: DriverTarget): string {
  return target.name ?? `the driver of module ${target.module ?? '?'}`;
}
