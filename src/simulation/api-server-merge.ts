// How a patch changes an object: JSON merge patch (RFC 7386), and server-side apply as far as our kinds need it: maps merge, lists are
// atomic, what a manager applied before and no longer does goes, and a forced apply takes over what others own.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [field: string]: Json;
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** RFC 7386: null removes. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const result: Record<string, Json> = { ...(isJsonObject(target) ? target : {}) };
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field];
    else result[field] = mergePatch(result[field], value);
  }
  return result;
}

/** What `manager`'s new configuration makes of the object, given what it applied before. */
export function applyConfiguration(target: JsonObject, before: JsonObject, now: JsonObject): JsonObject {
  const result: Record<string, Json> = { ...target };
  for (const [field, value] of Object.entries(before)) {
    if (field in now) continue;
    const rest = isJsonObject(value) ? withoutApplied(result[field], value) : undefined;
    if (rest === undefined) delete result[field];
    else result[field] = rest;
  }
  for (const [field, value] of Object.entries(now)) {
    const old = before[field];
    result[field] = isJsonObject(value) ? applyConfiguration(toObject(result[field]), toObject(old), value) : value;
  }
  return result;
}

/** The map without the fields that were applied; undefined when nothing is left. */
function withoutApplied(target: Json | undefined, applied: JsonObject): Json | undefined {
  const rest = applyConfiguration(toObject(target), applied, {});
  return Object.keys(rest).length === 0 ? undefined : rest;
}

function toObject(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** Equal as JSON, whatever the order of fields. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value: Json, index) => sameJson(value, b[index] as Json));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const fields = Object.keys(a);
  return fields.length === Object.keys(b).length && fields.every((field) => field in b && sameJson(a[field], b[field]));
}
