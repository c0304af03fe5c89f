// The part of OpenAPI v3 that a structural CRD schema uses, as scripts/generate-api.mjs writes it for policy files.

/** A CEL rule of the CRD. */
export interface SchemaRule {
  /** Expression over `self`, the value the rule stands at. */
  readonly rule: string;
  /** What a person is told when it does not hold. */
  readonly message: string;
  /** Field below that value that is to be blamed, such as `.allow`. */
  readonly fieldPath?: string;
}

/** One node of a schema. `description` is kept only beside a `pattern`: it says the form in words. */
export interface StructuralSchema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly listType?: 'atomic' | 'set' | 'map';
  readonly listMapKeys?: readonly string[];
  readonly rules?: readonly SchemaRule[];
}
