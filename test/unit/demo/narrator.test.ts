// How chapters are printed.
import { array, assert, integer, property, string } from 'fast-check';
import { expect, test } from 'vitest';
import { paintNothing } from '../../../src/cli/terminal.ts';
import { check } from '../../../src/demo/chapter.ts';
import { createNarrator, wrap } from '../../../src/demo/narrator.ts';

test('wrapping keeps every word in order, and no line is longer than asked unless one word is', () => {
  assert(
    property(
      array(string({ minLength: 1 }).map((text) => text.replaceAll(/\s/g, '_'))),
      integer({ min: 1, max: 60 }),
      (words, width) => {
        const lines = wrap(words.join(' '), width).split('\n');
        expect(lines.flatMap((line) => line.split(' ')).filter((word) => word !== '')).toEqual(words);
        for (const line of lines) expect(line.length <= width || !line.includes(' ')).toBe(true);
      },
    ),
  );
});

async function told(checks: readonly ReturnType<typeof check>[]) {
  const lines: string[] = [];
  let waited = 0;
  const narrator = createNarrator({
    print: (text) => void lines.push(text),
    paint: paintNothing,
    width: 40,
    pause: async (milliseconds) => void (waited += milliseconds),
  });
  await narrator.tell({ name: 'Policies', title: 'A title', parts: [{ says: 'word '.repeat(20) }], checks });
  return { lines, waited };
}

test('a chapter has its number, its text within the width, and its checks', async () => {
  const { lines, waited } = await told([check('one is one', 1, 1)]);
  expect(lines[0]?.trim()).toBe('2/10  A title');
  expect(Math.max(...lines.flatMap((text) => text.split('\n')).map((line) => line.length))).toBeLessThanOrEqual(40);
  expect(lines.at(-1)).toBe('  ok  one is one');
  expect(waited).toBeGreaterThan(0);
});

test('a check that does not hold says what was seen', async () => {
  const { lines } = await told([check('one is two', { a: 1 }, { a: 2 })]);
  expect(lines.slice(-2).join('\n')).toMatch(/NOT SO {2}one is two\n +seen: \{"a":1\}/);
});

test('what is not there is not as expected', () => {
  expect(check('it is there', undefined, 'x')).toMatchObject({ holds: false, seen: 'nothing' });
});
