// Tells the node state after every pass: built from the pass, written to the state directory when it is another one than before, and
// handed on to whoever else wants it.
import { toNodeState, type InvalidPolicy } from '../domain/node-state.ts';
import type { TimelessCondition } from '../domain/conditions.ts';
import type { VfioNodeState } from '../api/generated/types.ts';
import type { ResourcePool } from '../domain/resource-pool.ts';
import type { InUse, Ledger } from '../domain/ledger.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import type { KubeletSide } from './kubelet-side.ts';
import { openNodeStateFile } from './node-state-file.ts';
import type { PassReport } from './reconcile.ts';

export interface NodeStateParts {
  readonly files: Files;
  readonly clock: Clock;
  /** Path of the file. */
  readonly path: string;
  readonly agentVersion: string;
  readonly hasKubelet: boolean;
  /** What is wrong with policies now. */
  readonly invalidPolicies: () => readonly InvalidPolicy[];
  /** What the agent knows of itself that no pass shows. */
  readonly extraConditions: () => readonly TimelessCondition[];
  /** Whether it is worth telling yet: false while policies and kubelet have yet to answer for the first time. */
  readonly mayTell: (kubelet: KubeletSide) => boolean;
  /** Gets every state, also one that is as before. */
  readonly publish: (state: VfioNodeState) => void;
}

/** The reporter: give it every finished pass. Throws `FileError` when the file cannot be written. */
export function createNodeStateReporter(
  parts: NodeStateParts,
): (report: PassReport, kubelet: KubeletSide, ledger: Ledger) => Promise<void> {
  const file = openNodeStateFile(parts.files, parts.path);
  // A full disk must not make every state a new one.
  let { before } = file;
  return async (report, kubelet, ledger) => {
    if (!parts.mayTell(kubelet)) return;
    const registrations = new Map(
      kubelet.resources.map((resource) => [
        resource.resource,
        {
          registered: resource.registered,
          message: resource.registered ? null : resource.lastError,
          allocated: allocatedIds(report.pools, resource.resource, report.inUse),
        },
      ]),
    );
    const state = toNodeState({
      node: report.node,
      agentVersion: parts.agentVersion,
      inventory: report.observation.inventory,
      plan: report.plan,
      policies: report.policies,
      invalidPolicies: parts.invalidPolicies(),
      ledger,
      inUse: report.inUse,
      pools: report.pools,
      registrations,
      notices: report.observation.notices,
      hasKubelet: parts.hasKubelet,
      extraConditions: parts.extraConditions(),
      before,
      now: parts.clock.now(),
    });
    before = state;
    parts.publish(state);
    await file.write(state);
  };
}

function allocatedIds(pools: readonly ResourcePool[], resource: string, inUse: InUse): readonly string[] {
  const held = new Set(
    inUse.holders.filter((holder) => holder.code !== 'HeldByProcess').map((holder) => holder.address),
  );
  const devices = pools.find((pool) => pool.resource === resource)?.devices ?? [];
  return devices.map((device) => device.id).filter((id) => held.has(id));
}
