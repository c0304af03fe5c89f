// How long choosing the VFIO module takes for 1,000 devices against a modules.alias of 27,000 lines, beside the two ways it is done
// elsewhere: a scan of the file per device that compares whole fields, and one `modprobe -R` per device (which ranks nothing).
// Run: node bench/alias-choice.ts
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseModulesAlias } from '../src/domain/alias-file.ts';
import { buildAliasTable } from '../src/domain/alias-table.ts';
import { chooseDriver } from '../src/domain/choose-driver.ts';
import type { ModuleCatalog, ModuleFacts } from '../src/domain/driver-choice.ts';
import { encodeModuleIndex } from '../test/support/module-index.ts';

const deviceCount = 1000;
const lineCount = 27_000;
const pciLines = 9_700;
const vfioLines = 3_000;
const runs = 7;
const slowRuns = 3;

interface Ids {
  readonly vendor: string;
  readonly device: string;
  readonly subsystem: string;
  readonly classCode: readonly [string, string, string];
}

/** The same numbers on every run. */
function createDice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const dice = createDice(20_260_101);
const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
const pick = <T>(values: readonly [T, ...T[]]): T => values[dice(values.length)] ?? values[0];

function randomIds(): Ids {
  return {
    vendor: hex(pick([0x8086, 0x15b3, 0x10de, 0x1af4, 0x1dd8, 0x19e5, 0x14e4, 0x1002]), 8),
    device: hex(dice(0x4000), 8),
    subsystem: hex(dice(0x800), 8),
    classCode: pick([
      ['02', '00', '00'],
      ['03', '02', '00'],
      ['01', '08', '02'],
      ['0B', '40', '00'],
    ]),
  };
}

function modaliasOf({ vendor, device, subsystem, classCode: [base, sub, progIf] }: Ids): string {
  return `pci:v${vendor}d${device}sv${vendor}sd${subsystem}bc${base}sc${sub}i${progIf}`;
}

/** Shares of the shapes as in a real file: most name vendor and device, some the subsystem, a few a class with `iNN*`. */
function patternOf(prefix: string, { vendor, device, subsystem, classCode: [base, sub, progIf] }: Ids): string {
  const shape = dice(100);
  if (shape < 72) return `${prefix}:v${vendor}d${device}sv*sd*bc*sc*i*`;
  if (shape < 88) return `${prefix}:v${vendor}d${device}sv${vendor}sd${subsystem}bc*sc*i*`;
  if (shape < 98) return `${prefix}:v${vendor}d*sv*sd${subsystem}bc${base}sc*i*`;
  return `${prefix}:v${vendor}d${device}sv*sd*bc${base}sc${sub}i${progIf}*`;
}

function buildFile(): { readonly text: string; readonly devices: readonly string[] } {
  const selectable = Array.from({ length: vfioLines - 1 }, randomIds);
  const vfio = selectable.map((ids, index) => `alias ${patternOf('vfio_pci', ids)} variant${index % 40}_vfio_pci`);
  const pci = Array.from({ length: pciLines }, (_, i) => `alias ${patternOf('pci', randomIds())} driver_${i % 900}`);
  const others = Array.from({ length: lineCount - pci.length - vfio.length - 1 }, (_, i) =>
    i % 2 === 0
      ? `alias usb:v${hex(dice(0x10000), 4)}p${hex(dice(0x10000), 4)}d*dc*dsc*dp*ic*isc*ip*in* usb_${i % 700}`
      : `alias of:N*T*Cvendor${dice(300)},part${dice(9000)}C* of_${i % 700}`,
  );
  const lines = ['alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci', ...vfio, ...pci, ...others];
  for (let last = lines.length - 1; last > 0; last--) {
    const other = dice(last + 1);
    [lines[last], lines[other]] = [lines[other] ?? '', lines[last] ?? ''];
  }
  const devices = Array.from({ length: deviceCount }, (_, i) =>
    modaliasOf((i % 2 === 0 ? selectable[dice(selectable.length)] : undefined) ?? randomIds()),
  );
  return { text: `# Aliases\n${lines.join('\n')}\n`, devices };
}

function catalogOf(modules: Iterable<string>): ModuleCatalog {
  const facts = [...modules].map((name): [string, ModuleFacts] => [
    name,
    { name, state: 'Available', blacklistedBy: null, isVfio: true, drivers: [] },
  ]);
  return { modules: new Map(facts), moduleOfDriver: new Map(), mayLoad: true };
}

const fields = /^([^:]+):v([^d]*)d([^s]*)sv([^s]*)sd([^b]*)bc([^s]*)sc([^i]*)i(.*)$/;

/** The plain way: walk the file for every device, split each VFIO line into 7 fields, each `*` or equal; the first line wins a tie. */
function scanWholeFields(text: string, modalias: string): string | null {
  const wanted = fields.exec(modalias);
  if (wanted === null) return null;
  let best: string | null = null;
  let fewest = Infinity;
  for (const line of text.split('\n')) {
    if (!line.startsWith('alias vfio_pci:')) continue;
    const [, pattern = '', module = ''] = line.split(' ');
    const parts = fields.exec(pattern);
    if (parts === null) continue;
    let stars = 0;
    for (let index = 2; index <= 8; index++) {
      if (parts[index] === '*') stars += 1;
      else if (parts[index] !== wanted[index]) stars = Infinity;
    }
    if (stars >= fewest) continue;
    fewest = stars;
    best = module;
  }
  return best;
}

/** Milliseconds of each run, fastest first. */
function measure(times: number, run: () => void): readonly number[] {
  return Array.from({ length: times }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  }).sort((a, b) => a - b);
}

/** Whether `modprobe -R` can be run; it reads only binary indexes, so they are written into a directory of their own. */
function prepareModprobe(
  text: string,
): { readonly resolve: (modalias: string) => void; readonly close: () => void } | null {
  if (spawnSync('modprobe', ['--version']).status !== 0) return null;
  const root = mkdtempSync(join(tmpdir(), 'alias-choice-'));
  const release = '0.0.0-bench';
  const directory = join(root, 'lib/modules', release);
  mkdirSync(directory, { recursive: true });
  const aliases = text
    .split('\n')
    .filter((line) => line.startsWith('alias '))
    .map((line): [string, string] => [line.split(' ')[1] ?? '', line.split(' ')[2] ?? '']);
  const modules = [...new Set(aliases.map(([, module]) => module))];
  writeFileSync(join(directory, 'modules.alias.bin'), encodeModuleIndex(aliases));
  writeFileSync(
    join(directory, 'modules.dep.bin'),
    encodeModuleIndex(modules.map((module) => [module, `kernel/${module}.ko:`])),
  );
  for (const name of ['symbols', 'builtin', 'builtin.alias']) {
    writeFileSync(join(directory, `modules.${name}.bin`), encodeModuleIndex([['none', 'none']]));
  }
  writeFileSync(join(root, 'empty.conf'), '');
  return {
    resolve: (modalias) => {
      const options = ['-C', join(root, 'empty.conf'), '-d', root, '-S', release];
      const { status, stdout } = spawnSync('modprobe', [...options, '-R', `vfio_${modalias}`], { encoding: 'utf8' });
      if (status !== 0 || !stdout.includes('vfio_pci')) throw new Error(`modprobe -R does not know ${modalias}`);
    },
    close: () => rmSync(root, { recursive: true }),
  };
}

const { text, devices } = buildFile();
const { entries, problems } = parseModulesAlias(text, 'modules.alias');
if (problems.length > 0) throw new Error(`the file has bad lines: ${JSON.stringify(problems[0])}`);
const table = buildAliasTable(entries);
const catalog = catalogOf(new Set(entries.map((entry) => entry.module)));
const policyAliases: readonly [] = [];
const choose = (modalias: string, from = table) =>
  chooseDriver({ bus: 'pci', modalias }, from, catalog, { policyAliases });

// The index must answer what trying every entry answers.
const single = entries.map((entry) => buildAliasTable([entry]));
for (const modalias of devices) {
  const matching = single.flatMap((one) => one.match(`vfio_${modalias}`)).length;
  if (matching !== choose(modalias).candidates.length) throw new Error(`the index misses an entry for ${modalias}`);
}
const chosen = devices.map((modalias) => choose(modalias).chosen?.wildcards ?? 0);
const variants = chosen.filter((wildcards) => wildcards < 7).length;
const scanned = devices.map((modalias) => scanWholeFields(text, `vfio_${modalias}`));
const missed = scanned.filter((module, i) => module === 'vfio_pci' && (chosen[i] ?? 7) < 7).length;

const rows: [string, readonly number[]][] = [
  ['choose, table at hand', measure(runs, () => devices.forEach((modalias) => choose(modalias)))],
  [
    'parse the file, build the table, choose',
    measure(runs, () => {
      const fresh = buildAliasTable(parseModulesAlias(text, 'modules.alias').entries);
      devices.forEach((modalias) => choose(modalias, fresh));
    }),
  ],
  [
    'whole-field scan of the file per device',
    measure(slowRuns, () => devices.forEach((modalias) => scanWholeFields(text, `vfio_${modalias}`))),
  ],
];
const modprobe = prepareModprobe(text);
if (modprobe !== null) {
  rows.push([
    'modprobe -R per device',
    measure(slowRuns, () => devices.forEach((modalias) => modprobe.resolve(modalias))),
  ]);
  modprobe.close();
}

console.log(
  `${deviceCount} devices, ${lineCount} lines, ${entries.length} of them vfio_ (${variants} devices get a variant)\n`,
);
const base = rows[1]?.[1][0] ?? 1;
console.log(`${'way'.padEnd(42)}${'min ms'.padStart(10)}${'median ms'.padStart(11)}${'ratio'.padStart(10)}`);
for (const [name, times] of rows) {
  const [min = 0, median = 0] = [times[0], times[times.length >> 1]];
  const ratio = (min / base).toPrecision(3);
  console.log(`${name.padEnd(42)}${min.toFixed(1).padStart(10)}${median.toFixed(1).padStart(11)}${ratio.padStart(10)}`);
}
console.log('\nratio: of the fastest runs, to "parse the file, build the table, choose"');
console.log(`whole fields miss the variant of ${missed} devices, whose alias ends in a class such as "i00*"`);
if (modprobe === null) console.log('modprobe not installed: not compared');
