// A set of names that is always sorted: adding and removing cost a binary search, the first few cost nothing. For bounded samples that
// must come out the same whatever order things happened in.

export interface SortedNames {
  readonly size: number;
  add(name: string): void;
  delete(name: string): void;
  /** The names in order. A live view: not to be kept across changes. */
  values(): readonly string[];
}

/** An empty set. */
export function createSortedNames(): SortedNames {
  const names: string[] = [];
  /** Where the name is, or where it would be. */
  const find = (name: string): number => {
    let low = 0;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    get size() {
      return names.length;
    },
    add(name) {
      const at = find(name);
      if (names[at] !== name) names.splice(at, 0, name);
    },
    delete(name) {
      const at = find(name);
      if (names[at] === name) names.splice(at, 1);
    },
    values: () => names,
  };
}
