// Where policies come from, what this node is to them, and who hears of what became of them: a directory of files, or a cluster.
import type { VfioNodeState } from '../api/generated/types.ts';
import type { TimelessCondition } from '../domain/conditions.ts';
import type { InvalidPolicy } from '../domain/node-state.ts';
import type { NodeIdentity } from '../domain/plan-input.ts';
import type { Transaction } from '../domain/step.ts';
import type { NetworkHints } from '../host/proof/host-network.ts';
import type { ApplyOutcome } from './apply-context.ts';
import type { KubeletSide } from './kubelet-side.ts';
import type { PassReport } from './reconcile.ts';
import type { PolicySource } from './start-agent.ts';

/** All of it is live: read it when it is needed, keep no copy. */
export interface PolicyOrigin {
  readonly node: NodeIdentity;
  /** Addresses of this node, and API servers, whose interfaces must stay. */
  readonly network: Pick<NetworkHints, 'nodeAddresses' | 'endpoints'>;
  /** Opens; called once, by the owner of the state directory. Never waits for anything but the local disk. */
  open(onChange: () => void): Promise<PolicySource>;
  /** What is wrong with policies now. */
  readonly invalidPolicies: readonly InvalidPolicy[];
  readonly conditions: readonly TimelessCondition[];
  /** False while the first answers are still waited for: a node state would only say that nothing is known yet. */
  mayTell(kubelet: KubeletSide): boolean;
  publish(state: VfioNodeState): void;
  notePass(report: PassReport, kubelet: KubeletSide): void;
  noteFailedPass(problem: string): void;
  noteOutcome(transaction: Transaction, outcome: ApplyOutcome): void;
}
