// One device on one screen: what it is, the verdict with its proof and cure, who selects it, its drivers, its group.
import type { Decision } from '../domain/decision.ts';
import { classNameOf } from './class-names.ts';
import type { Explanation } from './explain-command.ts';
import type { PolicyVerdict } from './explain-selection.ts';
import { describeHardware } from './read-hardware.ts';
import { describeRole, paintKind, renderTransaction } from './render-decisions.ts';
import { renderChoice } from './render-match.ts';
import { indent, renderTable, type Cell } from './render-table.ts';
import { joinSections, renderUnread } from './render-unread.ts';
import type { Paint } from './terminal.ts';

/** More would push the answer off the screen. */
const shownUnread = 4;

/** The whole answer of `explain`. */
export function renderExplanation(explanation: Explanation, paint: Paint): string {
  const section = (title: string, text: string): string =>
    text === '' ? '' : `${paint('bold', title)}\n${indent(text)}`;
  const { transaction, group } = explanation;
  return joinSections([
    renderDevice(explanation, paint),
    explanation.assumptions.map((text) => paint('warn', text)).join('\n'),
    section('Verdict', renderVerdict(explanation, paint)),
    section('Policies', renderPolicies(explanation.policies, paint)),
    section('Drivers', renderDrivers(explanation, paint)),
    group === null ? '' : section(`IOMMU group ${group.number}`, renderGroup(explanation, paint)),
    section('What the host shows', renderFindings(explanation, paint)),
    transaction === null ? '' : section('Steps', renderTransaction(transaction, paint)),
    renderUnread(explanation.unread, paint, shownUnread),
  ]);
}

function renderDevice({ device, hardware, ledger, group }: Explanation, paint: Paint): string {
  const className = device.class === null ? null : classNameOf(device.class);
  const id = device.vendor === null ? '' : `  ${device.vendor}:${device.device ?? ''}`;
  const subsystem =
    device.subsystemVendor === null ? '' : ` (subsystem ${device.subsystemVendor}:${device.subsystemDevice ?? ''})`;
  const what = device.class === null ? '' : `  class ${device.class}${className === null ? '' : ` ${className}`}`;
  const places = [
    `bus ${device.bus}`,
    `driver ${device.driver ?? 'none'}`,
    group === null ? 'no IOMMU group' : `IOMMU group ${group.number}`,
    ...(device.numaNode === null ? [] : [`NUMA node ${device.numaNode}`]),
    ...(device.slot === null ? [] : [`slot ${device.slot}`]),
    ...(device.physicalFunction === null ? [] : [`VF of ${device.physicalFunction}`]),
    ...(device.totalVirtualFunctions === 0
      ? []
      : [`${device.virtualFunctions.length} of ${device.totalVirtualFunctions} VFs made`]),
    ...device.interfaces.map((name) => `interface ${name}`),
    ...(device.diskSerial === null ? [] : [`serial ${device.diskSerial}`]),
    ...(device.vfioDevice === null ? [] : [`/dev/vfio/devices/${device.vfioDevice}`]),
  ];
  const ours =
    ledger === null
      ? []
      : [
          `taken for policy ${ledger.policy} from ${ledger.originalDriver ?? 'no driver'}; ${ledger.state}` +
            (ledger.detail === null ? '' : `: ${ledger.detail}`),
        ];
  return [
    `${paint('bold', device.address)}${id}${subsystem}${what}`,
    ...[
      places.join(', '),
      device.modalias ?? 'no modalias',
      ...(hardware === null ? [] : describeHardware(hardware)),
      ...ours,
    ].map((line) => `  ${line}`),
  ].join('\n');
}

function renderVerdict({ decision, dryRun, rehearsal, cure, holders, unproven }: Explanation, paint: Paint): string {
  const lines: string[] = [];
  if (decision !== null) lines.push(describeDecision(decision, cure, paint));
  for (const one of dryRun) lines.push(`Dry run of policy ${one.policy ?? ''}: ${describeDecision(one, cure, paint)}`);
  if (decision === null && dryRun.length === 0)
    lines.push('No policy wants it, and it is not ours: nothing is done to it.');
  if (rehearsal !== null) lines.push(`If a policy named just this device: ${describeDecision(rehearsal, cure, paint)}`);
  if (unproven.length > 0) lines.push(paint('warn', unprovenSentence));
  if (cure !== null) lines.push(`${paint('bold', 'Cure:')} ${cure}`);
  for (const holder of holders) lines.push(`In use: ${holder}`);
  return lines.join('\n');
}

const unprovenSentence =
  'Whether the node lives on it or somebody uses it, a copy cannot show: the agent there takes it only once it has proof that neither is so.';

/** The sentence without the cure, which has a line of its own. */
function describeDecision(decision: Decision, cure: string | null, paint: Paint): string {
  const { code, message, resource } = decision;
  const sentence = cure !== null && message.endsWith(`. ${cure}`) ? message.slice(0, -cure.length - 1) : message;
  const driver =
    decision.driverWanted === null || decision.driverWanted === decision.driverNow
      ? ''
      : ` (${decision.driverNow ?? 'no driver'} → ${decision.driverWanted})`;
  const place = [
    ...(decision.role === 'Selected' ? [] : [`as ${describeRole(decision)}`]),
    ...(resource === null ? [] : [`in resource ${resource}`]),
  ];
  const suffix = place.length === 0 ? '' : ` ${place.join(', ')}`;
  return `${paintKind(decision.kind, paint)}${code === null ? '' : ` ${paint('bold', code)}`}${driver}${suffix}: ${sentence}`;
}

const verdictWords: Readonly<Record<PolicyVerdict['verdict'], string>> = {
  Selected: 'selects it',
  Lost: 'wants it too, and loses',
  Companion: 'takes it along',
  DryRun: 'would select it',
  Excluded: 'excludes it',
  NotSelected: 'does not select it',
  OtherNode: 'is not for this node',
};

function renderPolicies(policies: readonly PolicyVerdict[], paint: Paint): string {
  if (policies.length === 0) return 'None.';
  return policies
    .map(({ policy, source, mode, verdict, why }) => {
      const chosen = verdict === 'Selected' || verdict === 'Companion';
      const dryRun = mode === 'DryRun' ? ', dry run' : '';
      const name = chosen ? paint('good', policy) : policy;
      return `${name} (${source}${dryRun}) ${verdictWords[verdict]}: ${why}`;
    })
    .join('\n');
}

function renderDrivers({ choice }: Explanation, paint: Paint): string {
  return renderChoice(choice, paint)
    .filter((part) => part !== '')
    .join('\n');
}

function renderGroup({ group, device }: Explanation, paint: Paint): string {
  if (group === null) return '';
  const rows = group.members.map((member): readonly Cell[] => [
    member.address === device.address ? { text: member.address, tone: 'bold' } : member.address,
    member.class === null ? '' : `${member.class} ${classNameOf(member.class) ?? ''}`.trimEnd(),
    member.driver ?? '',
    member.decision ?? '',
  ]);
  const table = renderTable(['MEMBER', 'CLASS', 'DRIVER', 'DECISION'], rows, paint);
  const regions = group.directRegions.map((region) => `direct-mapped memory ${region}`);
  return [table, ...regions].join('\n');
}

function renderFindings({ findings, unproven }: Explanation, paint: Paint): string {
  return [
    ...findings.map(({ code, proof, cure }) => `${paint('bad', code)}: ${proof}. ${cure}`),
    ...unproven.map(({ proof }) => `${paint('warn', 'unknown in a copy')}: ${proof}`),
  ].join('\n');
}
