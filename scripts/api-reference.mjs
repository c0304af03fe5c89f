// Makes docs/api.md: both kinds field by field, in the words of the CRDs.
import { banner, prettify } from './crd-schema.mjs';

/** @typedef {import('./crd-schema.mjs').CrdKind} CrdKind */
/** @typedef {import('./crd-schema.mjs').CrdSchema} CrdSchema */

/**
 * The text of the page.
 * @param {readonly CrdKind[]} kinds
 */
export function buildReference(kinds) {
  const text = `<!-- ${banner} -->

# The API

\`*\` marks a field that must be given. \`kubectl explain vfiopolicy.spec\` says the same on a terminal. Policies from files are held to
the same schema and rules, get the same defaults, and a field that is not listed here is an error.

${kinds.map(describeKind).join('\n\n')}
`;
  return prettify(text, 'markdown');
}

/** @param {CrdKind} kind */
function describeKind({ kind, group, version, plural, shortNames, categories, schema }) {
  const facts = [
    `\`apiVersion: ${group}/${version}\``,
    `\`kind: ${kind}\``,
    'cluster-scoped',
    `\`kubectl get ${plural}\``,
    `short \`${shortNames.join('`, `')}\``,
    `category \`${categories.join('`, `')}\``,
  ];
  const parts = ['spec', 'status'].flatMap((name) => {
    const part = schema.properties?.[name];
    if (part === undefined) return [];
    return ['', `### ${name}`, '', part.description ?? '', '', ...fieldTable(name, part)];
  });
  return [`## ${kind}`, '', schema.description ?? '', '', `${facts.join('; ')}.`, ...parts, ...ruleTable(schema)].join(
    '\n',
  );
}

/**
 * One row for each field, depth first. The selectors of `exclude` have the fields of those of `devices`.
 * @param {string} path
 * @param {CrdSchema} schema
 */
function fieldTable(path, schema) {
  return ['| field | type | default | meaning |', '|---|---|---|---|', ...fieldRows(path, schema)];
}

/**
 * @param {string} path
 * @param {CrdSchema} schema
 * @returns {string[]}
 */
function fieldRows(path, schema) {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const fieldPath = `${path}.${name}`;
    const star = schema.required?.includes(name) === true ? ' \\*' : '';
    const standard = field.default === undefined ? '' : `\`${JSON.stringify(field.default)}\``;
    const row = `| \`${fieldPath}\`${star} | ${describeType(field)} | ${standard} | ${escapeCell(field.description ?? '')} |`;
    if (fieldPath === 'spec.exclude') return [row];
    return [
      row,
      ...(field.items === undefined ? fieldRows(fieldPath, field) : fieldRows(`${fieldPath}[]`, field.items)),
    ];
  });
}

/**
 * @param {CrdSchema} schema
 * @returns {string}
 */
function describeType(schema) {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.items !== undefined) {
    const limit = schema.maxItems === undefined ? '' : `, at most ${schema.maxItems}`;
    return `list of (${describeType(schema.items)})${limit}`;
  }
  if (schema.additionalProperties !== undefined) return `map to (${describeType(schema.additionalProperties)})`;
  return [
    schema.type,
    ...(schema.minimum === undefined ? [] : [`≥ ${schema.minimum}`]),
    ...(schema.maximum === undefined ? [] : [`≤ ${schema.maximum}`]),
    ...(schema.maxLength === undefined ? [] : [`≤ ${schema.maxLength} characters`]),
    ...(schema.format === 'date-time' ? ['date and time'] : []),
  ].join(', ');
}

/** @param {CrdSchema} schema */
function ruleTable(schema) {
  const rows = collectRules('', schema).map(({ path, message }) => `| \`${path}\` | ${escapeCell(message)} |`);
  if (rows.length === 0) return [];
  return ['', '### Rules between fields', '', '| where | rule |', '|---|---|', ...rows];
}

/**
 * @param {string} path
 * @param {CrdSchema} schema
 * @returns {{ path: string, message: string }[]}
 */
function collectRules(path, schema) {
  const own = schema['x-kubernetes-validations'] ?? [];
  return [
    ...own.map(({ message, fieldPath = '' }) => ({ path: `${path}${fieldPath}`, message })),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
      collectRules(path === '' ? name : `${path}.${name}`, child),
    ),
    ...(schema.items === undefined ? [] : collectRules(`${path}[]`, schema.items)),
  ];
}

/** @param {string} text */
function escapeCell(text) {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '\\<');
}
