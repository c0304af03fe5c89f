// What histories held, so that no kind of event or fault is missing unnoticed.

/** Counts by kind. */
export interface Tally {
  readonly counts: Map<string, number>;
  add(kind: string, count?: number): void;
  get(kind: string): number;
  merge(other: Tally): void;
}

/** An empty tally. */
export function createTally(): Tally {
  const counts = new Map<string, number>();
  const add = (kind: string, count = 1): void => void counts.set(kind, (counts.get(kind) ?? 0) + count);
  return {
    counts,
    add,
    get: (kind) => counts.get(kind) ?? 0,
    merge(other) {
      for (const [kind, count] of other.counts) add(kind, count);
    },
  };
}
