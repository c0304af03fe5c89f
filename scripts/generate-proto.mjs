// Generates src/kubelet/generated from proto/: encode and decode alone, one root per contract, since their packages and messages
// share names. With --check nothing is written, and a file that differs from what would be written is an error.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(repository, 'src', 'kubelet', 'generated');
const pbjs = join(repository, 'node_modules', 'protobufjs-cli', 'bin', 'pbjs');
const check = process.argv.includes('--check');

/** Proto file → name of the generated module and of its root. */
const contracts = [
  { proto: 'deviceplugin.v1beta1.proto', module: 'deviceplugin' },
  { proto: 'podresources.v1.proto', module: 'podresources' },
  { proto: 'pluginregistration.v1.proto', module: 'pluginregistration' },
];

const minimal = ['--no-create', '--no-verify', '--no-convert', '--no-delimited', '--no-typeurl', '--no-service'];

/**
 * Runs pbjs and returns the text of one of the files it made.
 * @param {{ proto: string, module: string }} contract
 * @param {readonly string[]} options
 * @param {string} wanted extension of the file to return
 */
function generate(contract, options, wanted) {
  const scratch = mkdtempSync(join(tmpdir(), 'generate-proto-'));
  try {
    const result = spawnSync(
      process.execPath,
      [
        pbjs,
        '--target=static-module',
        '--wrap=esm',
        `--root=kubelet.${contract.module}`,
        '--force-number',
        ...minimal,
        ...options,
        `--out=${join(scratch, 'contract.js')}`,
        join(repository, 'proto', contract.proto),
      ],
      { encoding: 'utf8' },
    );
    if (result.status !== 0) throw new Error(`pbjs failed on proto/${contract.proto}: ${result.stderr}`);
    return readFileSync(join(scratch, `contract.${wanted}`), 'utf8');
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** @param {{ proto: string, module: string }} contract */
function header(contract) {
  return `// Generated from proto/${contract.proto} by scripts/generate-proto.mjs; change that file and run npm run generate.\n`;
}

/** @type {Map<string, string>} */
const files = new Map();
for (const contract of contracts) {
  const code = generate(contract, ['--no-comments'], 'js').replace(/\nexport \{\n\s+\$root as default\n\};\n/, '\n');
  files.set(`${contract.module}.js`, header(contract) + code);
  // With --force-number no type mentions Long, and the line that fetches it is not valid in a module.
  const types = generate(contract, ['--dts'], 'd.ts').replace(/^import Long = require\("long"\);\n/m, '');
  files.set(`${contract.module}.d.ts`, header(contract) + types);
}

mkdirSync(target, { recursive: true });
const known = readdirSync(target);
const surplus = known.filter((name) => !files.has(name));
const differing = [...files].filter(
  ([name, text]) => !known.includes(name) || readFileSync(join(target, name), 'utf8') !== text,
);
if (check) {
  for (const [name] of differing) process.stderr.write(`src/kubelet/generated/${name} is not what proto/ gives\n`);
  for (const name of surplus) process.stderr.write(`src/kubelet/generated/${name} belongs to no proto file\n`);
  process.exit(differing.length + surplus.length === 0 ? 0 : 1);
}
for (const name of surplus) rmSync(join(target, name));
for (const [name, text] of differing) writeFileSync(join(target, name), text);
