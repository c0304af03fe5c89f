// What plan() answers: exactly one decision for every device of interest, with the evidence, and the transactions to run.
import type { DecisionKind, Finding, HoldCode, RefusalCode } from './codes.ts';
import type { DriverChoice } from './driver-choice.ts';
import type { Transaction } from './step.ts';

/** A device's place in the plan. */
export type DecisionRole = 'Selected' | 'Companion' | 'PhysicalFunction';

/** The verdict on one device. */
export interface Decision {
  readonly address: string;
  readonly kind: DecisionKind;
  readonly role: DecisionRole;
  /** The policy it is for; for a release the one it was taken for. */
  readonly policy: string | null;
  /** The resource it is to be advertised in; null when it is not (companions, PFs, policies without a resource). */
  readonly resource: string | null;
  /** Why it is refused or held; null otherwise. */
  readonly code: RefusalCode | HoldCode | null;
  /** One sentence for a person: what, the proof, and for a refusal what would cure it. */
  readonly message: string;
  readonly driverNow: string | null;
  /** The driver (or, before its module is loaded, the module) it shall have. */
  readonly driverWanted: string | null;
  /** The alias evidence; null where a policy names the driver or none is wanted. */
  readonly choice: DriverChoice | null;
  readonly iommuGroup: number | null;
  /** Everything found on the host about this device, also what the policy allows. */
  readonly findings: readonly Finding[];
  /** Policies that wanted it too and lost, each with a sentence. */
  readonly losers: readonly { readonly policy: string; readonly why: string }[];
}

/** The whole plan. All lists are sorted: decisions by address, transactions by key. */
export interface Plan {
  readonly decisions: readonly Decision[];
  readonly transactions: readonly Transaction[];
  /** What DryRun policies would do, planned in a second pass as if they were enforced beside the others. */
  readonly dryRun: readonly Decision[];
  /** Policies that cannot be planned as a whole, e.g. conflicting `resource` fields. */
  readonly policyProblems: readonly { readonly policy: string; readonly code: 'Conflict'; readonly message: string }[];
}
