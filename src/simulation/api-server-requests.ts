// What the simulated API server answers to a request for objects, faults aside: get, list in pages, create, update, patch, delete,
// each with the status and the Status object of the real one.
import type { HttpRequest } from '../kube/ports.ts';
import { applyConfiguration, isJsonObject, type Json, type JsonObject, mergePatch } from './api-server-merge.ts';
import { type ApiStore, metadataOf, type ServedResource } from './api-server-store.ts';
import { createSelection } from './api-server-watches.ts';

export interface PlainAnswer {
  readonly status: number;
  readonly body: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where a path leads. */
export interface ApiTarget {
  readonly resource: ServedResource;
  readonly namespace: string | null;
  readonly name: string | null;
  readonly subresource: string | null;
}

export interface ListView {
  /** Lists show this revision instead of the newest. */
  readonly revision: number;
  /** Refuses a list that shall not be older than what it has; else it lies. */
  readonly honest: boolean;
}

/** The target of a path without query, null where nothing is served. */
export function findTarget(resources: readonly ServedResource[], path: string): ApiTarget | null {
  for (const resource of resources) {
    if (!path.startsWith(`${resource.root}/`)) continue;
    const parts = path
      .slice(resource.root.length + 1)
      .split('/')
      .map(decodeURIComponent);
    const namespace = parts[0] === 'namespaces' && parts.length > 2 ? (parts[1] ?? null) : null;
    const [plural, name = null, subresource = null] = namespace === null ? parts : parts.slice(2);
    if (plural !== resource.name || (name !== null && resource.namespaced !== (namespace !== null))) continue;
    return { resource, namespace, name, subresource };
  }
  return null;
}

/** A Status object as an answer. */
export function statusAnswer(code: number, reason: string, message: string, extra: JsonObject = {}): PlainAnswer {
  const body = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code, ...extra };
  return { status: code, body };
}

const usualVerbs = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];

/** What discovery says of `/apis/GROUP/VERSION`; null where that is no such path. */
export function answerDiscovery(
  resources: readonly ServedResource[],
  path: string,
  isTerminating: (resource: string) => boolean,
): PlainAnswer | null {
  const served = resources.filter(({ root }) => root === path);
  if (served.length === 0) return null;
  const list = served.map(({ name, kind, namespaced }) => ({
    name,
    kind,
    namespaced,
    verbs: isTerminating(name) ? usualVerbs.filter((verb) => verb !== 'create') : usualVerbs,
  }));
  const groupVersion = served[0]?.apiVersion ?? '';
  return { status: 200, body: { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: list } };
}

/** Lists one page. */
export function answerList(store: ApiStore, target: ApiTarget, query: URLSearchParams, view: ListView): PlainAnswer {
  const wanted = Number(query.get('resourceVersion') ?? '0');
  if (wanted > view.revision && view.honest)
    return statusAnswer(504, 'Timeout', `Too large resource version: ${wanted}, current: ${view.revision}`, {
      details: {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        retryAfterSeconds: 1,
      },
    });
  const [at = String(view.revision), after = ''] = query.get('continue')?.split('|') ?? [];
  const limit = Number(query.get('limit') ?? '0') || Infinity;
  const selects = createSelection(target.namespace, query);
  const all = store.list(target.resource.name, Number(at)).filter(([, object]) => selects(object));
  const rest = all.filter(([key]) => key > after);
  const page = rest.slice(0, limit);
  const more = rest.length > page.length ? { continue: `${at}|${page.at(-1)?.[0] ?? ''}` } : {};
  const { kind, apiVersion } = target.resource;
  const body = {
    kind: `${kind}List`,
    apiVersion,
    metadata: { resourceVersion: at, ...more },
    items: page.map(([, object]) => object),
  };
  return { status: 200, body };
}

/** Everything with a name, and create. `request.body` is JSON. */
export function answerObject(
  store: ApiStore,
  target: ApiTarget,
  request: HttpRequest,
  query: URLSearchParams,
): PlainAnswer {
  const { resource, namespace } = target;
  const sent = parseBody(request.body);
  const { name: sentName } = metadataOf(sent);
  const name = target.name ?? (typeof sentName === 'string' ? sentName : '');
  const key = namespace === null ? name : `${namespace}/${name}`;
  const before = store.get(resource.name, key);
  const write = (object: JsonObject, status = 200): PlainAnswer => ({ status, body: store.put(resource, key, object) });
  const missing = (): PlainAnswer => statusAnswer(404, 'NotFound', `${resource.name} "${name}" not found`);
  switch (request.method) {
    case 'GET':
      return before === null ? missing() : { status: 200, body: before };
    case 'POST':
      if (sent === null || name === '') return statusAnswer(422, 'Invalid', 'metadata.name: Required value');
      if (before !== null) return statusAnswer(409, 'AlreadyExists', `${resource.name} "${name}" already exists`);
      return write(named(withoutStatus(sent, null), name, namespace), 201);
    case 'PUT':
      if (before === null) return missing();
      if (sent === null) return statusAnswer(400, 'BadRequest', 'the body is no object');
      if (isOutdated(sent, before)) return conflict(resource, name);
      return write(named(limitTo(target, sent, before), name, namespace));
    case 'PATCH': {
      const type = request.headers['content-type'] ?? '';
      if (sent === null) return statusAnswer(400, 'BadRequest', 'the body is no object');
      if (type === 'application/apply-patch+yaml')
        return apply(store, target, key, sent, query.get('fieldManager') ?? '');
      if (type !== 'application/merge-patch+json')
        return statusAnswer(415, 'UnsupportedMediaType', `not served: ${type}`);
      if (before === null) return missing();
      if (isOutdated(sent, before)) return conflict(resource, name);
      return write(named(limitTo(target, mergePatch(before, sent) as JsonObject, before), name, namespace));
    }
    case 'DELETE': {
      const removed = store.remove(resource.name, key);
      return removed === null ? missing() : { status: 200, body: removed };
    }
    default:
      return statusAnswer(405, 'MethodNotAllowed', `${request.method} is not supported`);
  }
}

/** Server-side apply with force. What each manager applied is remembered whole in managedFields. */
function apply(store: ApiStore, target: ApiTarget, key: string, sent: JsonObject, manager: string): PlainAnswer {
  if (manager === '') return statusAnswer(400, 'BadRequest', 'fieldManager is required for apply patch');
  const { resource, namespace, subresource } = target;
  const before = store.get(resource.name, key);
  if (before === null && subresource !== null)
    return statusAnswer(404, 'NotFound', `${resource.name} "${key}" not found`);
  const isOwn = (entry: JsonObject): boolean => entry.manager === manager && entry.subresource === (subresource ?? '');
  const managed = managedFields(before);
  const own = managed.find(isOwn);
  const configuration = configurationOf(target, sent);
  const result = applyConfiguration(before ?? {}, (own?.fieldsV1 ?? {}) as JsonObject, configuration);
  const entry = { manager, operation: 'Apply', subresource: subresource ?? '', fieldsV1: configuration };
  const stored = named(result, target.name ?? '', namespace);
  const metadata = { ...metadataOf(stored), managedFields: [...managed.filter((one) => !isOwn(one)), entry] };
  return { status: before === null ? 201 : 200, body: store.put(resource, key, { ...stored, metadata }) };
}

function managedFields(object: JsonObject | null): readonly JsonObject[] {
  const { managedFields: entries } = metadataOf(object);
  return Array.isArray(entries) ? entries.filter(isJsonObject) : [];
}

function configurationOf({ subresource }: ApiTarget, sent: JsonObject): JsonObject {
  if (subresource !== null) return subresource in sent ? { [subresource]: sent[subresource] ?? null } : {};
  const { name: _name, resourceVersion: _version, uid: _uid, managedFields: _managed, ...metadata } = metadataOf(sent);
  return { ...withoutStatus(sent, null), metadata };
}

/** A write to the object leaves its status, a write to a sub-resource everything else. */
function limitTo({ subresource }: ApiTarget, sent: JsonObject, before: JsonObject): JsonObject {
  if (subresource === null) return withoutStatus(sent, before);
  return { ...before, [subresource]: sent[subresource] ?? null };
}

function withoutStatus(object: JsonObject, before: JsonObject | null): JsonObject {
  const { status: _status, ...rest } = object;
  return before?.status === undefined ? rest : { ...rest, status: before.status };
}

function named(object: JsonObject, name: string, namespace: string | null): JsonObject {
  return { ...object, metadata: { ...metadataOf(object), name, ...(namespace === null ? {} : { namespace }) } };
}

/** A write that names a version must name the newest. */
function isOutdated(sent: JsonObject, before: JsonObject): boolean {
  const { resourceVersion } = metadataOf(sent);
  return resourceVersion !== undefined && resourceVersion !== metadataOf(before).resourceVersion;
}

function conflict({ name: plural }: ServedResource, name: string): PlainAnswer {
  return statusAnswer(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${plural} "${name}": the object has been modified`,
  );
}

function parseBody(body: string | null): JsonObject | null {
  if (body === null) return null;
  const value = JSON.parse(body) as Json;
  return isJsonObject(value) ? value : null;
}
