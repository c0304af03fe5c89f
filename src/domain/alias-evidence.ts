// Why the alias algorithm chose what it chose, told once for all devices of a kind: the whole candidate list with origins.
import type { VfioAliasCandidate, VfioAliasEvidence } from '../api/generated/types.ts';
import { clip } from './clip.ts';
import type { Decision } from './decision.ts';
import type { Inventory } from './device.ts';
import type { Candidate, DriverChoice, RejectedCandidate } from './driver-choice.ts';
import { deviceId } from './node-devices.ts';

const maxIds = 64;
const maxCandidates = 16;
const maxEvidence = 256;

/** One entry for each different outcome, sorted by the devices it is for. */
export function toAliasEvidence(
  decisions: readonly Pick<Decision, 'address' | 'choice'>[],
  inventory: Inventory,
): readonly VfioAliasEvidence[] {
  const outcomes = new Map<string, { readonly outcome: Omit<VfioAliasEvidence, 'ids'>; readonly ids: Set<string> }>();
  const told = new Map<DriverChoice, { readonly outcome: Omit<VfioAliasEvidence, 'ids'>; readonly key: string }>();
  for (const { address, choice } of decisions) {
    const device = inventory.devices.get(address);
    if (choice === null || device === undefined) continue;
    const { outcome, key } = told.get(choice) ?? withKey(toOutcome(choice));
    told.set(choice, { outcome, key });
    const known = outcomes.get(key) ?? { outcome, ids: new Set() };
    known.ids.add(clip(deviceId(device) ?? device.modalias ?? address, 256));
    outcomes.set(key, known);
  }
  return [...outcomes.values()]
    .map(({ outcome, ids }) => ({ ids: [...ids].toSorted().slice(0, maxIds), ...outcome }))
    .toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
    .slice(0, maxEvidence);
}

function withKey<T>(outcome: T): { readonly outcome: T; readonly key: string } {
  return { outcome, key: JSON.stringify(outcome) };
}

function toOutcome({ chosen, fallback, tie, candidates, rejected }: DriverChoice): Omit<VfioAliasEvidence, 'ids'> {
  return {
    ...(chosen === null ? {} : { chosen: clip(chosen.module, 64) }),
    ...(fallback ? { fallback } : {}),
    ...(tie ? { tie } : {}),
    candidates: [...candidates, ...rejected].slice(0, maxCandidates).map(toCandidate),
  };
}

function toCandidate(candidate: Candidate | RejectedCandidate): VfioAliasCandidate {
  const { module, pattern, wildcards, origin, source, line } = candidate;
  return {
    module: clip(module, 64),
    pattern: clip(pattern, 512),
    wildcards,
    origin,
    source: clip(line > 0 ? `${source}:${line}` : source, 512),
    ...('reason' in candidate ? { rejected: clip(candidate.reason, 256) } : {}),
  };
}

function sortKey(evidence: VfioAliasEvidence): string {
  return JSON.stringify([evidence.ids, evidence.chosen ?? '', evidence.candidates]);
}
