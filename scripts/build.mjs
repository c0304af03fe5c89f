// Bundles the programs into `dist/`: one entry each, the parts that are seldom needed as chunks loaded on demand, no node_modules.
// Fails when the agent's own code outgrows its budget, since it runs on every node.
import { rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(repository, 'dist');
/** Bytes the agent may load at its start: its entry and every chunk that is imported statically. */
const agentBudget = 1_500_000;

rmSync(output, { recursive: true, force: true });
const result = await build({
  absWorkingDir: repository,
  entryPoints: { main: 'src/main.ts' },
  outdir: output,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  minify: true,
  keepNames: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  metafile: true,
  logLevel: 'warning',
  legalComments: 'none',
  banner: {
    js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`,
  },
});

// CommonJS: Node then does not load its ECMAScript module loader, which would be 4 of the 48 MiB that a worker has resident.
await build({
  absWorkingDir: repository,
  entryPoints: { 'kernel-worker': 'src/host/kernel-worker.ts' },
  outdir: output,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  minify: true,
  format: 'cjs',
  platform: 'node',
  target: 'node22',
  logLevel: 'warning',
  legalComments: 'none',
});

/**
 * Bytes loaded with one output file: itself and what it imports statically.
 * @param {string} start
 */
function loadedBytes(start) {
  const seen = new Set([start]);
  for (const file of seen) {
    for (const entry of result.metafile.outputs[file]?.imports ?? [])
      if (entry.kind === 'import-statement' && !entry.external) seen.add(entry.path);
  }
  return [...seen].reduce((sum, file) => sum + statSync(join(repository, file)).size, 0);
}

const agent = Object.entries(result.metafile.outputs).find(
  ([, value]) => value.entryPoint === 'src/agent/main.ts',
)?.[0];
if (agent !== undefined) {
  const bytes = loadedBytes(agent);
  if (bytes > agentBudget) {
    process.stderr.write(
      `The agent loads ${bytes} bytes at its start, its budget is ${agentBudget}: see what it imports.\n`,
    );
    process.exit(1);
  }
}
