// When the demo waits for a reader.
import { expect, test } from 'vitest';
import { readDemoConfig } from '../../../src/demo/config.ts';

test('a terminal has a reader, unless they are in a hurry; a pipe has none', () => {
  expect(readDemoConfig([], { isTTY: true, columns: 80 })).toMatchObject({ paced: true, width: 80 });
  expect(readDemoConfig(['--fast'], { isTTY: true, columns: 80 })).toMatchObject({ paced: false });
  expect(readDemoConfig([], {})).toMatchObject({ paced: false, colour: false, width: 100 });
});

test('a terminal that does not know its size', () => {
  expect(readDemoConfig([], { isTTY: true, columns: 0 }).width).toBe(100);
});
