// Says what changed, once: one line per decision that is new or different, none when nothing changed.
import type { Decision } from '../domain/decision.ts';
import type { Logger } from '../runtime/logger.ts';

export interface DecisionLog {
  /** Logs what differs from the last call. */
  report(decisions: readonly Decision[]): void;
}

export function createDecisionLog(logger: Logger): DecisionLog {
  let known = new Map<string, string>();
  return {
    report(decisions) {
      const now = new Map<string, string>();
      for (const decision of decisions) {
        const { address, kind, role, code, policy, resource, message, driverNow, driverWanted, iommuGroup } = decision;
        const key = JSON.stringify([kind, code, policy, resource, message]);
        now.set(address, key);
        if (known.get(address) === key) continue;
        const fields = {
          address,
          decision: kind,
          code,
          policy,
          resource,
          driver: driverNow,
          wanted: driverWanted,
          iommuGroup,
        };
        const exposed = kind === 'Bound' && role !== 'PhysicalFunction' && iommuGroup === null;
        if (exposed || kind === 'Failed' || kind === 'Quarantined' || kind === 'Stuck') logger.warn(fields, message);
        else logger.info(fields, message);
      }
      for (const address of known.keys())
        if (!now.has(address)) logger.info({ address, decision: 'None' }, 'no policy wants it, and it is not ours');
      known = now;
    },
  };
}

/** Devices by decision and code, for the metrics. */
export function countDecisions(
  decisions: readonly Decision[],
): readonly { readonly decision: string; readonly code: string; readonly count: number }[] {
  const counts = new Map<string, { readonly decision: string; readonly code: string; count: number }>();
  for (const { kind, code } of decisions) {
    const key = `${kind}/${code ?? ''}`;
    const entry = counts.get(key) ?? { decision: kind, code: code ?? '', count: 0 };
    entry.count += 1;
    counts.set(key, entry);
  }
  return [...counts.values()];
}
