// Everything plan() looks at. It looks at nothing else, so the agent, the dry run, the CLI and the tests all get the same answer.
import type { AliasTable } from './alias-table.ts';
import type { Finding } from './codes.ts';
import type { Inventory } from './device.ts';
import type { ModuleCatalog } from './driver-choice.ts';
import type { InUse, Ledger } from './ledger.ts';
import type { PolicySet } from './policy.ts';

/** A transaction that failed before, keyed by its key. While `due` is false it is not tried again. */
export interface PastFailure {
  readonly message: string;
  /** The back-off has passed. */
  readonly due: boolean;
}

/** The node as the policies' label selectors see it. */
export interface NodeIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface PlanInput {
  readonly node: NodeIdentity;
  readonly inventory: Inventory;
  /** What the host shows about devices of interest and the members of their groups. */
  readonly findings: readonly Finding[];
  readonly aliases: AliasTable;
  readonly catalog: ModuleCatalog;
  readonly policies: PolicySet;
  readonly inUse: InUse;
  readonly ledger: Ledger;
  /** By transaction key. */
  readonly failures: ReadonlyMap<string, PastFailure>;
}
