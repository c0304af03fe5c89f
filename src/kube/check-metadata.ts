// Checks the metadata of a policy from a file by the API server's rules for names, labels and annotations of cluster-scoped objects.
// What only the API server sets (uid, generation, times, managedFields) may stand there, as in a file made from `kubectl get`, and is dropped.
import type { ObjectMeta } from '../api/generated/types.ts';
import { checkSchema } from './check-schema.ts';
import type { SchemaProblem } from './check-schema.ts';
import { vfioPolicyNameSchema } from './generated/vfio-policy-schema.ts';
import type { StructuralSchema } from './structural-schema.ts';

/** Fields of Kubernetes's ObjectMeta that a file may carry and that mean nothing there; a cluster-scoped object loses its namespace. */
const dropped = new Set([
  'namespace',
  'selfLink',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'ownerReferences',
  'finalizers',
  'managedFields',
]);

const texts: StructuralSchema = { type: 'object', additionalProperties: { type: 'string' } };
const schema: StructuralSchema = {
  type: 'object',
  required: ['name'],
  properties: { name: vfioPolicyNameSchema, labels: texts, annotations: texts },
};

// The forms are those of apimachinery's validation: RFC 1123 subdomains, qualified names, label values.
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const namePart = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** `value` is the metadata cut down to name, labels and annotations. */
export function checkMetadata(metadata: unknown): {
  readonly value: ObjectMeta;
  readonly problems: readonly SchemaProblem[];
} {
  const own = isObject(metadata) ? withoutDropped(metadata) : (metadata ?? {});
  const { value, problems } = checkSchema(own, schema, ['metadata']);
  const checked = value as ObjectMeta;
  if (problems.some(({ blocking }) => blocking)) return { value: checked, problems };
  return {
    value: checked,
    problems: [
      ...problems,
      ...findNameProblems(checked.name),
      ...findKeyProblems('labels', checked.labels ?? {}),
      ...findKeyProblems('annotations', checked.annotations ?? {}),
      ...findValueProblems(checked.labels ?? {}),
    ],
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutDropped(metadata: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !dropped.has(name)));
}

function findNameProblems(name: string): SchemaProblem[] {
  if (subdomain.test(name)) return [];
  const message = `${JSON.stringify(name)} is no valid name: lower-case letters, digits, - and . with a letter or digit at both ends`;
  return [{ keys: ['metadata', 'name'], message, blocking: false }];
}

/** The API server puts these problems on the whole map. */
function findKeyProblems(field: 'labels' | 'annotations', map: Readonly<Record<string, string>>): SchemaProblem[] {
  return Object.keys(map)
    .filter((key) => !isQualifiedName(field === 'annotations' ? key.toLowerCase() : key))
    .map((key) => ({
      keys: ['metadata', field],
      message: `${JSON.stringify(key)} is no valid key: an optional DNS prefix and a slash, then at most 63 letters, digits, - _ and . with a letter or digit at both ends`,
      blocking: false,
    }));
}

function findValueProblems(labels: Readonly<Record<string, string>>): SchemaProblem[] {
  return Object.entries(labels)
    .filter(([, value]) => value !== '' && !(value.length <= 63 && namePart.test(value)))
    .map(([key, value]) => ({
      keys: ['metadata', 'labels'],
      message: `${JSON.stringify(value)} (of ${key}) is no valid label value: at most 63 letters, digits, - _ and . with a letter or digit at both ends`,
      blocking: false,
    }));
}

function isQualifiedName(key: string): boolean {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  const [prefix] = parts;
  if (parts.length > 2 || name.length > 63 || !namePart.test(name)) return false;
  return parts.length === 1 || (prefix !== undefined && prefix.length <= 253 && subdomain.test(prefix));
}
