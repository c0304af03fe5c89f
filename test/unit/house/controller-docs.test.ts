// docs/controller.md against the code: every flag, metric, reason and problem has its row, and there is no row of anything else.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { conditionReasons } from '../../../src/api/constants.ts';
import { controllerCommand } from '../../../src/controller/config.ts';
import { kubeVirtReasons } from '../../../src/domain/kubevirt-note.ts';
import { permitCodes } from '../../../src/domain/kubevirt-permits.ts';
import { createControllerMetrics } from '../../../src/runtime/controller-metrics.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/controller.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

/** First cells of the table that follows a heading. */
function firstCells(heading: string): readonly string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell ?? '');
}

it('has every flag with its variable and its default, and no other', () => {
  const { options } = controllerCommand(() => Promise.resolve());
  const flags = new Map(rows.flatMap((cells) => (cells[0]?.startsWith('`--') ? [[cells[0], cells] as const] : [])));
  expect([...flags.keys()].toSorted()).toEqual(options.map((option) => `\`${option.flags}\``).toSorted());
  for (const option of options) {
    const [flag, variable, shown] = flags.get(`\`${option.flags}\``) ?? [];
    expect([flag, variable]).toEqual([`\`${option.flags}\``, `\`${option.envVar}\``]);
    const value: unknown = option.defaultValueDescription ?? option.defaultValue;
    if (typeof value === 'string' && option.long !== '--identity') expect(shown).toBe(`\`${value}\``);
  }
});

it('has every metric with its type, and no other', async () => {
  const text = await createControllerMetrics().text();
  const inCode = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  const inPage = rows
    .filter(([name]) => name?.startsWith('`vfio_operator_'))
    .map(([name, type]) => `${name?.replaceAll('`', '')} ${type}`);
  expect(inPage.toSorted()).toEqual(inCode.toSorted());
});

it('has every reason that a policy can have', () => {
  const nodesOnly = ['ListComplete', 'ListIncomplete', 'EverythingRead', 'SourcesUnread', 'KubeletHasAll'];
  const further = ['NothingToRegister', 'KubeletHasNotAll', 'NoKubelet', 'NoIommuMode'];
  const ofPolicies = Object.values(conditionReasons).filter((reason) => ![...nodesOnly, ...further].includes(reason));
  expect([...firstCells('Reasons')].toSorted()).toEqual(ofPolicies.toSorted());
});

it("has the controller's own problem codes", () => {
  expect(firstCells('Problems').toSorted()).toEqual(['AgentNotReady', 'Outranked', 'PoliciesUnknown']);
});

it('has every reason of KubeVirtPermitted in docs/kubevirt.md', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../../docs/kubevirt.md'), 'utf8');
  const reasons = [...text.matchAll(/^\| (?:True|False) +\| `([A-Za-z]+)`/gm)].map(([, reason]) => reason);
  expect(reasons.toSorted()).toEqual([...permitCodes, ...Object.values(kubeVirtReasons)].toSorted());
});
