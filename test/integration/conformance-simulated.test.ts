// The conformance suite on the simulated kernel, as each of the kernels that the lab has live.
import { describe, expect, it } from 'vitest';
import { casesFor, observe } from '../support/conformance/cases.ts';
import { expectedOn } from '../support/conformance/subject.ts';
import { createSimulatedSubject } from '../support/conformance/simulated-subject.ts';

describe.each(['5.10', '6.1', '6.12'] as const)('the simulated kernel %s', (kernel) => {
  const subject = createSimulatedSubject(kernel);
  it.each(casesFor(kernel).map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    expect(await observe(subject, one)).toEqual(expectedOn(kernel, one));
  });
});
