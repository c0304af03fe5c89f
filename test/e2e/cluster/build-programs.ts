// Builds the programs of a cluster that the lab's cache lacks, so that no test waits for a compiler: node test/e2e/cluster/build-programs.ts
// [--quiet] [PROGRAM…]. Prints NAME=PATH for each on stdout unless quiet, progress on stderr.

import { LabError, say } from '../lab/lab-error.ts';
import { PROGRAMS, programPath } from './programs.ts';

const quiet = process.argv.includes('--quiet');
const wanted = process.argv.slice(2).filter((word) => word !== '--quiet');
const unknown = wanted.filter((name) => !(PROGRAMS as readonly string[]).includes(name));
if (unknown.length > 0) {
  say(`unknown: ${unknown.join(', ')}; known: ${PROGRAMS.join(', ')}`);
  process.exit(2);
}
try {
  for (const name of PROGRAMS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const path = await programPath(name);
    if (!quiet) process.stdout.write(`${name}=${path}\n`);
  }
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  say(error.message);
  process.exit(1);
}
