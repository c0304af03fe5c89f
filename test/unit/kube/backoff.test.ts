import { describe, expect, it } from 'vitest';
import { createBackoff } from '../../../src/kube/backoff.ts';
import { compareVersions, isVersion, newerVersion } from '../../../src/kube/compare-versions.ts';

const always = (fraction: number) => ({ fraction: () => fraction, name: () => '' });

describe('back-off', () => {
  it('grows to its most, is spread over the whole span, and is short again after reset', () => {
    const long = createBackoff({ random: always(1) });
    expect(Array.from({ length: 7 }, () => long.next(null))).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    long.reset();
    expect(long.next(null)).toBe(1000);
    const short = createBackoff({ random: always(0) });
    expect([short.next(null), short.next(null)]).toEqual([250, 250]);
  });

  it('waits as long as the server asked, and its own jitter on top', () => {
    expect(createBackoff({ random: always(0) }).next(5000)).toBe(5250);
    expect(createBackoff({ random: always(0) }).next(1e12)).toBe(600_250);
  });
});

describe('versions', () => {
  it('compare as numbers of any length', () => {
    expect(compareVersions('9', '10')).toBeLessThan(0);
    expect(compareVersions('18446744073709551615', '18446744073709551614')).toBeGreaterThan(0);
    expect(compareVersions('7', '7')).toBe(0);
    expect([newerVersion(null, '3'), newerVersion('4', '3'), newerVersion(null, null)]).toEqual(['3', '4', null]);
  });

  it.each(['', '007', '-1', '1e3', 'abc', '1'.repeat(21), 5, null])('are not %s', (value) => {
    expect(isVersion(value)).toBe(false);
  });
});
