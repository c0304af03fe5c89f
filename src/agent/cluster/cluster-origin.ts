// The cluster: policies and labels come from the API server, the node state and events go there. What the agent does never waits for it.
import type { VfioNodeState } from '../../api/generated/types.ts';
import type { InvalidPolicy } from '../../domain/node-state.ts';
import { toBits } from '../../host/proof/net-tables.ts';
import type { ApiConnection } from '../../kube/api-connection.ts';
import { startReflector } from '../../kube/reflector.ts';
import type { AgentMetrics } from '../../runtime/agent-metrics.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Clock, Files, Random } from '../../runtime/ports.ts';
import type { AgentConfig } from '../config.ts';
import { openNodeStateFile } from '../node-state-file.ts';
import type { PolicyOrigin } from '../policy-origin.ts';
import type { PolicySource } from '../start-agent.ts';
import { openClusterSource, type ClusterSnapshot, type ClusterSource } from './cluster-source.ts';
import { createEventRecorder, type EventRecorder } from './event-recorder.ts';
import { createNarrator, type Narrator } from './narrate.ts';
import type { NodeEvent } from './node-event.ts';
import { createNodeStatePublisher, nodeStatesPath, type NodeStatePublisher } from './publish-node-state.ts';

export interface ClusterOriginParts {
  readonly connection: ApiConnection;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly config: Pick<AgentConfig, 'state' | 'nodeName' | 'nodeAddresses' | 'apiServers'>;
}

/** How long, in milliseconds, a restarted agent says nothing while kubelet has not taken its resources. */
const patience = 10_000;

interface Opened {
  readonly source: ClusterSource;
  readonly publisher: NodeStatePublisher;
  readonly recorder: EventRecorder;
  readonly narrator: Narrator;
}

export function createClusterOrigin(parts: ClusterOriginParts): PolicyOrigin {
  const { connection, clock, config, metrics } = parts;
  const name = config.nodeName;
  let opened: Opened | null = null;
  let told = false;
  const started = clock.monotonic();
  const snapshot = (): ClusterSnapshot | null => opened?.source.current ?? null;
  const invalid = (): readonly InvalidPolicy[] => snapshot()?.invalid ?? [];
  const tell = (events: readonly NodeEvent[]): void => {
    for (const event of events) opened?.recorder.record(event);
  };
  return {
    node: {
      name,
      get labels() {
        return snapshot()?.node?.labels ?? {};
      },
    },
    network: {
      get nodeAddresses() {
        const known = snapshot()?.node?.addresses ?? [];
        return [...new Set([...config.nodeAddresses, ...known.filter((address) => toBits(address) !== null)])];
      },
      get endpoints() {
        const { host, port } = connection.server;
        return toBits(host) === null ? config.apiServers : [...config.apiServers, { address: host, port }];
      },
    },
    open(onChange) {
      const { source, ...rest } = openAll(parts, onChange);
      opened = { source, ...rest };
      metrics.watchApi({
        sent: connection.sent,
        get currentAt() {
          return source.currentAt;
        },
      });
      const policySource: PolicySource = {
        get current() {
          return source.current.set;
        },
        async close() {
          rest.close();
          await source.close();
          connection.close();
        },
      };
      return Promise.resolve(policySource);
    },
    get invalidPolicies() {
      return invalid();
    },
    conditions: [],
    mayTell({ resources }) {
      if (opened?.source.heard !== true) return false;
      // Kubelet takes a moment to come back to a restarted agent, and a state that says so would be two writes for nothing.
      told ||= clock.monotonic() - started >= patience || resources.every(({ registered }) => registered);
      return told;
    },
    publish: (state: VfioNodeState) => opened?.publisher.publish(state),
    notePass({ plan, policies }, { resources }) {
      if (opened?.source.heard !== true) return;
      tell(opened.narrator.tell({ plan, policies, invalidPolicies: invalid(), resources }, clock.monotonic()));
    },
    noteFailedPass: (problem) => tell(opened?.narrator.tellFailure(problem, clock.monotonic()) ?? []),
    noteOutcome: (transaction, outcome) => opened?.narrator.noteOutcome(transaction, outcome),
  };
}

function openAll(
  { connection, files, clock, random, logger, metrics, config }: ClusterOriginParts,
  onChange: () => void,
): Opened & { close(): void } {
  const { nodeName, state } = config;
  const noteChange = createChangeLog(logger, metrics);
  const source = openClusterSource({
    connection,
    files,
    clock,
    random,
    nodeName,
    keptFile: `${state}/cluster`,
    onChange: (snapshot) => {
      noteChange(snapshot);
      publisher.noteOwner();
      onChange();
    },
  });
  noteChange(source.current);
  const publisher = createNodeStatePublisher({
    connection,
    clock,
    random,
    nodeName,
    ownerUid: () => source.current.liveNodeUid,
    onProblem: (problem) => {
      if (problem === null) logger.info({}, 'the node state is written to the API server');
      else logger.warn({ problem }, 'the node state cannot be written to the API server; it is tried again');
    },
  });
  // Only to notice that somebody deleted it; what it says is ours to know.
  const own = startReflector({
    connection,
    clock,
    random,
    path: nodeStatesPath,
    fieldSelector: `metadata.name=${nodeName}`,
    keep: ({ metadata: { uid } }) => uid,
    onChange: () => {
      if (own.state.items?.has(nodeName) === false) publisher.noteMissing();
    },
  });
  const recorder = createEventRecorder({
    connection,
    clock,
    random,
    nodeName,
    stateUid: () => own.state.items?.get(nodeName) ?? null,
    nodeUid: () => source.current.node?.uid ?? null,
    onEvent: (outcome, event, why) => {
      metrics.observeEvent(event.reason, outcome);
      if (outcome === 'Dropped') logger.info({ ...event, why }, 'an event was not written');
    },
  });
  const narrator = createNarrator(openNodeStateFile(files, `${state}/node-state.json`).before);
  return {
    source,
    publisher,
    recorder,
    narrator,
    close() {
      own.close();
      publisher.close();
      recorder.close();
    },
  };
}

/** Says what is known of the policies, once per change. */
function createChangeLog(logger: Logger, metrics: AgentMetrics): (snapshot: ClusterSnapshot) => void {
  let why: string | null | undefined;
  let keeping: string | null = null;
  const invalid = new Set<string>();
  return ({ set, invalid: now, keepingProblem }) => {
    metrics.setPoliciesKnown(set.complete);
    if (set.why !== why) {
      if (set.why === null) logger.info({ policies: set.policies.length }, 'the policies are known');
      else logger.warn({ why: set.why }, 'the policies are not completely known; nothing is released');
    }
    if (keepingProblem !== keeping && keepingProblem !== null)
      logger.error({ problem: keepingProblem }, keepingProblem);
    for (const { name, generation, message } of now) {
      const key = `${name} ${generation} ${message}`;
      if (!invalid.has(key))
        logger.error({ policy: name, generation, message }, 'a policy is not valid for this agent');
      invalid.add(key);
    }
    const still = new Set(now.map(({ name, generation, message }) => `${name} ${generation} ${message}`));
    for (const key of invalid) if (!still.has(key)) invalid.delete(key);
    why = set.why;
    keeping = keepingProblem;
  };
}
