// The part of every Kubernetes object that our connection reads itself. Objects come from outside: whatever else they hold is unknown.

export interface KubeObject {
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  /** Decimal digits; see `compare-versions.ts`. */
  readonly resourceVersion: string;
  readonly [field: string]: unknown;
}

/** The object, or null when it lacks a name, uid or resourceVersion. */
export function toKubeObject(value: unknown): KubeObject | null {
  if (!isRecord(value) || !isRecord(value.metadata)) return null;
  const { name, namespace, uid, resourceVersion } = value.metadata;
  if (!isText(name) || !isText(uid) || !isText(resourceVersion)) return null;
  if (namespace !== undefined && typeof namespace !== 'string') return null;
  return value as unknown as KubeObject;
}

/** `name`, or `namespace/name` of a namespaced object. */
export function objectKey({ metadata }: KubeObject): string {
  return metadata.namespace === undefined || metadata.namespace === ''
    ? metadata.name
    : `${metadata.namespace}/${metadata.name}`;
}

/** A JSON object, as opposed to an array, null or a scalar. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
