import { describe, expect, it } from 'vitest';
import { compileGlob, countWildcards } from '../../../src/domain/glob.ts';

function matches(pattern: string, text: string): boolean {
  const compiled = compileGlob(pattern);
  if (compiled.glob === null) throw new Error(compiled.problem);
  return compiled.glob.matches(text);
}

describe('compileGlob', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['*', 'a:b/c', true],
    ['**', 'ab', true],
    ['a', '', false],
    ['a*', 'a', true],
    ['a*c', 'abc:c', true],
    ['a*c', 'abcd', false],
    ['*b*', 'abc', true],
    ['?', 'a', true],
    ['?', '', false],
    ['a?c', 'a/c', true],
    ['abc', 'ABC', false],
    ['v*d*sv*', 'v1d2sv3', true],
    ['i00*', 'i00', true],
    ['i00*', 'i01', false],
    ['[abc]', 'b', true],
    ['[abc]', 'd', false],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[!a-c]', 'd', true],
    ['[^a-c]', 'a', false],
    ['[!a]', '', false],
    ['[a-]', '-', true],
    ['[-a]', '-', true],
    ['[c-a]', 'b', false],
    ['[a-c-e]', '-', true],
    ['[*?]', '*', true],
    ['[*?]', 'x', false],
    ['*[0-9]*', 'ab3c', true],
    [String.raw`a\*b`, 'a*b', true],
    [String.raw`a\*b`, 'axb', false],
    [String.raw`[\-a]`, '-', true],
    [String.raw`[+-\-]`, ',', true],
  ])('%j against %j is %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it('takes a set that nothing closes once its first member is "]" for an ordinary bracket, as the C library does', () => {
    expect(matches('[]', '[]')).toBe(true);
    expect(matches('[]', ']')).toBe(false);
    expect(matches('[!]', '[!]')).toBe(true);
  });

  it('counts a "]" in first place as a member when another one closes the set', () => {
    expect(matches('[]a[x]', ']')).toBe(true);
    expect(matches('[]a[x]', '[')).toBe(true);
    expect(matches('[]a[x]', '-')).toBe(false);
  });

  it.each([
    ['a[bc', '"[" at character 2 is never closed'],
    ['ab]c', '"]" at character 3 closes nothing'],
    ['[a]]', '"]" at character 4 closes nothing'],
    ['a\\', 'a "\\" at the end takes nothing as it is'],
    ['[[:alpha:]x[y]', '"[:" begins a character class, which module aliases do not have'],
  ])('refuses %j', (pattern, problem) => {
    expect(compileGlob(pattern)).toEqual({ glob: null, problem });
  });

  it('says what every match contains', () => {
    const runs = (pattern: string) => compileGlob(pattern).glob?.runs;
    expect(runs('vfio_pci:v*d0000A251sv*')).toEqual(['vfio_pci:v', 'd0000A251sv']);
    expect(runs('*bc03*')).toEqual(['', 'bc03']);
    expect(runs('ab?cd*e')).toEqual(['ab']);
    expect(runs('a*[0-9]b')).toEqual(['a']);
    expect(runs('plain')).toEqual(['plain']);
  });

  it('counts literal characters outside sets', () => {
    const literals = (pattern: string) => compileGlob(pattern).glob?.literals;
    expect(literals(String.raw`ab*?[cd]e\*`)).toBe(4);
    expect(literals('*')).toBe(0);
  });
});

describe('countWildcards', () => {
  it('counts every "*" of the text', () => {
    expect(countWildcards('vfio_pci:v*d*sv*sd*bc*sc*i*')).toBe(7);
    expect(countWildcards('vfio_pci:v*d*sv*sd*bc03sc02i00*')).toBe(5);
    expect(countWildcards('plain')).toBe(0);
  });
});
