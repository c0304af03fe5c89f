// Bad input by the thousand, each kind from a fixed seed; `npm run fuzz` does the same with any number and seed.
import { describe, expect, it } from 'vitest';
import { targets } from '../fuzz/targets.ts';

const inputs = 10_000;

describe('bad input', () => {
  it('has the six kinds', () => {
    expect(targets.map(({ name }) => name)).toEqual(['modalias', 'alias-file', 'policy', 'journal', 'grpc', 'sysfs']);
  });

  it.each(targets)('$name: nothing breaks, and what is taken is harmless', { timeout: 300_000 }, async (target) => {
    const { failure, tally, inputs: run } = await target.run(inputs, 1);
    expect(failure).toBe(null);
    expect(run).toBe(inputs);
    expect(Object.keys(tally).toSorted()).toEqual(target.fates.toSorted());
  });
});
