// Modaliases of any look against real alias lines: nothing throws, exactly those entries match that a slow, obvious matcher lets match, and
// the first of them has the fewest asterisks.
import { readFileSync } from 'node:fs';
import { parseModulesAlias } from '../../src/domain/alias-file.ts';
import { buildAliasTable } from '../../src/domain/alias-table.ts';
import { countWildcards } from '../../src/domain/glob.ts';
import { toLookupForm } from '../../src/domain/module-name.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { mutatedText } from './mutated-bytes.ts';

const realLines = readFileSync(new URL('../fixtures/modules.alias-vfio-variants', import.meta.url), 'utf8');
const otherLines = [
  'alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci',
  'alias vfio_pci:v0000[0-9A-F]*d*sv*sd*bc02sc*i* network_vfio_pci',
  'alias vfio_pci:v????15B3d*[!0-9]* odd_vfio_pci',
  'alias vfio_pci:v*****d***** starry_vfio_pci',
  'alias vfio_cdx:v*d*sv*sd*c* vfio_cdx',
].join('\n');
const { entries } = parseModulesAlias(`${realLines}\n${otherLines}\n`, 'modules.alias');
const table = buildAliasTable(entries);

const corpus = [
  'pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00',
  'pci:v00008086d00001889sv00008086sd00000000bc02sc00i00',
  'pci:v000010DEd00002342sv000010DEsd000016EBbc03sc02i00',
  'pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02',
  'cdx:v10EEd1234sv0000sd0000c000000',
  'of:NdmaT(null)Carm,pl330',
  'platform:vfio-test',
];

export const modaliasTarget = fuzzTarget('modalias', ['matched', 'unmatched'], mutatedText(corpus), (modalias) => {
  const lookup = `vfio_${modalias}`;
  const found = table.match(lookup);
  const text = toLookupForm(lookup);
  const wanted =
    text === null ? [] : entries.filter(({ pattern }) => matches(tokensOf(toLookupForm(pattern) ?? ''), text));
  mustHold(found.length === wanted.length, `${found.length} entries match, and ${wanted.length} should`);
  const known = new Set(wanted.map(({ pattern, module, line }) => `${pattern} ${module} ${line}`));
  mustHold(
    found.every(({ pattern, module, line }) => known.has(`${pattern} ${module} ${line}`)),
    'those that match are those that should',
  );
  const fewest = Math.min(...wanted.map(({ pattern }) => countWildcards(pattern)));
  mustHold(found.length === 0 || found[0]?.wildcards === fewest, `the first has ${fewest} asterisks`);
  return found.length === 0 ? 'unmatched' : 'matched';
});

type Token = '*' | ((unit: string) => boolean);
const compiled = new Map<string, readonly Token[]>();

function tokensOf(pattern: string): readonly Token[] {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const tokens = [...pattern.matchAll(/\[([!^]?)([^\]]*)\]|./gs)].map(([piece, negation, members = '']): Token => {
    if (piece === '*') return '*';
    if (piece === '?') return () => true;
    if (!piece.startsWith('[')) return (unit) => unit === piece;
    const set = new RegExp(`[${members.replace(/[\\^]/g, String.raw`\$&`)}]`);
    return (unit) => set.test(unit) === (negation === '');
  });
  compiled.set(pattern, tokens);
  return tokens;
}

/** Walks the text with every place of the pattern that may be next: `places[n]` is 1 where the n-th token may. */
function matches(tokens: readonly Token[], text: string): boolean {
  let places = new Uint8Array(tokens.length + 1);
  let next = new Uint8Array(tokens.length + 1);
  places[0] = 1;
  passStars(places, tokens);
  for (let at = 0; at < text.length; at += 1) {
    const unit = text[at] ?? '';
    next.fill(0);
    let some = false;
    for (let place = 0; place < tokens.length; place += 1) {
      const token = tokens[place];
      if (places[place] !== 1 || token === undefined) continue;
      if (token === '*') next[place] = 1;
      else if (token(unit)) next[place + 1] = 1;
      else continue;
      some = true;
    }
    if (!some) return false;
    passStars(next, tokens);
    [places, next] = [next, places];
  }
  return places[tokens.length] === 1;
}

function passStars(places: Uint8Array, tokens: readonly Token[]): void {
  for (let place = 0; place < tokens.length; place += 1)
    if (places[place] === 1 && tokens[place] === '*') places[place + 1] = 1;
}
