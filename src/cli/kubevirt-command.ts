// `kubevirt patch`: what KubeVirt's configuration lacks for the resources that policies offer to virtual machines, as the command that
// mends it. It changes nothing: the list belongs to whoever keeps the KubeVirt object.
import { digestNodeState } from '../domain/policy-status-digest.ts';
import {
  findPermitProblems,
  type KubeVirtConfig,
  type OfferedResource,
  type PatchOperation,
  type PermitProblem,
  toPatchCommand,
  toPermitPatch,
} from '../domain/kubevirt-permits.ts';
import { parseKubeVirt } from '../domain/parse-kubevirt.ts';
import { parsePolicy } from '../domain/parse-policy.ts';
import type { VfioNodeState, VfioPolicy } from '../api/generated/types.ts';
import type { ApiConnection } from '../kube/api-connection.ts';
import { type CliParts, type OutputFormat, printAnswer } from './cli-parts.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import { askCluster, type ClusterChoice, listAll } from './read-cluster.ts';

export interface KubeVirtPatchOptions extends ClusterChoice {
  readonly output: OutputFormat;
}

/** What `-o json` prints. */
interface KubeVirtAnswer {
  readonly kubeVirt: string;
  readonly owner: string | null;
  /** False: it has no permittedHostDevices, and permits everything. */
  readonly restricts: boolean;
  readonly resources: readonly OfferedResource[];
  readonly problems: readonly PermitProblem[];
  readonly patch: readonly PatchOperation[];
}

/** The command. `ok` also where there is something to mend. */
export async function runKubeVirtPatch(options: KubeVirtPatchOptions, parts: CliParts): Promise<ExitCode> {
  const { config, resources } = await askCluster(parts.openCluster, options, readCluster);
  const answer: KubeVirtAnswer = {
    kubeVirt: `${config.namespace}/${config.name}`,
    owner: config.owner,
    restricts: config.permitted !== null,
    resources,
    problems: findPermitProblems(config, resources),
    patch: toPermitPatch(config, resources),
  };
  await printAnswer(parts, options.output, answer, () => render(answer, config));
  return exitCodes.ok;
}

interface Read {
  readonly config: KubeVirtConfig;
  readonly resources: readonly OfferedResource[];
}

async function readCluster(connection: ApiConnection): Promise<Read> {
  const group = '/apis/vfio-operator.dev/v1alpha1';
  const kubeVirts = await listAll(connection, '/apis/kubevirt.io/v1/kubevirts', parseKubeVirt);
  const config = kubeVirts?.find((one) => one !== null) ?? null;
  if (config === null)
    throw new CommandFailed(exitCodes.failure, 'this cluster has no KubeVirt (kubevirts.kubevirt.io)');
  const names = await listAll(connection, `${group}/vfiopolicies`, (object) =>
    resourceOf(object as unknown as VfioPolicy),
  );
  const offered = await listAll(
    connection,
    `${group}/vfionodestates`,
    (object) => digestNodeState((object as unknown as VfioNodeState).status).offered,
  );
  const wanted = [...new Set((names ?? []).filter((name) => name !== null))].toSorted();
  const resources = wanted.map((name) => ({
    name,
    ids: [...new Set((offered ?? []).flatMap((node) => node.get(name) ?? []))].toSorted(),
  }));
  return { config, resources };
}

/** The resource that a policy offers to KubeVirt; null: none. */
function resourceOf(document: VfioPolicy): string | null {
  const parsed = parsePolicy(document, `VfioPolicy/${document.metadata.name}`);
  if ('problems' in parsed) return null;
  const { resource } = parsed.policy;
  return resource !== null && resource.environment.includes('KubeVirt') ? resource.name : null;
}

/** Comments and one command, so that the whole can be pasted. */
function render(
  { kubeVirt, owner, restricts, resources, problems, patch }: KubeVirtAnswer,
  config: KubeVirtConfig,
): string {
  if (resources.length === 0) return `# No policy offers a resource to KubeVirt ${kubeVirt}.`;
  if (!restricts) return `# KubeVirt ${kubeVirt} has no permittedHostDevices, so it permits every resource.`;
  if (problems.length === 0) return `# KubeVirt ${kubeVirt} permits ${resources.map(({ name }) => name).join(', ')}.`;
  const said = problems.map(({ resource, message }) => `# ${resource} ${message}`);
  const made =
    owner === null ? [] : [`# It is made from ${owner}, which would undo this: change permittedHostDevices there.`];
  const unknown = resources
    .filter(({ ids }) => ids.length === 0)
    .map(({ name }) => `# ${name}: no node offers it yet, so the id of its devices is not known`);
  return [...said, ...unknown, ...made, ...(patch.length === 0 ? [] : [toPatchCommand(config, patch)])].join('\n');
}
