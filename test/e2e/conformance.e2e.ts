// The conformance suite on live kernels: what the simulated kernel claims, read from real ones. The table of all of them is
// printed at the end; where it differs, the simulation is wrong.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { casesFor, observe } from '../support/conformance/cases.ts';
import { nativeDrivers } from '../support/conformance/device-actions.ts';
import { createLiveSubject } from '../support/conformance/live-subject.ts';
import { createSimulatedSubject } from '../support/conformance/simulated-subject.ts';
import { expectedOn } from '../support/conformance/subject.ts';
import type { Role, Subject } from '../support/conformance/subject.ts';
import { conformanceTable } from '../support/conformance/table.ts';
import type { ConformanceRow } from '../support/conformance/table.ts';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';

const kernels = (['6.1', '6.12', '5.10'] as const).filter(
  (kernel) => process.env['CONFORMANCE_KERNELS']?.split(',').includes(kernel) ?? true,
);

describe.each(kernels)('kernel %s', (kernel) => {
  const rows: ConformanceRow[] = [];
  const simulated = createSimulatedSubject(kernel);
  let guest: Guest;
  let live: Subject;

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    live = await createLiveSubject(guest, Object.keys(nativeDrivers) as Role[]);
  });
  afterAll(async () => {
    process.stdout.write(`\n${conformanceTable(rows)}\n`);
    await guest?.shutdown();
  });

  test.each(casesFor(kernel).map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    rows.push({ subject: `simulated ${kernel}`, kernel, case: one, observed: await observe(simulated, one) });
    const observed = await observe(live, one);
    rows.push({ subject: `live ${guest.release}`, kernel, case: one, observed });
    expect(observed).toEqual(expectedOn(kernel, one));
  });
});
