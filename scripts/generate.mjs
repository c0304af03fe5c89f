// Runs every generator; with --check nothing is written and any difference is an error.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const directory = dirname(fileURLToPath(import.meta.url));
let failed = false;
for (const script of ['generate-proto.mjs', 'generate-api.mjs', 'generate-chart.mjs']) {
  const result = spawnSync(process.execPath, [join(directory, script), ...process.argv.slice(2)], { stdio: 'inherit' });
  if (result.status !== 0) failed = true;
}
process.exit(failed ? 1 : 0);
