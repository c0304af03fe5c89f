import { describe, expect, test } from 'vitest';
import { indent, renderTable } from '../../../src/cli/render-table.ts';
import { createTerminal, paintNothing, type Terminal } from '../../../src/cli/terminal.ts';

describe('tables', () => {
  test('pad columns to their widest cell and leave the last one ragged', () => {
    const rows = [
      ['a', 'b', 'c'],
      ['long cell', '', 'last cell'],
    ];
    expect(renderTable(['ONE', 'TWO', ''], rows, paintNothing)).toBe(
      ['ONE        TWO', 'a          b    c', 'long cell  -    last cell'].join('\n'),
    );
  });

  test('have one line per row, whatever a cell holds', () => {
    expect(renderTable(['A'], [['two\n  lines']], paintNothing)).toBe('A\ntwo lines');
  });

  test('are padded by what is seen, not by colours', () => {
    const { paint } = terminal(true);
    const row = [{ text: 'ä', tone: 'good' as const }, 'next'];
    expect(renderTable(['AB', 'C'], [row], paint).split('\n')[1]).toBe('\u001B[32mä\u001B[0m   next');
  });

  test('are indented but for empty lines', () => {
    expect(indent('a\n\nb')).toBe('  a\n\n  b');
  });
});

let written = '';
let noted = '';

function terminal(colour: boolean): Terminal {
  written = '';
  noted = '';
  return createTerminal(
    (text) => (written += text),
    (text) => (noted += text),
    { colour },
  );
}

describe('the terminal', () => {
  test('keeps control characters of a host’s files away from a terminal, and our own colours', () => {
    const { out, note, paint } = terminal(true);
    out(`${paint('bad', 'x')}\u001B]0;title\u0007\u009B2J\ry\nz`);
    expect(written).toBe('\u001B[31mx\u001B[0m?]0;title??2J?y\nz\n');
    note('\u202Eabc');
    expect(noted).toBe('?abc\n');
  });

  test('paints nothing without colour', () => {
    const { paint } = terminal(false);
    expect(paint('bold', 'x')).toBe('x');
  });
});
