// Which devices are in which resource over all nodes, kept by counting: what one node has comes and goes with it. Pure.

/** What one node has: by resource name its ids. */
export type OfferedByNode = ReadonlyMap<string, readonly string[]>;

export interface OfferedIds {
  /** Puts what a node has now in the place of what it had; answers the resources whose ids are others now. */
  replace(before: OfferedByNode | null, now: OfferedByNode | null): readonly string[];
  /** Ids of a resource, sorted. */
  of(resource: string): readonly string[];
}

/** Nothing yet. */
export function createOfferedIds(): OfferedIds {
  const counts = new Map<string, Map<string, number>>();
  const changed = new Set<string>();
  const count = (offered: OfferedByNode | null, step: 1 | -1): void => {
    for (const [resource, ids] of offered ?? []) {
      const known = counts.get(resource) ?? new Map<string, number>();
      for (const id of ids) {
        const before = known.get(id) ?? 0;
        const after = before + step;
        if (after === 0) known.delete(id);
        else known.set(id, after);
        if (before === 0 || after === 0) changed.add(resource);
      }
      if (known.size === 0) counts.delete(resource);
      else counts.set(resource, known);
    }
  };
  return {
    replace(before, now) {
      if (before === now) return [];
      // Up before down: what is in both never passes through nothing.
      count(now, 1);
      count(before, -1);
      const resources = [...changed];
      changed.clear();
      return resources;
    },
    of: (resource) => [...(counts.get(resource)?.keys() ?? [])].toSorted(),
  };
}
