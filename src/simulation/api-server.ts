// An API server that behaves, below the HTTP port: lists in pages, watches with bookmarks, versions, server-side apply, and every fault
// of `api-server-faults.ts`. What it answers to whom and when depends on the clock and the calls alone.
import { type Http, type HttpAnswer, HttpError, type HttpRequest } from '../kube/ports.ts';
import type { Clock } from '../runtime/ports.ts';
import { type ApiFaults, createApiFaults, type FaultState } from './api-server-faults.ts';
import type { JsonObject } from './api-server-merge.ts';
import {
  answerDiscovery,
  answerList,
  answerObject,
  type ApiTarget,
  findTarget,
  type PlainAnswer,
  statusAnswer,
} from './api-server-requests.ts';
import { type ApiStore, createApiStore, keyOfObject, metadataOf, type ServedResource } from './api-server-store.ts';
import { type ByteStream, createByteStream } from './api-server-stream.ts';
import {
  type ApiWatches,
  createApiWatches,
  createSelection,
  goneStatus,
  type WatchRequest,
} from './api-server-watches.ts';

/** A request as it came. */
export interface SeenRequest {
  /** Wall clock, milliseconds. */
  readonly at: number;
  /** HTTP method, or WATCH. */
  readonly verb: string;
  /** Without query. */
  readonly path: string;
  /** What was answered; null where nothing was. */
  status: number | null;
}

export interface SimulatedApiServer {
  /** A client's connections. */
  connect(): Http;
  readonly faults: ApiFaults;
  /** Every request since the beginning. */
  readonly seen: readonly SeenRequest[];
  readonly revision: number;
  /** Watches that run. */
  readonly watches: number;
  /** The truth: an object now, null when it is not there. `key`: `name` or `namespace/name`. */
  get(resource: string, key: string): JsonObject | null;
  /** The truth: all of a resource, in order of their keys. */
  list(resource: string): readonly JsonObject[];
  /** As another user with every right: creates or replaces the object, its status too when given (else the old one stays). */
  put(resource: string, object: JsonObject): JsonObject;
  /** As another user: false when it was not there. */
  delete(resource: string, key: string): boolean;
  /**
   * Deletes the CRD behind a resource, as the API server does it: nothing can be created any more, the objects go one by one, and five
   * seconds later the resource itself.
   */
  deleteCrd(resource: string): void;
  /** The CRD is there again, and nothing of what was. */
  createCrd(resource: string): void;
  /** Others write other things: the revision moves on. */
  skip(revisions: number): void;
}

export interface ApiServerOptions {
  readonly clock: Clock;
  readonly resources?: readonly ServedResource[];
  /** Revision before the first write; default 100. */
  readonly startsAt?: number;
  /** Longest piece of a body; default: whole. */
  readonly pieceBytes?: number;
}

const ours = { apiVersion: 'vfio-operator.dev/v1alpha1', root: '/apis/vfio-operator.dev/v1alpha1', namespaced: false };

/** What our programs ask for. */
export const usualResources: readonly ServedResource[] = [
  { ...ours, name: 'vfiopolicies', kind: 'VfioPolicy' },
  { ...ours, name: 'vfionodestates', kind: 'VfioNodeState' },
  { name: 'nodes', kind: 'Node', apiVersion: 'v1', root: '/api/v1', namespaced: false },
  { name: 'pods', kind: 'Pod', apiVersion: 'v1', root: '/api/v1', namespaced: true },
  { name: 'events', kind: 'Event', apiVersion: 'events.k8s.io/v1', root: '/apis/events.k8s.io/v1', namespaced: true },
  {
    name: 'leases',
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    root: '/apis/coordination.k8s.io/v1',
    namespaced: true,
  },
];

/** Builds an empty, healthy server. */
export function createApiServer(options: ApiServerOptions): SimulatedApiServer {
  const { clock, resources = usualResources, startsAt = 100, pieceBytes = Infinity } = options;
  const store = createApiStore({ now: () => clock.now(), startsAt });
  const watches = createApiWatches(clock, () => store.revision);
  const connections = new Set<() => void>();
  const breakAnswers = (): void => {
    for (const breakAll of connections) breakAll();
  };
  const faults = createApiFaults({ watches, revision: () => store.revision, breakAnswers });
  const seen: SeenRequest[] = [];
  store.onChange((change) => watches.tell(change));
  const server: Parts = { clock, resources, store, watches, faults, seen, pieceBytes, crds: new Map() };

  return {
    connect: () => connect(server, connections),
    faults,
    seen,
    get revision() {
      return store.revision;
    },
    get watches() {
      return watches.count;
    },
    get: (resource, key) => store.get(resource, key),
    list: (resource) => store.list(resource).map(([, object]) => object),
    put: (resource, object) => putAsOther(server, resource, object),
    delete: (resource, key) => store.remove(resource, key) !== null,
    deleteCrd: (resource) => deleteCrd(server, resource),
    createCrd: (resource) => void server.crds.delete(resource),
    skip: (revisions) => store.skip(revisions),
  };
}

interface Parts {
  readonly clock: Clock;
  readonly resources: readonly ServedResource[];
  readonly store: ApiStore;
  readonly watches: ApiWatches;
  readonly faults: ApiFaults & FaultState;
  readonly seen: SeenRequest[];
  readonly pieceBytes: number;
  /** Of resources whose CRD was deleted. */
  readonly crds: Map<string, 'terminating' | 'gone'>;
}

/** Where the API server's finalizer looks again whether all objects are gone. */
const crdPollInterval = 5000;

function deleteCrd({ clock, store, watches, crds }: Parts, resource: string): void {
  crds.set(resource, 'terminating');
  for (const [key] of store.list(resource)) store.remove(resource, key);
  clock.after(crdPollInterval, () => {
    if (!crds.has(resource)) return;
    crds.set(resource, 'gone');
    watches.endAll();
  });
}

function putAsOther({ store, resources }: Parts, name: string, object: JsonObject): JsonObject {
  const resource = resources.find((one) => one.name === name);
  if (resource === undefined) throw new Error(`the simulated API server does not serve '${name}'`);
  const before = store.get(name, keyOfObject(object));
  const status = object.status ?? before?.status;
  const { managedFields } = metadataOf(before);
  const metadata = { ...metadataOf(object), ...(managedFields === undefined ? {} : { managedFields }) };
  return store.put(resource, keyOfObject(object), { ...object, metadata, ...(status === undefined ? {} : { status }) });
}

/** What ends the exchanges of one client that are under way. */
type Breakers = Set<() => void>;

function connect(server: Parts, connections: Set<() => void>): Http {
  const { clock, faults, seen } = server;
  const open: Breakers = new Set();
  let closed = false;
  const breakAll = (): void => {
    for (const breakOne of open) breakOne();
  };
  connections.add(breakAll);
  return {
    async send(request, { deadline }) {
      const [path = ''] = request.path.split('?');
      const verb = request.path.includes('watch=1') ? 'WATCH' : request.method;
      const entry: SeenRequest = { at: clock.now(), verb, path, status: null };
      seen.push(entry);
      if (closed) throw new HttpError('ECANCELED', 'simulated: closed');
      if (faults.away) throw new HttpError('ECONNREFUSED', 'simulated: connection refused');
      const cut = Promise.withResolvers<never>();
      const fail = (code: string): void => cut.reject(new HttpError(code, `simulated: ${code}`));
      const timer = clock.after(deadline, () => fail('ETIMEDOUT'));
      const breakOne = (): void => fail('ECONNRESET');
      open.add(breakOne);
      try {
        return await Promise.race([serve(server, request, entry, open), cut.promise]);
      } finally {
        timer.cancel();
        open.delete(breakOne);
      }
    },
    close() {
      closed = true;
      breakAll();
      connections.delete(breakAll);
    },
  };
}

/** The answer, once the server comes to it. */
async function serve(server: Parts, request: HttpRequest, entry: SeenRequest, open: Breakers): Promise<HttpAnswer> {
  const { clock, faults, resources } = server;
  await faults.thawed();
  if (faults.late > 0) await new Promise<void>((resolve) => void clock.after(faults.late, resolve));
  await faults.thawed();
  if (faults.away) throw new HttpError('ECONNRESET', 'simulated: the server went away');
  const url = new URL(request.path, 'https://simulated');
  const found = findTarget(resources, url.pathname);
  const target = found !== null && server.crds.get(found.resource.name) === 'gone' ? null : found;
  const fault = faults.meet(request, target?.resource.name ?? null);
  const stream = createByteStream(() => open.delete(breakOne), server.pieceBytes);
  const breakOne = (): void => stream.break('ECONNRESET');
  open.add(breakOne);
  const answer = (status: number, headers = {}): HttpAnswer => {
    entry.status = status;
    const all = { 'content-type': 'application/json', ...headers };
    return { status, headers: all, body: stream.body, abort: () => stream.abort() };
  };
  const query = url.searchParams;
  const watched = fault === null && target !== null && query.get('watch') === '1';
  const refusal = watched ? startWatch(server, target, query, stream) : undefined;
  if (refusal === null) return answer(200);
  const met = fault === 'cut' ? null : fault;
  const plain = met ?? refusal ?? answerPlain(server, target, request, url);
  const text = JSON.stringify(plain.body);
  stream.write(fault === 'cut' ? text.slice(0, text.length >> 1) : text);
  if (fault === 'cut') stream.break('ECONNRESET');
  else stream.end();
  return answer(plain.status, plain.headers);
}

/** Null when the watch runs. */
function startWatch(server: Parts, target: ApiTarget, query: URLSearchParams, stream: ByteStream): PlainAnswer | null {
  const { store, watches, faults } = server;
  const { resource } = target;
  const from = Number(query.get('resourceVersion') ?? '0');
  if (from > store.revision) return statusAnswer(504, 'Timeout', `Too large resource version: ${from}`);
  if (from < faults.compacted) {
    // The real one says so within a stream of status 200.
    stream.write(`${JSON.stringify({ type: 'ERROR', object: goneStatus })}\n`);
    stream.end();
    return null;
  }
  const request: WatchRequest = {
    resource: resource.name,
    kind: resource.kind,
    apiVersion: resource.apiVersion,
    selects: createSelection(target.namespace, query),
    from,
    bookmarks: query.get('allowWatchBookmarks') === 'true',
    seconds: Number(query.get('timeoutSeconds') ?? '0') || null,
  };
  const past = store.changes.filter((change) => change.revision > from);
  watches.open(request, stream, past);
  return null;
}

function answerPlain(
  { store, faults, resources, crds }: Parts,
  target: ApiTarget | null,
  request: HttpRequest,
  url: URL,
): PlainAnswer {
  const unknown = statusAnswer(404, 'NotFound', 'the server could not find the requested resource');
  if (target === null) {
    const present = resources.filter(({ name }) => faults.refusal(name) !== 404 && crds.get(name) !== 'gone');
    return answerDiscovery(present, url.pathname, (resource) => crds.has(resource)) ?? unknown;
  }
  if (request.method === 'POST' && crds.has(target.resource.name))
    return statusAnswer(405, 'MethodNotAllowed', 'create not allowed while custom resource definition is terminating');
  if (request.method !== 'GET' || target.name !== null) return answerObject(store, target, request, url.searchParams);
  return answerList(store, target, url.searchParams, faults.view(store.revision));
}
