// Decisions and transactions for a person: one line per device, one line per step.
import type { DecisionKind } from '../domain/codes.ts';
import type { Decision } from '../domain/decision.ts';
import { describeStep, type Transaction } from '../domain/step.ts';
import { indent, renderTable, type Cell } from './render-table.ts';
import type { Paint, Tone } from './terminal.ts';

const header = ['DEVICE', 'DECISION', 'CODE', 'POLICY', 'DRIVER', 'WANTED', 'GROUP', 'RESOURCE', 'WHY'];

const tones: Readonly<Record<DecisionKind, Tone>> = {
  Bind: 'good',
  Bound: 'good',
  Release: 'warn',
  Refused: 'bad',
  Held: 'warn',
  Failed: 'bad',
  Quarantined: 'bad',
  Stuck: 'bad',
  Ignored: 'dim',
};

/** The table of decisions. */
export function renderDecisions(decisions: readonly Decision[], paint: Paint): string {
  return renderTable(
    header,
    decisions.map((decision): readonly Cell[] => [
      decision.address,
      toKindCell(decision.kind),
      decision.code ?? '',
      decision.role === 'Selected' ? (decision.policy ?? '') : `${decision.policy ?? ''} (${describeRole(decision)})`,
      decision.driverNow ?? '',
      decision.driverWanted ?? '',
      decision.iommuGroup === null ? '' : String(decision.iommuGroup),
      decision.resource ?? '',
      decision.message,
    ]),
    paint,
  );
}

/** A decision's kind as a cell. */
export function toKindCell(kind: DecisionKind): Cell {
  return { text: kind, tone: tones[kind] };
}

/** The same in running text. */
export function paintKind(kind: DecisionKind, paint: Paint): string {
  return paint(tones[kind], kind);
}

/** The device's part in its policy, in words. */
export function describeRole({ role }: Pick<Decision, 'role'>): string {
  switch (role) {
    case 'Selected':
      return 'selected';
    case 'Companion':
      return 'companion';
    case 'PhysicalFunction':
      return 'physical function';
  }
}

/** A transaction with its steps, numbered. */
export function renderTransaction(transaction: Transaction, paint: Paint): string {
  const addresses = transaction.members.map((member) => member.identity.address).join(', ');
  const steps =
    transaction.steps.length === 0
      ? ['nothing is written to the host; the ledger changes']
      : transaction.steps.map((step, index) => `${String(index + 1).padStart(2)}. ${describeStep(step)}`);
  return `${paint('bold', transaction.kind)} ${addresses} (${transaction.key})\n${indent(steps.join('\n'))}`;
}
