// The three operations of RFC 6902 that we print, and `test`, on plain JSON: enough to see what a patch does.
import type { PatchOperation } from '../../src/domain/kubevirt-permits.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The document after the patch; throws where a test fails or a path leads nowhere. */
export function applyPatch(document: unknown, patch: readonly PatchOperation[]): unknown {
  const root = structuredClone(document) as Json;
  for (const { op, path, value } of patch) {
    const keys = path.split('/').slice(1);
    const last = keys.pop() ?? '';
    const place = keys.reduce<Json | undefined>(
      (at, key) => (at instanceof Object ? Reflect.get(at, key) : undefined),
      root,
    );
    if (!(place instanceof Object)) throw new Error(`${path} leads nowhere`);
    const wanted = structuredClone(value) as Json;
    if (Array.isArray(place)) changeList(place, op, last, wanted, path);
    else changeObject(place, op, last, wanted, path);
  }
  return root;
}

function changeList(place: Json[], op: PatchOperation['op'], last: string, value: Json, path: string): void {
  const index = last === '-' ? place.length : Number(last);
  const there = index < place.length;
  if (op === 'add' && index <= place.length) place.splice(index, 0, value);
  else if (op === 'replace' && there) place[index] = value;
  else if (op === 'remove' && there) place.splice(index, 1);
  else if (op !== 'test' || JSON.stringify(place[index]) !== JSON.stringify(value))
    throw new Error(`${op} ${path} fails`);
}

function changeObject(
  place: { [key: string]: Json },
  op: PatchOperation['op'],
  last: string,
  value: Json,
  path: string,
): void {
  const there = Object.hasOwn(place, last);
  if (op === 'add' || (op === 'replace' && there)) place[last] = value;
  else if (op === 'remove' && there) delete place[last];
  else if (op !== 'test' || JSON.stringify(place[last]) !== JSON.stringify(value))
    throw new Error(`${op} ${path} fails`);
}
