// Evaluates the CEL rules of the CRD on a value, so that a file is told what the API server would say, at the same path and in the
// same words. Only what validates files imports this: the CEL library must not be loaded by an agent in a cluster.
import { Environment } from '@marcbachmann/cel-js';
import type { FieldKeys, SchemaProblem } from './check-schema.ts';
import type { SchemaRule, StructuralSchema } from './structural-schema.ts';

/**
 * Checks every rule of `schema` and of what lies below it. `value` must be valid by the schema, defaults filled in, but for problems
 * that do not block (see `SchemaProblem`). A rule that cannot be evaluated does not hold.
 */
export function checkRules(value: unknown, schema: StructuralSchema, keys: FieldKeys): readonly SchemaProblem[] {
  if (value === undefined) return [];
  return [
    ...(schema.rules ?? []).flatMap((rule) => checkRule(rule, value, schema, keys)),
    ...listChildren(value, schema).flatMap(({ key, child, below }) => checkRules(child, below, [...keys, key])),
  ];
}

interface Child {
  readonly key: string | number;
  readonly child: unknown;
  readonly below: StructuralSchema;
}

/** What lies directly below a value and is known to the schema. */
function listChildren(value: unknown, { items, properties, additionalProperties }: StructuralSchema): Child[] {
  if (Array.isArray(value)) {
    return items === undefined ? [] : value.map((child: unknown, key) => ({ key, child, below: items }));
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    const own = properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    return own === undefined ? [] : [{ key, child, below: own }];
  });
}

function checkRule(rule: SchemaRule, value: unknown, schema: StructuralSchema, keys: FieldKeys): SchemaProblem[] {
  const at = [...keys, ...(rule.fieldPath ?? '').split('.').filter((key) => key !== '')];
  try {
    const holds: unknown = compileRule(rule.rule)({ self: toCelValue(value, schema) });
    return holds === true ? [] : [{ keys: at, message: rule.message, blocking: false }];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [{ keys: at, message: `${rule.message} (the rule could not be evaluated: ${why})`, blocking: false }];
  }
}

type CompiledRule = (context: Readonly<Record<string, unknown>>) => unknown;

const environment = new Environment().registerVariable('self', 'dyn');
const compiledRules = new Map<string, CompiledRule>();

/** There are as many rules as the schema has. */
function compileRule(rule: string): CompiledRule {
  const compiled = compiledRules.get(rule) ?? environment.parse(rule);
  compiledRules.set(rule, compiled);
  return compiled;
}

/** Words that CEL keeps for itself; the API server shows a field of such a name as `__NAME__` (apiserver, pkg/cel/escaping.go). */
const reservedWords: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** The value as the API server shows it to a rule: whole numbers as int, fields of known objects under their CEL names. */
function toCelValue(value: unknown, schema: StructuralSchema): unknown {
  if (typeof value === 'number' && schema.type === 'integer') return BigInt(value);
  const children = listChildren(value, schema);
  if (Array.isArray(value)) return children.map(({ child, below }) => toCelValue(child, below));
  if (typeof value !== 'object' || value === null) return value;
  const known = schema.properties ?? {};
  return new Map(
    children.map(({ key, child, below }) => [
      Object.hasOwn(known, key) && reservedWords.has(String(key)) ? `__${key}__` : String(key),
      toCelValue(child, below),
    ]),
  );
}
