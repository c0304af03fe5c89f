// Policies from a directory of files: the node is what the flags say, and its state stays in the state directory.
import type { InvalidPolicy } from '../domain/node-state.ts';
import type { DocumentProblem } from '../kube/policy-documents.ts';
import type { AgentMetrics } from '../runtime/agent-metrics.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import type { AgentConfig } from './config.ts';
import type { PolicyOrigin } from './policy-origin.ts';

export interface FilesOriginParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly directory: string;
  readonly config: Pick<AgentConfig, 'state' | 'nodeName' | 'nodeLabels' | 'nodeAddresses' | 'apiServers'>;
}

export function createFilesOrigin({
  files,
  clock,
  logger,
  metrics,
  directory,
  config,
}: FilesOriginParts): PolicyOrigin {
  let invalidPolicies: readonly InvalidPolicy[] = [];
  const noteProblems = (problems: readonly DocumentProblem[]): void => {
    invalidPolicies = problems.map(toInvalidPolicy);
    for (const problem of problems) logger.error({ ...problem }, 'policy file has a problem');
  };
  return {
    node: { name: config.nodeName, labels: config.nodeLabels },
    network: { nodeAddresses: config.nodeAddresses, endpoints: config.apiServers },
    async open(onChange) {
      // The YAML parser costs 5 MB, and an agent that reads its policies from a cluster needs none.
      const { openPolicyDirectory } = await import('./policy-directory.ts');
      const opened = await openPolicyDirectory({
        files,
        clock,
        directory,
        keptFile: `${config.state}/policies`,
        onChange: (snapshot) => {
          noteProblems(snapshot.problems);
          metrics.setPoliciesKnown(snapshot.set.complete);
          onChange();
        },
      });
      noteProblems(opened.current.problems);
      metrics.setPoliciesKnown(opened.current.set.complete);
      return {
        get current() {
          return opened.current.set;
        },
        close: () => opened.close(),
      };
    },
    get invalidPolicies() {
      return invalidPolicies;
    },
    conditions: [],
    mayTell: () => true,
    publish: () => undefined,
    notePass: () => undefined,
    noteFailedPass: () => undefined,
    noteOutcome: () => undefined,
  };
}

function toInvalidPolicy({ file, line, path, message }: DocumentProblem): InvalidPolicy {
  return {
    name: file,
    uid: null,
    generation: 0,
    message: `${file}:${line}: ${path === '' ? '' : `${path}: `}${message}`,
  };
}
