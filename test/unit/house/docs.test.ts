// The documentation against the code: every code, metric and flag has its place, every decision record is listed, every link leads
// somewhere. What is true in prose a test cannot say; that nothing is left out it can.
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { eventReasons } from '../../../src/agent/cluster/node-event.ts';
import { agentCommand } from '../../../src/agent/config.ts';
import { cures } from '../../../src/domain/cures.ts';
import { decisionKinds, holdCodes, refusalCodes } from '../../../src/domain/codes.ts';
import { createAgentMetrics } from '../../../src/runtime/agent-metrics.ts';

const repository = resolve(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');

const pages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(repository, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The text without what stands in code blocks, where nothing is a heading or a link. */
const prose = (text: string): string => text.replaceAll(/^( *)```[\s\S]*?^\1```/gm, '').replaceAll(/^ {4}.*$/gm, '');

/** The cells of every table row, each trimmed. */
const rows = (text: string): readonly (readonly string[])[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

describe('docs/troubleshooting.md', () => {
  const page = read('docs/troubleshooting.md');
  const sections = new Map(
    page.split(/^### /m).map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
  );

  it.each([...refusalCodes, ...holdCodes])('has a section on %s', (code) => {
    expect(sections.get(code)).toMatch(/\*\*Means\*\*: \S/);
    expect(sections.get(code)).toMatch(/\*\*(Cure|Allowed by)\*\*: \S/);
  });

  it.each(refusalCodes)('says whether a policy may allow %s, as the CRD has it', (code) => {
    const enumeration = /Code of a refusal that can be overridden\.\s+type: string\s+enum:\s+\[([^\]]*)\]/;
    const allowed = enumeration.exec(read('deploy/helm/vfio-operator/crds/vfiopolicies.yaml'))?.[1]?.split(/[\s,]+/);
    const said = /\*\*Allowed by\*\*: (.*)/.exec(sections.get(code) ?? '')?.[1] ?? '';
    expect(allowed).toContain('NotOurs');
    // A group's refusal goes by the code of the member that causes it.
    if (code === 'GroupHasCritical') expect(said).toContain('the member');
    else expect(said.startsWith(allowed?.includes(code) === true ? `\`${code}\`` : 'nothing')).toBe(true);
  });

  it.each(decisionKinds)('has a row on the decision %s', (kind) => {
    expect(rows(page).some(([first]) => first === `\`${kind}\``)).toBe(true);
  });

  it('has a section for nothing that is no code', () => {
    const codes = new Set<string>(Object.keys(cures));
    const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading);
    expect(headings.filter((heading) => !codes.has(heading ?? ''))).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  const page = read('docs/operations.md');
  const table = rows(page);

  it('has every metric with its type, and no other', async () => {
    const text = await createAgentMetrics().text();
    const inCode = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    const inPage = table
      .filter(([name]) => name?.startsWith('`vfio_operator_'))
      .map(([name, type]) => `${name?.replaceAll('`', '')} ${type}`);
    expect(inPage.toSorted()).toEqual(inCode.toSorted());
  });

  it('has every reason of an event with its type, and no other', () => {
    const inCode = Object.entries(eventReasons).map(([reason, { type }]) => `${reason} ${type}`);
    const inPage = table
      .filter(([, type]) => type === 'Normal' || type === 'Warning')
      .map(([reason, type]) => `${reason?.replaceAll('`', '')} ${type}`);
    expect(inPage.toSorted()).toEqual(inCode.toSorted());
  });

  it('has every flag with its variable and its default, and no other', () => {
    const { options } = agentCommand(() => Promise.resolve());
    const flagRows = new Map(
      table.flatMap((cells) => {
        const flag = /^`(--[a-z-]+)(?: <[a-z]+>)?`$/.exec(cells[0] ?? '')?.[1];
        const hasVariable = /^`[A-Z_]+`$/.test(cells[1] ?? '');
        return flag !== undefined && hasVariable ? [[flag, cells] as const] : [];
      }),
    );
    expect([...flagRows.keys()].toSorted()).toEqual(options.map((option) => option.long ?? '').toSorted());
    for (const option of options) {
      const [flag, variable, shown] = flagRows.get(option.long ?? '') ?? [];
      expect(flag).toBe(`\`${option.flags}\``);
      expect(variable).toBe(`\`${option.envVar}\``);
      const value: unknown = option.defaultValueDescription ?? option.defaultValue;
      // Switches, what must be given, and the host's own name have no value to compare.
      if (typeof value === 'string' && option.long !== '--node-name')
        expect(shown).toBe(value === 'none' ? value : `\`${value}\``);
    }
  });
});

it('lists every decision record in docs/architecture.md', () => {
  const page = read('docs/architecture.md');
  for (const name of readdirSync(join(repository, 'docs/adr'))) expect(page).toContain(`(adr/${name})`);
});

it('names no test in docs/reliability.md that is not there', () => {
  const named = [...read('docs/reliability.md').matchAll(/`((?:unit|property|integration)\/[^`*]*\.test\.ts)`/g)];
  expect(named.length).toBeGreaterThan(10);
  expect(named.map(([, path]) => path).filter((path) => !existsSync(join(repository, `test/${path}`)))).toEqual([]);
});

/** The anchor that a heading gets, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

test.each(pages)('every relative link of %s leads somewhere', (page) => {
  const links = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link ?? '');
  const dead = links
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? join(repository, page) : resolve(repository, dirname(page), path);
      if (relative(repository, target).startsWith('..') || !existsSync(target)) return true;
      if (anchor === undefined) return false;
      const headings = [...prose(readFileSync(target, 'utf8')).matchAll(/^#{1,6} (.*)$/gm)];
      return !headings.some(([, heading]) => anchorOf(heading ?? '') === anchor);
    });
  expect(dead).toEqual([]);
});
