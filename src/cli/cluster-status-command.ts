// `status --cluster`: the policies and the nodes of a cluster on one screen, as their statuses have them.
import type { Condition, VfioNodeState, VfioPolicy } from '../api/generated/types.ts';
import type { ApiConnection } from '../kube/api-connection.ts';
import { type CliParts, type OutputFormat, printAnswer } from './cli-parts.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import { askCluster, type ClusterChoice, listAll } from './read-cluster.ts';
import { type Cell, renderTable } from './render-table.ts';
import { joinSections } from './render-unread.ts';
import type { Paint } from './terminal.ts';

export interface ClusterStatusOptions extends ClusterChoice {
  readonly output: OutputFormat;
}

/** What `-o json` prints: the documents as the API server has them. */
interface ClusterAnswer {
  readonly policies: readonly VfioPolicy[];
  readonly nodes: readonly VfioNodeState[];
}

/** The command. */
export async function runClusterStatus(options: ClusterStatusOptions, parts: CliParts): Promise<ExitCode> {
  const answer = await askCluster(parts.openCluster, options, readCluster);
  await printAnswer(parts, options.output, answer, () => render(answer, parts.terminal.paint));
  return exitCodes.ok;
}

async function readCluster(connection: ApiConnection): Promise<ClusterAnswer> {
  const group = '/apis/vfio-operator.dev/v1alpha1';
  const policies = await listAll(connection, `${group}/vfiopolicies`, (object) => object as unknown as VfioPolicy);
  const nodes = await listAll(connection, `${group}/vfionodestates`, (object) => object as unknown as VfioNodeState);
  if (policies === null || nodes === null)
    throw new CommandFailed(exitCodes.failure, 'this cluster does not know VfioPolicy: the operator is not installed');
  return { policies, nodes };
}

function render({ policies, nodes }: ClusterAnswer, paint: Paint): string {
  const policyRows = policies.map((policy): readonly Cell[] => {
    const { nodes: counts, devices, observedGeneration } = policy.status ?? {};
    const current = observedGeneration === policy.metadata.generation;
    return [
      policy.metadata.name,
      policy.spec.mode ?? 'Enforce',
      policy.spec.resource?.name ?? '',
      `${counts?.ready ?? 0}/${counts?.matched ?? 0}`,
      String(devices?.bound ?? 0),
      ...readyCells(current ? policy.status?.conditions : undefined),
    ];
  });
  const nodeRows = nodes.map(({ metadata, status }): readonly Cell[] => [
    metadata.name,
    status?.kernel?.release ?? '',
    String(status?.counts?.bound ?? 0),
    (status?.resources ?? []).map(({ name, healthy, capacity }) => `${name} ${healthy}/${capacity}`).join(', '),
    ...readyCells(status?.conditions),
  ]);
  const problems = policies.flatMap(({ metadata, status }) =>
    (status?.problems ?? []).map(({ node, device, code, message }): readonly Cell[] => [
      metadata.name,
      node,
      device ?? '',
      code ?? '',
      message,
    ]),
  );
  return joinSections([
    policyRows.length === 0
      ? 'There is no policy.'
      : renderTable(['POLICY', 'MODE', 'RESOURCE', 'NODES', 'BOUND', 'READY', 'WHY'], policyRows, paint),
    nodeRows.length === 0
      ? 'No agent has written a node state.'
      : renderTable(['NODE', 'KERNEL', 'BOUND', 'RESOURCES', 'READY', 'WHY'], nodeRows, paint),
    problems.length === 0 ? '' : renderTable(['POLICY', 'NODE', 'DEVICE', 'CODE', 'PROBLEM'], problems, paint),
  ]);
}

/** Whether it is ready and why; nothing known is `Unknown`. */
function readyCells(conditions: readonly Condition[] | undefined): readonly Cell[] {
  const ready = conditions?.find(({ type }) => type === 'Ready');
  const stalled = conditions?.some(({ type, status }) => type === 'Stalled' && status === 'True') ?? false;
  if (ready === undefined) return [{ text: 'Unknown', tone: 'warn' }, 'no status for this generation yet'];
  const tone = ready.status === 'True' ? 'good' : stalled ? 'bad' : 'warn';
  return [{ text: ready.status, tone }, `${ready.reason}: ${ready.message}`];
}
