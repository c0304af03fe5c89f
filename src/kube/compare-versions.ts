// The order of resourceVersions. Since Kubernetes 1.35 the API promises what etcd's revisions always were: decimal numbers without
// leading zeros that compare across all objects of one resource (KEP-5504). They may outgrow a double, so they are compared as text.

const longest = 20;

/** Whether this is a resourceVersion that can be compared. */
export function isVersion(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longest && /^(?:0|[1-9]\d*)$/.test(value);
}

/** Negative when `a` is older than `b`, 0 when equal. Both must be versions (`isVersion`). */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The newer of two, where null is older than all. */
export function newerVersion(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return compareVersions(a, b) >= 0 ? a : b;
}
