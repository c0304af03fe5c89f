// Joins the agent to where its policies come from: what it asks of the origin, and what it tells it after every pass.
import { createNodeStateReporter, type NodeStateParts } from './report-node-state.ts';
import type { PolicyOrigin } from './policy-origin.ts';
import type { AgentParts } from './start-agent.ts';

type OriginReporter = Omit<NodeStateParts, 'invalidPolicies' | 'mayTell' | 'publish'>;

/** The parts of an agent that have to do with the origin. */
export function connectOrigin(
  origin: PolicyOrigin,
  reporter: OriginReporter,
): Pick<AgentParts, 'node' | 'openPolicies' | 'onPass' | 'onOutcome' | 'onFailedPass'> {
  const reportNodeState = createNodeStateReporter({
    ...reporter,
    extraConditions: () => [...origin.conditions, ...reporter.extraConditions()],
    invalidPolicies: () => origin.invalidPolicies,
    mayTell: (kubelet) => origin.mayTell(kubelet),
    publish: (state) => origin.publish(state),
  });
  return {
    node: origin.node,
    openPolicies: (onChange) => origin.open(onChange),
    async onPass(report, kubelet, ledger) {
      await reportNodeState(report, kubelet, ledger);
      origin.notePass(report, kubelet);
    },
    onOutcome: (transaction, outcome) => origin.noteOutcome(transaction, outcome),
    onFailedPass: (problem) => origin.noteFailedPass(problem),
  };
}
