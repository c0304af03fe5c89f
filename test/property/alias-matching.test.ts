// The alias algorithm against slow, obvious references.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBuiltinModinfo, parseModulesAlias } from '../../src/domain/alias-file.ts';
import { buildAliasTable, toCandidate } from '../../src/domain/alias-table.ts';
import type { AliasEntry } from '../../src/domain/driver-choice.ts';
import { compileGlob } from '../../src/domain/glob.ts';
import { parseModulesBuiltin, parseModulesDep } from '../../src/domain/module-files.ts';
import { parseModuleIndex } from '../../src/domain/module-index.ts';
import { parseKernelCommandLine, parseModprobeConfig } from '../../src/domain/modprobe-config.ts';
import { toLookupForm } from '../../src/domain/module-name.ts';

const alphabet = ['a', 'b', 'c', '0', ':', '-', '_', '/'];
const literal = fc.constantFrom(...alphabet);
const set = fc
  .tuple(
    fc.constantFrom('', '!', '^'),
    fc.array(fc.constantFrom('a', 'c', '0-9', 'a-c', '_', '*'), { minLength: 1, maxLength: 3 }),
  )
  .map(([negation, members]) => `[${negation}${members.join('')}]`);
const token = fc.oneof(
  { weight: 5, arbitrary: literal },
  { weight: 2, arbitrary: fc.constant('*') },
  fc.constant('?'),
  set,
);
const pattern = fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(''));
const text = fc.array(literal, { maxLength: 14 }).map((characters) => characters.join(''));

/** The pattern as a regular expression, piece by piece. */
function toRegExp(glob: string): RegExp {
  const source = glob.replaceAll(/\[[!^]?[^\]]*\]|[*?]|[^*?[]/g, (piece) => {
    if (piece === '*') return '.*';
    if (piece === '?') return '.';
    if (piece.startsWith('[')) return piece.replace(/^\[[!^]/, '[^');
    return piece.replace(/[\\^$.|+(){}/-]/, String.raw`\$&`);
  });
  return new RegExp(`^(?:${source})$`, 's');
}

function compiled(glob: string) {
  const result = compileGlob(glob);
  if (result.glob === null) throw new Error(result.problem);
  return result.glob;
}

describe('globs', () => {
  it('match what the same regular expression matches', () => {
    fc.assert(
      fc.property(pattern, text, (glob, subject) => compiled(glob).matches(subject) === toRegExp(glob).test(subject)),
      { numRuns: 5000 },
    );
  });

  it('match a text made from the pattern', () => {
    const filled = fc.array(
      fc.oneof(
        literal.map((character) => [character, character] as const),
        text.map((run) => ['*', run] as const),
        literal.map((character) => ['?', character] as const),
        fc.constantFrom('a', 'b', 'c').map((character) => ['[a-c]', character] as const),
      ),
    );
    fc.assert(
      fc.property(filled, (parts) =>
        compiled(parts.map(([glob]) => glob).join('')).matches(parts.map(([, made]) => made).join('')),
      ),
    );
  });

  it('contain their literal runs in order in every match', () => {
    fc.assert(
      fc.property(pattern, text, (glob, subject) => {
        const { matches, runs } = compiled(glob);
        fc.pre(matches(subject));
        const [prefix, ...later] = runs;
        expect(subject.startsWith(prefix)).toBe(true);
        later.reduce((from, run) => {
          const at = subject.indexOf(run, from);
          expect(at).toBeGreaterThanOrEqual(from);
          return at + run.length;
        }, prefix.length);
      }),
    );
  });

  it('ask a text for few of its characters, whatever the pattern', () => {
    const stars = compiled(`${'*a'.repeat(200)}b`);
    let reads = 0;
    const subject = 'a'.repeat(2000);
    const counting = {
      length: subject.length,
      charCodeAt: (at: number) => {
        reads += 1;
        return subject.charCodeAt(at);
      },
    };
    expect(stars.matches(counting as unknown as string)).toBe(false);
    expect(reads).toBeLessThanOrEqual(401 * 2001);
  });

  it('never throw on any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (glob, subject) => {
        compileGlob(glob).glob?.matches(subject);
      }),
    );
  });
});

const entry: fc.Arbitrary<AliasEntry> = fc.record({
  pattern,
  module: fc.constantFrom('vfio_pci', 'variant', 'other'),
  origin: fc.constantFrom('file', 'builtin', 'modprobe.d', 'policy'),
  source: fc.constantFrom('one', 'two'),
  line: fc.nat(3),
});

describe('the alias table', () => {
  it('finds exactly the entries that match one by one', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), text, (entries, lookup) => {
        const form = toLookupForm(lookup) ?? '';
        const expected = entries.filter((one) => toRegExp(toLookupForm(one.pattern) ?? '').test(form)).map(toCandidate);
        const found = buildAliasTable(entries).match(lookup);
        expect(found).toHaveLength(expected.length);
        expect(found).toEqual(expect.arrayContaining(expected));
      }),
      { numRuns: 500 },
    );
  });

  it('answers alike for any order of the entries', () => {
    const shuffled = fc
      .array(entry, { maxLength: 40 })
      .chain((entries) => fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })));
    fc.assert(
      fc.property(shuffled, text, ([entries, other], lookup) => {
        expect(buildAliasTable(other).match(lookup)).toEqual(buildAliasTable(entries).match(lookup));
      }),
      { numRuns: 500 },
    );
  });

  it('puts fewer wildcards first', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), text, (entries, lookup) => {
        const stars = buildAliasTable(entries)
          .match(lookup)
          .map((candidate) => candidate.wildcards);
        expect(stars).toEqual(stars.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe('parsers', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => new TextDecoder().decode(bytes)),
    fc
      .array(
        fc.constantFrom(
          'alias',
          'vfio_pci:v*',
          'blacklist',
          'install',
          '[',
          ']',
          '\\',
          '\n',
          '\0',
          ' ',
          '\t',
          '#',
          ':',
          '.alias=',
        ),
      )
      .map((pieces) => pieces.join('')),
  );

  it('take any bytes, and keep only entries that can be matched', () => {
    fc.assert(
      fc.property(anything, (bytes) => {
        const entries = [
          ...parseModulesAlias(bytes, 's').entries,
          ...parseBuiltinModinfo(bytes, 's').entries,
          ...parseModprobeConfig(bytes, 's').entries,
        ];
        parseModulesDep(bytes, 's');
        parseModulesBuiltin(bytes);
        parseModuleIndex(new TextEncoder().encode(bytes), '');
        parseKernelCommandLine(bytes, 's');
        const table = buildAliasTable(entries);
        expect(table.problems).toEqual([]);
        expect(table.size).toBe(entries.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('read back every alias that is written', () => {
    const module = fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/);
    const lines = fc.array(fc.tuple(pattern, module));
    fc.assert(
      fc.property(lines, (aliases) => {
        const written = aliases.map(([glob, name]) => `alias vfio_pci:${glob} ${name}`);
        const expected = aliases.map(([glob, name], index) => ({
          pattern: `vfio_pci:${glob}`,
          module: name,
          source: 's',
          line: index + 1,
        }));
        const { entries, problems } = parseModulesAlias(`${written.join('\n')}\n`, 's');
        expect(problems).toEqual([]);
        expect(entries).toEqual(expected.map((one) => ({ ...one, origin: 'file' })));
        expect(parseModprobeConfig(written.join('\n'), 's').entries).toEqual(
          expected.map((one) => ({ ...one, origin: 'modprobe.d' })),
        );
      }),
    );
  });
});
