// The alias algorithm: of all entries that match a device's modalias with `vfio_` in front, the one with the fewest `*` names the
// module. Blacklisted modules and modules that are no VFIO drivers are passed over, and everything weighed is kept as evidence.
import { buildAliasTable, compareCandidates } from './alias-table.ts';
import type { AliasTable } from './alias-table.ts';
import { genericDrivers } from './bus-catalog.ts';
import type { Bus, Device } from './device.ts';
import type { AliasEntry, Candidate, DriverChoice, ModuleCatalog, RejectedCandidate } from './driver-choice.ts';

/**
 * Chooses the VFIO module for one device.
 *
 * `options.policyAliases` are the policy's own entries (origin `policy`); they compete with the table's by the same order.
 * Where no usable entry matches (kernels before 5.15, buses without `vfio_` aliases), the bus's generic module serves and
 * `fallback` is true; `chosen` then has an empty pattern and is not among `candidates`. If that module is missing or blacklisted
 * too, it is the last of `rejected` and `chosen` is null. A chosen module may still have state `Missing`: an alias of a module that
 * is not installed is a fault to report, not to paper over with a lesser driver.
 */
export function chooseDriver(
  device: Pick<Device, 'bus' | 'modalias'>,
  table: AliasTable,
  catalog: ModuleCatalog,
  options: { readonly policyAliases: readonly AliasEntry[] },
): DriverChoice {
  const lookup = device.modalias === null ? null : `vfio_${device.modalias}`;
  const candidates: Candidate[] = [];
  const rejected: RejectedCandidate[] = [];
  for (const candidate of lookup === null ? [] : findCandidates(lookup, table, options.policyAliases)) {
    const reason = rejectionReason(candidate, catalog);
    if (reason === null) candidates.push(candidate);
    else rejected.push({ ...candidate, reason });
  }
  const [best] = candidates;
  if (best !== undefined) {
    const tie = candidates.some((other) => other.module !== best.module && other.wildcards === best.wildcards);
    return { lookup, candidates, rejected, chosen: best, fallback: false, tie };
  }
  const generic = genericCandidate(device.bus);
  const reason = fallbackProblem(generic.module, catalog);
  if (reason !== null) rejected.push({ ...generic, reason });
  const chosen = reason === null ? generic : null;
  return { lookup, candidates, rejected, chosen, fallback: chosen !== null, tie: false };
}

/** Tables of policies' aliases, by the list they were built from: one policy serves many devices. */
const policyTables = new WeakMap<readonly AliasEntry[], AliasTable>();

function findCandidates(lookup: string, table: AliasTable, policyAliases: readonly AliasEntry[]): Candidate[] {
  const found = table.match(lookup);
  if (policyAliases.length === 0) return found;
  const policyTable = policyTables.get(policyAliases) ?? buildAliasTable(policyAliases);
  policyTables.set(policyAliases, policyTable);
  const declared = policyTable.match(lookup);
  return declared.length === 0 ? found : [...declared, ...found].sort(compareCandidates);
}

function rejectionReason(candidate: Candidate, catalog: ModuleCatalog): string | null {
  const { module, source, line } = candidate;
  const facts = catalog.modules.get(module);
  if (facts === undefined) return `${source}:${line} names module ${module}, of which this host shows nothing`;
  if (facts.blacklistedBy !== null) return `module ${module} is blacklisted in ${facts.blacklistedBy}`;
  if (facts.isVfio || facts.state === 'Missing') return null;
  return `${source}:${line} names module ${module}, which is no VFIO driver: it does not depend on the VFIO core`;
}

function fallbackProblem(module: string, catalog: ModuleCatalog): string | null {
  const facts = catalog.modules.get(module);
  if (facts === undefined || facts.state === 'Missing') {
    return `no usable alias matches, and the generic module ${module} is not on this host`;
  }
  if (facts.blacklistedBy === null) return null;
  return `no usable alias matches, and the generic module ${module} is blacklisted in ${facts.blacklistedBy}`;
}

/** Stands for the bus's generic driver where no entry named it: the empty pattern says that no alias was matched. */
function genericCandidate(bus: Bus): Candidate {
  const source = `generic VFIO driver of bus ${bus}`;
  return { pattern: '', module: genericDrivers[bus].module, origin: 'builtin', source, line: 0, wildcards: 0 };
}
