// Waiting for something that comes by itself, with an end.

import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../lab/lab-error.ts';

/** Asks `probe` every 100 ms until it says yes. Throws LabError after `seconds`. */
export async function until(what: string, probe: () => Promise<boolean>, seconds = 240): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; !(await probe()); await sleep(100)) {
    if (Date.now() > deadline) throw new LabError(`${seconds} s went by without ${what}.`);
  }
}
