// Makes src/api/generated/types.ts: one readonly TypeScript type for every object of the API, with the CRD's descriptions.
import { compile } from 'json-schema-to-typescript';
import { banner, prettify } from './crd-schema.mjs';

/** @typedef {import('./crd-schema.mjs').CrdKind} CrdKind */
/** @typedef {import('./crd-schema.mjs').CrdSchema} CrdSchema */

/**
 * Names for the types of nested objects, by path below the kind. Every object with properties needs one, so that names are chosen.
 * @type {Record<string, Record<string, string>>}
 */
const typeNames = {
  VfioPolicy: {
    spec: 'VfioPolicySpec',
    'spec.nodeSelector': 'VfioNodeSelector',
    'spec.nodeSelector.matchExpressions[]': 'VfioNodeExpression',
    'spec.devices[]': 'VfioDeviceSelector',
    'spec.exclude[]': 'VfioDeviceSelector',
    'spec.driver': 'VfioDriver',
    'spec.driver.aliases[]': 'VfioDriverAlias',
    'spec.sriov': 'VfioSriov',
    'spec.resource': 'VfioResource',
    status: 'VfioPolicyStatus',
    'status.conditions[]': 'Condition',
    'status.nodes': 'VfioNodeCounts',
    'status.devices': 'VfioDeviceCounts',
    'status.problems[]': 'VfioPolicyProblem',
  },
  VfioNodeState: {
    status: 'VfioNodeStateStatus',
    'status.kernel': 'VfioNodeKernel',
    'status.conditions[]': 'Condition',
    'status.counts': 'VfioDeviceCounts',
    'status.policies[]': 'VfioNodePolicy',
    'status.resources[]': 'VfioNodeResource',
    'status.devices[]': 'VfioNodeDevice',
    'status.dryRun[]': 'VfioNodeDevice',
    'status.aliasEvidence[]': 'VfioAliasEvidence',
    'status.aliasEvidence[].candidates[]': 'VfioAliasCandidate',
    'status.unread[]': 'VfioUnread',
  },
};

const text = { type: 'string' };
const textMap = { type: 'object', additionalProperties: text };
const setByServer = 'Set by the API server.';

/** The part of Kubernetes's own types that the operator reads or writes. */
const kubernetesTypes = {
  ObjectMeta: {
    description: "The part of Kubernetes's object metadata that the operator reads or writes.",
    type: 'object',
    required: ['name'],
    properties: {
      name: { ...text, description: 'Name of the object.' },
      labels: textMap,
      annotations: textMap,
      uid: { ...text, description: setByServer },
      generation: { type: 'integer', description: `Counts changes of the spec. ${setByServer}` },
      creationTimestamp: { ...text, description: `RFC 3339. ${setByServer}` },
      deletionTimestamp: { ...text, description: `RFC 3339. ${setByServer}` },
      resourceVersion: { ...text, description: `Opaque. ${setByServer}` },
      ownerReferences: { type: 'array', items: reference('OwnerReference') },
    },
  },
  OwnerReference: {
    description: 'The object that this one goes with.',
    type: 'object',
    required: ['apiVersion', 'kind', 'name', 'uid'],
    properties: { apiVersion: text, kind: text, name: text, uid: text },
  },
};

/**
 * The text of the generated module.
 * @param {readonly CrdKind[]} kinds
 */
export async function buildTypes(kinds) {
  /** @type {Record<string, CrdSchema>} */
  const definitions = { ...kubernetesTypes };
  for (const { kind, group, version, schema } of kinds) {
    const { metadata: _, ...properties } = nameProperties(kind, '', schema, definitions);
    definitions[kind] = {
      ...schema,
      required: ['apiVersion', 'kind', 'metadata', ...(schema.required ?? [])],
      properties: {
        ...properties,
        apiVersion: { ...properties['apiVersion'], enum: [`${group}/${version}`] },
        kind: { ...properties['kind'], enum: [kind] },
        metadata: reference('ObjectMeta'),
      },
    };
  }
  const compiled = await compile({ definitions: Object(withoutExtensions(definitions)) }, 'Unused', {
    additionalProperties: false,
    bannerComment: '',
    ignoreMinAndMaxItems: true,
    unreachableDefinitions: true,
    format: false,
  });
  const tidy = compiled
    .replace(/^export interface Unused \{[^}]*\}\n/, '')
    .replace(/\n \* ?\n \* This interface was referenced by `Unused`'s JSON-Schema\n \* via[^\n]+/g, '')
    .replace(/(\n \* ?)?\n \* @(min|max)Items \d+(?=\n)/g, '')
    .replace(/\n \* ?\n \* Items: [^\n]+/g, '')
    .replace(/^(\w+\??: |\[k: string\]: )/gm, 'readonly $1')
    .replace(/: (\([^)]*\)|\w+)\[\]$/gm, ': readonly $1[]');
  return prettify(`// ${banner}\n\n${tidy}`, 'typescript');
}

/**
 * Replaces every named object by a reference, and insists that one name stands for one set of properties.
 * @param {string} kind
 * @param {string} path
 * @param {CrdSchema} schema
 * @param {Record<string, CrdSchema>} definitions
 * @returns {CrdSchema}
 */
function nameTypes(kind, path, schema, definitions) {
  if (schema.items !== undefined) return { ...schema, items: nameTypes(kind, `${path}[]`, schema.items, definitions) };
  if (schema.properties === undefined) return schema;
  const properties = nameProperties(kind, path, schema, definitions);
  const name = typeNames[kind]?.[path];
  if (name === undefined) throw new Error(`scripts/api-types.mjs has no type name for ${kind} ${path}`);
  const known = definitions[name];
  if (known !== undefined && JSON.stringify(known.properties) !== JSON.stringify(properties)) {
    throw new Error(`${kind} ${path}: its properties differ from those of the other ${name}`);
  }
  definitions[name] ??= { ...schema, properties };
  return reference(name);
}

/**
 * @param {string} kind
 * @param {string} path
 * @param {CrdSchema} schema
 * @param {Record<string, CrdSchema>} definitions
 * @returns {Record<string, CrdSchema>}
 */
function nameProperties(kind, path, schema, definitions) {
  const entries = Object.entries(schema.properties ?? {}).filter(([name]) => path !== '' || name !== 'metadata');
  const prefix = path === '' ? '' : `${path}.`;
  return Object.fromEntries(
    entries.map(([name, child]) => [name, nameTypes(kind, `${prefix}${name}`, child, definitions)]),
  );
}

/**
 * @param {string} name
 * @returns {CrdSchema}
 */
function reference(name) {
  return Object({ $ref: `#/definitions/${name}` });
}

/**
 * Drops what json-schema-to-typescript has no use for.
 * @param {unknown} value
 * @returns {unknown}
 */
function withoutExtensions(value) {
  if (Array.isArray(value)) return value.map(withoutExtensions);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([key]) => !key.startsWith('x-kubernetes-') && key !== 'default');
  return Object.fromEntries(kept.map(([key, child]) => [key, withoutExtensions(child)]));
}
