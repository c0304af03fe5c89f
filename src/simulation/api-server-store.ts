// What the simulated API server keeps: objects of some resources, one count of revisions over all of them as etcd has it, and every
// change there ever was, so that a list can be as old as a test wants.
import { isJsonObject, type Json, type JsonObject, sameJson } from './api-server-merge.ts';

/** A resource it serves. */
export interface ServedResource {
  /** Plural, e.g. `vfiopolicies`. */
  readonly name: string;
  readonly kind: string;
  readonly apiVersion: string;
  /** `/apis/vfio-operator.dev/v1alpha1` or `/api/v1`. */
  readonly root: string;
  readonly namespaced: boolean;
}

/** One change. `before` is null for what was created, `after` for what was deleted. */
export interface StoredChange {
  readonly revision: number;
  readonly resource: string;
  /** `name` or `namespace/name`. */
  readonly key: string;
  readonly before: JsonObject | null;
  readonly after: JsonObject | null;
}

export interface ApiStore {
  readonly revision: number;
  readonly changes: readonly StoredChange[];
  get(resource: string, key: string): JsonObject | null;
  /** Objects by key, in order, as they were at `revision` (default: now). */
  list(resource: string, revision?: number): readonly (readonly [key: string, object: JsonObject])[];
  /** Creates or replaces; the same content again changes nothing. Answers with what is stored. */
  put(resource: ServedResource, key: string, object: JsonObject): JsonObject;
  /** The object as it was, with the revision of its deletion; null when it is not there. */
  remove(resource: string, key: string): JsonObject | null;
  /** Moves the revision on, as writes to other resources do. */
  skip(revisions: number): void;
  onChange(listener: (change: StoredChange) => void): void;
}

export interface ApiStoreOptions {
  readonly now: () => number;
  readonly startsAt: number;
}

/** An empty store. */
export function createApiStore({ now, startsAt }: ApiStoreOptions): ApiStore {
  const objects = new Map<string, JsonObject>();
  const changes: StoredChange[] = [];
  const listeners: ((change: StoredChange) => void)[] = [];
  let revision = startsAt;
  let created = 0;
  const keyOf = (place: string): string => place.slice(place.indexOf(' ') + 1);
  const place = (resource: string, key: string): string => `${resource} ${key}`;
  const commit = (change: Omit<StoredChange, 'revision'>): void => {
    const whole = { ...change, revision };
    changes.push(whole);
    for (const listener of listeners) listener(whole);
  };

  return {
    get revision() {
      return revision;
    },
    changes,
    get: (resource, key) => objects.get(place(resource, key)) ?? null,
    list(resource, at = revision) {
      const found = new Map<string, JsonObject>();
      const now = at >= revision;
      if (now)
        for (const [where, object] of objects) if (where.startsWith(`${resource} `)) found.set(keyOf(where), object);
      for (const change of now ? [] : changes) {
        if (change.revision > at || change.resource !== resource) continue;
        if (change.after === null) found.delete(change.key);
        else found.set(change.key, change.after);
      }
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
    },
    put(resource, key, object) {
      const before = objects.get(place(resource.name, key)) ?? null;
      if (before === null) created += 1;
      const metadata = finishMetadata(object, before, { created, now: now() });
      const content = { ...object, apiVersion: resource.apiVersion, kind: resource.kind, metadata };
      if (before !== null && sameJson(content, before)) return before;
      revision += 1;
      const after = { ...content, metadata: { ...metadata, resourceVersion: String(revision) } };
      objects.set(place(resource.name, key), after);
      commit({ resource: resource.name, key, before, after });
      return after;
    },
    remove(resource, key) {
      const before = objects.get(place(resource, key));
      if (before === undefined) return null;
      revision += 1;
      objects.delete(place(resource, key));
      commit({ resource, key, before, after: null });
      return deletedAt(before, revision);
    },
    skip: (revisions) => void (revision += revisions),
    onChange: (listener) => void listeners.push(listener),
  };
}

/** As a watch shows a deleted object: its last content, with the revision of the deletion. */
export function deletedAt(object: JsonObject, revision: number): JsonObject {
  return { ...object, metadata: { ...metadataOf(object), resourceVersion: String(revision) } };
}

/** `name`, or `namespace/name`. */
export function keyOfObject(object: JsonObject): string {
  const { name, namespace } = metadataOf(object);
  const plain = typeof name === 'string' ? name : '';
  return typeof namespace === 'string' ? `${namespace}/${plain}` : plain;
}

export function metadataOf(object: JsonObject | null): JsonObject {
  return object !== null && isJsonObject(object.metadata) ? object.metadata : {};
}

/** What the server alone writes: uid, creation time, generation (counts changes of anything but metadata and status). */
function finishMetadata(
  object: JsonObject,
  before: JsonObject | null,
  { created, now }: { readonly created: number; readonly now: number },
): JsonObject {
  const old = metadataOf(before);
  const generation = typeof old.generation === 'number' ? old.generation : 0;
  const changed = before === null || !sameJson(intent(object), intent(before));
  const metadata: Record<string, Json> = {
    ...metadataOf(object),
    uid: old.uid ?? `00000000-0000-4000-8000-${String(created).padStart(12, '0')}`,
    creationTimestamp:
      old.creationTimestamp ?? new Date(Math.floor(now / 1000) * 1000).toISOString().replace('.000', ''),
    generation: changed ? generation + 1 : generation,
  };
  if (old.resourceVersion === undefined) delete metadata.resourceVersion;
  else metadata.resourceVersion = old.resourceVersion;
  return metadata;
}

function intent(object: JsonObject): JsonObject {
  const { metadata: _metadata, status: _status, apiVersion: _version, kind: _kind, ...rest } = object;
  return rest;
}
