// The table of a conformance run: what each behaviour is, who says so, what was seen where.
import { isDeepStrictEqual } from 'node:util';
import { expectedOn } from './subject.ts';
import type { ConformanceCase } from './subject.ts';

/** One case with what was observed. */
export interface ConformanceRow {
  readonly subject: string;
  readonly kernel: string;
  readonly case: ConformanceCase;
  readonly observed: unknown;
}

/** A row per case and a column per subject; a difference is spelled out below the table. */
export function conformanceTable(rows: readonly ConformanceRow[]): string {
  const subjects = [...new Set(rows.map(({ subject }) => subject))];
  const cases = [...new Set(rows.map((row) => row.case))];
  const cell = (one: ConformanceCase, subject: string): string => {
    const row = rows.find((candidate) => candidate.case === one && candidate.subject === subject);
    return row === undefined ? '-' : agrees(row) ? 'as expected' : 'DIFFERS';
  };
  const head = ['behaviour', 'source', ...subjects];
  const lines = cases.map((one) => [one.name, one.source, ...subjects.map((subject) => cell(one, subject))]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const print = (line: readonly string[]): string =>
    `| ${line.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = widths.map((width) => '-'.repeat(width));
  return [print(head), print(rule), ...lines.map(print), ...differences(rows)].join('\n');
}

const agrees = (row: ConformanceRow): boolean => isDeepStrictEqual(row.observed, expectedOn(row.kernel, row.case));

function differences(rows: readonly ConformanceRow[]): readonly string[] {
  return rows
    .filter((row) => !agrees(row))
    .map(
      (row) =>
        `\n${row.subject}: ${row.case.name}\n  expected ${JSON.stringify(expectedOn(row.kernel, row.case))}\n  observed ${JSON.stringify(row.observed)}`,
    );
}
