// Checks a plain value against a structural schema as the API server does: same verdict, same field paths, defaults filled in; but
// fields it does not know are errors, and every message is a sentence that says what would be right.
import type { StructuralSchema } from './structural-schema.ts';

/** Keys and indexes from the document's root to a field. */
export type FieldKeys = readonly (string | number)[];

/** What is wrong with one field. */
export interface SchemaProblem {
  readonly keys: FieldKeys;
  readonly message: string;
  /** Of the kind after which the API server evaluates no rules between fields, since they could not be trusted. */
  readonly blocking: boolean;
}

/** `value` is a copy with defaults; it means something only when there are no blocking problems. */
export interface SchemaVerdict {
  readonly value: unknown;
  readonly problems: readonly SchemaProblem[];
}

/** Checks `value`, which stands at `keys` in its document. */
export function checkSchema(value: unknown, schema: StructuralSchema, keys: FieldKeys): SchemaVerdict {
  const problems: SchemaProblem[] = [];
  return { value: checkValue(value, schema, keys, problems), problems };
}

/** The way the API server writes it: `spec.devices[0].vendor`. */
export function formatFieldPath(keys: FieldKeys): string {
  return keys.map((key, at) => (typeof key === 'number' ? `[${key}]` : at === 0 ? key : `.${key}`)).join('');
}

type Problems = SchemaProblem[];

function checkValue(value: unknown, schema: StructuralSchema, keys: FieldKeys, problems: Problems): unknown {
  const actual = typeOf(value);
  if (actual !== schema.type) {
    problems.push({ keys, message: describeTypeMismatch(value, actual, schema.type), blocking: true });
    return value;
  }
  if (isObject(value)) return checkObject(value, schema, keys, problems);
  if (Array.isArray(value)) return checkArray(value, schema, keys, problems);
  if (typeof value === 'string') checkText(value, schema, keys, problems);
  if (typeof value === 'number') checkInteger(value, schema, keys, problems);
  return value;
}

/** A null where none is allowed counts as absent, as in the API server. */
function checkObject(
  value: Readonly<Record<string, unknown>>,
  schema: StructuralSchema,
  keys: FieldKeys,
  problems: Problems,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const given = Object.entries(value).filter(([, field]) => field !== null);
  if (schema.maxProperties !== undefined && given.length > schema.maxProperties) {
    problems.push({
      keys,
      message: `has ${given.length} entries; at most ${schema.maxProperties} are allowed`,
      blocking: true,
    });
  }
  for (const [name, field] of given) {
    const known = findProperty(schema, name);
    if (known === undefined) {
      problems.push({ keys: [...keys, name], message: describeUnknownField(schema), blocking: false });
    } else {
      set(result, name, checkValue(field, known, [...keys, name], problems));
    }
  }
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (!Object.hasOwn(result, name) && field.default !== undefined) set(result, name, structuredClone(field.default));
  }
  for (const name of schema.required ?? []) {
    if (Object.hasOwn(result, name)) continue;
    problems.push({ keys: [...keys, name], message: 'is required', blocking: true });
  }
  return result;
}

function findProperty(
  { properties, additionalProperties }: StructuralSchema,
  name: string,
): StructuralSchema | undefined {
  return properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
}

/** `__proto__` is a field name like any other in a document. */
function set(target: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

function checkArray(
  value: readonly unknown[],
  schema: StructuralSchema,
  keys: FieldKeys,
  problems: Problems,
): readonly unknown[] {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    const message = `has ${value.length} items; at most ${schema.maxItems} are allowed`;
    problems.push({ keys, message, blocking: true });
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    const message = `has ${count(value.length)}; at least ${schema.minItems} must be given`;
    problems.push({ keys, message, blocking: false });
  }
  const { items } = schema;
  if (items === undefined) return value;
  const result = value.map((item, index) => checkValue(item, items, [...keys, index], problems));
  checkDuplicates(result, schema, keys, problems);
  return result;
}

function count(length: number): string {
  return length === 0 ? 'no items' : `${length} items`;
}

function checkDuplicates(
  items: readonly unknown[],
  schema: StructuralSchema,
  keys: FieldKeys,
  problems: Problems,
): void {
  if (schema.listType !== 'set' && schema.listType !== 'map') return;
  const seen = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const identity = schema.listType === 'set' ? item : (schema.listMapKeys ?? []).map((key) => readField(item, key));
    const text = JSON.stringify(identity);
    const first = seen.get(text);
    if (first === undefined) seen.set(text, index);
    else problems.push({ keys: [...keys, index], message: `repeats item ${first}: ${shorten(text)}`, blocking: false });
  }
}

function readField(item: unknown, key: string): unknown {
  return isObject(item) ? (item[key] ?? null) : null;
}

/** Lengths count characters, not bytes. */
function checkText(value: string, schema: StructuralSchema, keys: FieldKeys, problems: Problems): void {
  const quoted = shorten(JSON.stringify(value));
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    problems.push({ keys, message: `${quoted} is none of ${schema.enum.join(', ')}`, blocking: true });
    return;
  }
  const length = schema.maxLength === undefined && schema.minLength === undefined ? 0 : [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    const message = `${quoted} has ${length} characters; at most ${schema.maxLength} are allowed`;
    problems.push({ keys, message, blocking: true });
    return;
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    problems.push({ keys, message: 'is empty', blocking: false });
  } else if (schema.pattern !== undefined && !compilePattern(schema.pattern).test(value)) {
    const form = schema.description ?? `it must match ${schema.pattern}`;
    problems.push({ keys, message: `${quoted} has not the right form. ${form}`, blocking: false });
  }
}

const compiledPatterns = new Map<string, RegExp>();

/** There are as many patterns as the schema has. */
function compilePattern(pattern: string): RegExp {
  const compiled = compiledPatterns.get(pattern) ?? new RegExp(pattern, 'u');
  compiledPatterns.set(pattern, compiled);
  return compiled;
}

function checkInteger(value: number, schema: StructuralSchema, keys: FieldKeys, problems: Problems): void {
  const least = schema.minimum ?? Number.MIN_SAFE_INTEGER;
  const most = schema.maximum ?? Number.MAX_SAFE_INTEGER;
  if (value < least) problems.push({ keys, message: `${value} is less than ${least}`, blocking: false });
  if (value > most) problems.push({ keys, message: `${value} is more than ${most}`, blocking: false });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

const typeWords: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number with a fraction or exponent',
  boolean: 'true or false',
  null: 'empty',
};

/** The usual slip is an id or label that YAML reads as a number or a boolean. */
function describeTypeMismatch(value: unknown, actual: string, wanted: string): string {
  const sentence = `must be ${typeWords[wanted] ?? wanted}, and is ${typeWords[actual] ?? actual}`;
  if (wanted !== 'string' || typeof value === 'object') return sentence;
  return `${sentence} (${JSON.stringify(value)}): put it in quotes`;
}

function describeUnknownField(schema: StructuralSchema): string {
  const known = Object.keys(schema.properties ?? {});
  return known.length === 0 ? 'unknown field' : `unknown field; known here are ${known.join(', ')}`;
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
