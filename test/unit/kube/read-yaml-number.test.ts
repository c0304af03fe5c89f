import { describe, expect, it } from 'vitest';
import { readYamlNumber } from '../../../src/kube/read-yaml-number.ts';

describe('readYamlNumber', () => {
  it.each<[string, number]>([
    ['0', 0],
    ['-0', -0],
    ['+12', 12],
    ['1_000', 1000],
    ['12_', 12],
    ['017', 15],
    ['00', 0],
    ['0_7', 7],
    ['0o17', 15],
    ['0O17', 15],
    ['-0o17', -15],
    ['0x1F', 31],
    ['0X1f', 31],
    ['-0x1f', -31],
    ['0b101', 5],
    ['0B1_01', 5],
    ['-0b101', -5],
    ['089', 89],
    ['18446744073709551615', 2 ** 64],
    ['18446744073709551616', 2 ** 64],
    ['1.5', 1.5],
    ['1.', 1],
    ['.5', 0.5],
    ['-.5_0', -0.5],
    ['1_0.2_5', 10.25],
    ['10e5', 1e6],
    ['1E-2', 0.01],
    ['.inf', Infinity],
    ['-.Inf', -Infinity],
    ['.NaN', NaN],
  ])('%s is a number', (text, value) => {
    expect(readYamlNumber(text)).toBe(value);
  });

  it.each([
    '0x',
    '0xG',
    '0b',
    '0b2',
    '0o8',
    '-',
    '+',
    '.',
    '..',
    '1:30',
    '2026-11-01',
    '0000:3b:00.0',
    '.5_0',
    '1e',
    '1e400',
    '0xFFFFFFFFFFFFFFFFF',
    '-0x8000000000000001',
    '+0x8000000000000000',
    '--1',
    '1 2',
    '1-2',
    '.INf',
  ])('%s is text', (text) => {
    expect(readYamlNumber(text)).toBe(text);
  });
});
