// Durations by what they are of, and a table of them as documentation wants it.

export interface Times {
  add(what: string, milliseconds: number): void;
  /** Markdown, in seconds; p99 of fewer than a hundred is the longest. */
  table(): string;
}

export function createTimes(): Times {
  const times = new Map<string, number[]>();
  return {
    add: (what, milliseconds) => void times.set(what, [...(times.get(what) ?? []), milliseconds]),
    table: () =>
      [
        '| from | times | least, s | p50, s | p99, s |',
        '| ---- | ----: | -------: | -----: | -----: |',
        ...[...times].map(([what, all]) => `| ${what} | ${all.length} | ${columns(all).join(' | ')} |`),
        '',
      ].join('\n'),
  };
}

function columns(milliseconds: readonly number[]): readonly string[] {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  return [0, 0.5, 0.99].map((share) =>
    ((sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0) / 1000).toFixed(2),
  );
}
