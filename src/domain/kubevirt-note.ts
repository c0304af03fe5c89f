// What a policy's status says of KubeVirt: a condition that informs and never stalls, with the patch to paste. Pure.
import {
  findPermitProblems,
  type KubeVirtConfig,
  type OfferedResource,
  toPatchCommand,
  toPermitPatch,
} from './kubevirt-permits.ts';
import type { TimelessCondition } from './conditions.ts';

const kubeVirtCondition = 'KubeVirtPermitted';

/** Reasons beside the codes of problems. */
export const kubeVirtReasons = { permitted: 'Permitted', unrestricted: 'Unrestricted' } as const;

/** A longer command is left to `vfio-operator kubevirt patch`. */
const longestCommand = 3000;

/** The condition of one policy that offers `resource` to virtual machines. */
export function toKubeVirtNote(config: KubeVirtConfig, resource: OfferedResource): TimelessCondition {
  const where = `KubeVirt ${config.namespace}/${config.name}`;
  const problems = findPermitProblems(config, [resource]);
  const [worst] = problems;
  if (config.permitted === null)
    return note(
      'True',
      kubeVirtReasons.unrestricted,
      `${where} has no permittedHostDevices, so it permits every resource`,
    );
  if (worst === undefined)
    return note('True', kubeVirtReasons.permitted, `${where} permits ${resource.name} and leaves it to us`);
  const said = `${where}: ${resource.name} ${problems.map(({ message }) => message).join('; and ')}.`;
  return note('False', worst.code, `${said} ${cureOf(config, resource)}`);
}

function cureOf(config: KubeVirtConfig, resource: OfferedResource): string {
  if (config.owner !== null) return `It is made from ${config.owner}: change permittedHostDevices there.`;
  const patch = toPermitPatch(config, [resource]);
  if (patch.length === 0) return 'The entry needs the id of a device: apply it when a node offers one.';
  const command = toPatchCommand(config, patch);
  return command.length > longestCommand ? 'vfio-operator kubevirt patch prints the cure.' : `Cure: ${command}`;
}

function note(status: TimelessCondition['status'], reason: string, message: string): TimelessCondition {
  return { type: kubeVirtCondition, status, reason, message };
}
