// The plan: one decision per device, with the proofs of what is refused. Made by the function that the agent calls, and only printed.
import { classNameOf } from '../../cli/class-names.ts';
import { describeRole, toKindCell } from '../../cli/render-decisions.ts';
import { renderTable } from '../../cli/render-table.ts';
import type { Cell } from '../../cli/render-table.ts';
import type { Decision } from '../../domain/decision.ts';
import type { Inventory } from '../../domain/device.ts';
import { describeStep } from '../../domain/step.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { policyDirectory } from '../demo-policies.ts';
import { wrap } from '../narrator.ts';
import { rehearse } from '../rehearse.ts';

/** Plans, writes nothing. `planned`: keys of the transactions that the agent should carry out first. */
export async function showPlan({
  stage,
  paint,
}: Telling): Promise<{ readonly chapter: Chapter; readonly planned: readonly string[] }> {
  const before = stage.control.snapshot();
  const { plan, input } = await rehearse(stage, policyDirectory);
  const { decisions, transactions } = plan;
  const refused = decisions.filter(({ kind }) => kind === 'Refused');
  const first = transactions.find(({ members }) =>
    members.some(({ identity }) => identity.address === demoAddresses.gpu),
  );
  const codes = Object.fromEntries(refused.map(({ address, code }) => [address, code]));
  const chapter: Chapter = {
    name: 'Plan',
    title: 'What the agent would do',
    parts: [
      {
        says:
          'Before anything is written there is a plan: exactly one decision for every device that a policy matches. The agent first ' +
          'looks at what the node lives on: mounts, routes, consoles, open files.',
      },
      { shows: renderDecisionTable(decisions, input.inventory, paint) },
      { says: 'What is refused, and the proof:' },
      {
        shows: refused
          .map(
            ({ address, code, message, findings }) =>
              `${paint('bold', address)} ${paint('bad', code ?? '')}\n` +
              [
                wrap(message, 84),
                ...findings.flatMap(({ proof }) => (message.startsWith(proof) ? [] : [`also: ${proof}`])),
              ]
                .flatMap((text) => text.split('\n'))
                .map((line) => `  ${line}`)
                .join('\n'),
          )
          .join('\n'),
      },
      {
        says:
          `${transactions.length} transactions would follow, each for one IOMMU group and done whole or undone. This is the one for the ` +
          'GPU:',
      },
      { shows: (first?.steps ?? []).map((step, index) => `${index + 1}. ${describeStep(step)}`).join('\n') },
    ],
    checks: [
      check('the drive under / and the network card with the default route are refused, and only they', codes, {
        [demoAddresses.rootDisk]: 'RootStorage',
        [demoAddresses.uplink]: 'PrimaryNetwork',
      }),
      check(
        'each refusal has a proof',
        refused.filter(({ findings }) => findings.length === 0),
        [],
      ),
      check('planning changed nothing in the kernel', stage.control.snapshot(), before),
    ],
  };
  return { chapter, planned: transactions.map(({ key }) => key) };
}

const header = ['DEVICE', 'WHAT', 'DECISION', 'DRIVER', 'WANTED', 'POLICY'];

function renderDecisionTable(decisions: readonly Decision[], { devices }: Inventory, paint: Telling['paint']): string {
  const rows = decisions.map((decision): readonly Cell[] => {
    const { address, kind, code, role, driverNow, driverWanted, policy } = decision;
    const keeps = role === 'PhysicalFunction' ? 'keeps it, makes VFs' : (driverWanted ?? '');
    return [
      address,
      classNameOf(devices.get(address)?.classCode ?? '') ?? '',
      code === null ? toKindCell(kind) : { text: `${kind} ${code}`, tone: 'bad' },
      driverNow ?? '',
      kind === 'Refused' ? '' : keeps,
      role === 'Companion' ? `${policy ?? ''} (${describeRole(decision)})` : (policy ?? ''),
    ];
  });
  return renderTable(header, rows, paint);
}
