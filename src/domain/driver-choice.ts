// Types of the alias algorithm's evidence: where an entry came from, every candidate in order, and what was chosen.

/** Where an alias entry was read. */
export type AliasOrigin = 'file' | 'builtin' | 'modprobe.d' | 'policy';

/** One alias entry, as read. */
export interface AliasEntry {
  readonly pattern: string;
  /** Module name in underscore form. */
  readonly module: string;
  readonly origin: AliasOrigin;
  /** File (or policy) it stands in. */
  readonly source: string;
  /** Line in that source, from 1; 0 where lines have no meaning (builtin records, policies: the record's index). */
  readonly line: number;
}

/** An entry that matches a device. */
export interface Candidate extends AliasEntry {
  /** Number of `*` in the pattern: fewer is more specific. */
  readonly wildcards: number;
}

/** A candidate that was passed over, and why: blacklisted, or not a VFIO driver. */
export interface RejectedCandidate extends Candidate {
  readonly reason: string;
}

/** Outcome of the algorithm for one device. */
export interface DriverChoice {
  /** What was looked up: the modalias with `vfio_` in front; null where the device has none. */
  readonly lookup: string | null;
  /** Best first, in the documented total order. */
  readonly candidates: readonly Candidate[];
  readonly rejected: readonly RejectedCandidate[];
  readonly chosen: Candidate | null;
  /** The bus's generic driver serves because no entry matches (kernels before 5.15, other buses). */
  readonly fallback: boolean;
  /** Another candidate has as few wildcards as the chosen one. */
  readonly tie: boolean;
}

/** What is known of a kernel module, as far as it concerns VFIO. */
export interface ModuleFacts {
  /** Underscore form. */
  readonly name: string;
  /** `Loaded` and `BuiltIn` are there now; `Available` can be loaded; `Missing` has no file. */
  readonly state: 'Loaded' | 'BuiltIn' | 'Available' | 'Missing';
  /** Its blacklist line as `file:line`, null when not blacklisted. */
  readonly blacklistedBy: string | null;
  /** Depends on the VFIO core by modules.dep (directly or not), or is built in and has a `vfio` alias or driver. */
  readonly isVfio: boolean;
  /** Drivers it has registered, from /sys/module/NAME/drivers; empty while it is not there. */
  readonly drivers: readonly { readonly bus: string; readonly name: string }[];
}

/** The modules that matter: every module of an alias entry, the generic ones, those that policies name, and drivers' modules. */
export interface ModuleCatalog {
  readonly modules: ReadonlyMap<string, ModuleFacts>;
  /** Module of a registered driver, keyed `bus:driver`; absent for drivers without a module. */
  readonly moduleOfDriver: ReadonlyMap<string, string>;
  /** The agent may load modules (false on hosts that forbid it, then a missing module is a refusal). */
  readonly mayLoad: boolean;
}
