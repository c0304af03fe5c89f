// Makes src/kube/generated/vfio-policy-schema.ts: the schema that policy files are checked against, without what only a cluster uses.
import { banner, prettify } from './crd-schema.mjs';

/** @typedef {import('./crd-schema.mjs').CrdKind} CrdKind */
/** @typedef {import('./crd-schema.mjs').CrdSchema} CrdSchema */

/** Other names for the CRD's extensions. Extensions that are not here, and descriptions without a pattern, are left out. */
const renamed = new Map([
  ['x-kubernetes-list-type', 'listType'],
  ['x-kubernetes-list-map-keys', 'listMapKeys'],
  ['x-kubernetes-validations', 'rules'],
]);

/**
 * The text of the generated module: what people write (name and spec, not status).
 * @param {CrdKind} kind
 */
export function buildPolicySchema({ schema }) {
  const name = schema.properties?.['metadata']?.properties?.['name'];
  const spec = schema.properties?.['spec'];
  if (name === undefined || spec === undefined) throw new Error('the CRD has no schema for metadata.name or spec');
  const text = `// ${banner}
import type { StructuralSchema } from '../structural-schema.ts';

/** Schema of a VfioPolicy's \`metadata.name\`. */
export const vfioPolicyNameSchema: StructuralSchema = ${JSON.stringify(trimSchema(name))};

/** Schema of a VfioPolicy's \`spec\`, with its CEL rules. */
export const vfioPolicySpecSchema: StructuralSchema = ${JSON.stringify(trimSchema(spec))};
`;
  return prettify(text, 'typescript');
}

/**
 * Where a text must have a form, the first sentence of its description says which, and is kept for the message.
 * @param {CrdSchema} schema
 * @returns {Record<string, unknown>}
 */
function trimSchema(schema) {
  const { description, properties, items, additionalProperties, ...rest } = schema;
  const plain = Object.entries(rest)
    .filter(([key]) => !key.startsWith('x-kubernetes-') || renamed.has(key))
    .map(([key, value]) => [renamed.get(key) ?? key, value]);
  return {
    ...Object.fromEntries(plain),
    ...(schema.pattern === undefined ? {} : { description: firstSentence(description ?? '') }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: trimSchema(additionalProperties) }),
    ...(items === undefined ? {} : { items: trimSchema(items) }),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([key, child]) => [key, trimSchema(child)])) }),
  };
}

/** @param {string} text */
function firstSentence(text) {
  const end = text.search(/\.(?= [A-Z]|$)/);
  return end === -1 ? text : text.slice(0, end);
}
