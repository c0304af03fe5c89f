// A plan as text: what tests compare, since a reader understands lines better than object graphs.
import type { Plan } from '../../src/domain/decision.ts';
import { describeStep } from '../../src/domain/step.ts';

/** One line per decision: address, kind, code, role. Then one block per transaction. */
export function renderPlan(plan: Pick<Plan, 'decisions' | 'transactions'>): string {
  const decisions = plan.decisions.map((decision) =>
    [
      decision.address,
      decision.kind,
      ...(decision.code === null ? [] : [decision.code]),
      ...(decision.role === 'Selected' ? [] : [decision.role]),
      ...(decision.policy === null ? [] : [`(${decision.policy})`]),
    ].join(' '),
  );
  const transactions = plan.transactions.flatMap((transaction) => [
    `${transaction.kind} ${transaction.key}`,
    ...transaction.steps.map((step) => `  ${describeStep(step)}`),
  ]);
  return [...decisions, ...transactions].join('\n');
}
