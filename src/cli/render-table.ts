// Tables as kubectl prints them: a header in capitals, columns padded with spaces, nothing drawn.
import type { Paint, Tone } from './terminal.ts';

/** A cell: plain text, or text with a tone. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

const gap = '  ';

/** Lines of the table. Rows are as long as the header; empty cells are shown as `-`. The last column is not padded. */
export function renderTable(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const widths = header.map((title, column) =>
    rows.reduce((widest, row) => Math.max(widest, width(textOf(row[column] ?? ''))), title.length),
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => {
        const text = textOf(cell);
        const padding = column === cells.length - 1 ? '' : ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text)));
        return (typeof cell === 'string' ? text : paint(cell.tone, text)) + padding;
      })
      .join(gap)
      .trimEnd();
  return [line(header.map((text) => ({ text: text === '' ? ' ' : text, tone: 'bold' }))), ...rows.map(line)].join('\n');
}

/** Indents every line. */
export function indent(text: string, by = '  '): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : by + line))
    .join('\n');
}

/** One line: what a file or the kernel says may hold newlines, which would break the row. */
function textOf(cell: Cell): string {
  const text = typeof cell === 'string' ? cell : cell.text;
  return text === '' ? '-' : text.replaceAll(/\s*\n\s*/g, ' ');
}

/** Width in terminal columns, near enough: code points. */
function width(text: string): number {
  return [...text].length;
}
