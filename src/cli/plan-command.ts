// `plan`: what the agent would do on this node now, with every step, and why not where it would not. Plans and prints, no more.
import type { Decision } from '../domain/decision.ts';
import { describeStep, type Transaction } from '../domain/step.ts';
import { printAnswer, type CliParts, type OutputFormat } from './cli-parts.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { lookAtNode, type NodeLook } from './look-at-node.ts';
import type { NodeOptions } from './node-options.ts';
import { renderDecisions, renderTransaction } from './render-decisions.ts';
import { indent } from './render-table.ts';
import { joinSections, renderUnread } from './render-unread.ts';
import type { Paint } from './terminal.ts';

export interface PlanOptions extends NodeOptions {
  readonly output: OutputFormat;
}

/** The command. `ok` whether or not there is anything to do; bad policy files are `usage`. */
export async function runPlan(options: PlanOptions, parts: CliParts): Promise<ExitCode> {
  const look = await lookAtNode(options, parts);
  await printAnswer(parts, options.output, toPlanAnswer(look), () => renderPlan(look, parts.terminal.paint));
  return exitCodes.ok;
}

/** The plan as data: steps carry the sentence that people read. */
export function toPlanAnswer({ input, plan, assumptions, setAside, unread }: NodeLook): object {
  const { decisions, dryRun, policyProblems } = plan;
  return {
    node: input.node.name,
    kernel: input.inventory.kernel.release,
    decisions,
    transactions: plan.transactions.map(toTransactionView),
    dryRun,
    policyProblems,
    assumptions,
    unproven: setAside,
    unread,
  };
}

function toTransactionView({ key, kind, group, members, steps }: Transaction): object {
  return {
    key,
    kind,
    group,
    members: members.map(({ identity, role, policy }) => ({ address: identity.address, role, policy })),
    steps: steps.map((step) => ({ ...step, description: describeStep(step) })),
  };
}

/** The plan for a person. */
export function renderPlan(
  { input, plan, policyOrigin, assumptions, setAside, unread }: NodeLook,
  paint: Paint,
): string {
  const { decisions, transactions, dryRun, policyProblems } = plan;
  const kernel = input.inventory.kernel.release === '' ? 'unknown' : input.inventory.kernel.release;
  const unproven = new Set(setAside.map((finding) => finding.address));
  const table = (rows: readonly Decision[]): string =>
    renderDecisions(
      rows.map((one) => withDoubt(one, unproven)),
      paint,
    );
  const section = (title: string, text: string): string => `${paint('bold', title)}\n${indent(text)}`;
  return joinSections([
    `Node ${input.node.name}, kernel ${kernel}. Policies: ${policyOrigin}.`,
    assumptions.map((text) => paint('warn', text)).join('\n'),
    decisions.length === 0 ? 'No policy of this node wants a device, and none is ours.' : table(decisions),
    transactions.length === 0
      ? 'Nothing to do.'
      : section('Steps', transactions.map((one) => renderTransaction(one, paint)).join('\n')),
    dryRun.length === 0 ? '' : section('Dry run: what these policies would do if they were enforced', table(dryRun)),
    policyProblems.length === 0
      ? ''
      : section(
          'Policies that cannot be planned',
          policyProblems.map(({ policy, code, message }) => `${policy}: ${paint('bad', code)}: ${message}`).join('\n'),
        ),
    renderUnread(unread, paint),
  ]);
}

/** In a copy a plan to bind rests on what nobody could look at. */
function withDoubt(decision: Decision, unproven: ReadonlySet<string>): Decision {
  if (decision.kind !== 'Bind' || !unproven.has(decision.address)) return decision;
  return { ...decision, message: `${decision.message}, once it is proven unused, which a copy cannot show` };
}
