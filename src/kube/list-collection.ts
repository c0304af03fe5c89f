// A complete list of a collection, page by page. Guarantees: either every page of one snapshot was read, or there is no list.
// Whether it is new enough to be believed is the store's to say.
import type { ApiAnswer, ApiConnection } from './api-connection.ts';
import { ApiError } from './api-error.ts';
import { isVersion } from './compare-versions.ts';
import { isRecord, type KubeObject, objectKey, toKubeObject } from './kube-object.ts';
import type { KeptObject } from './watched-store.ts';
import { failedAnswer, failedRequest, type WatchFailure, type WatchProblemCode } from './watch-problem.ts';

export interface ListOptions<T> {
  readonly connection: ApiConnection;
  readonly path: string;
  /** `fieldSelector`, `labelSelector`. */
  readonly selectors: Readonly<Record<string, string>>;
  readonly pageSize: number;
  /** The list shall not be older; null: the newest there is, by a consistent read. */
  readonly notOlderThan: string | null;
  readonly take: (object: KubeObject) => KeptObject<T>;
}

export type ListResult<T> =
  | { readonly complete: true; readonly version: string; readonly objects: ReadonlyMap<string, KeptObject<T>> }
  /** `tooLarge`: a smaller page may succeed. */
  | { readonly complete: false; readonly failure: WatchFailure; readonly tooLarge: boolean };

/** A server that goes on for ever is none. */
const mostPages = 100_000;

/** Lists; never rejects but for programming errors. */
export async function listCollection<T>(options: ListOptions<T>): Promise<ListResult<T>> {
  const what = `list of ${options.path}`;
  const objects = new Map<string, KeptObject<T>>();
  let version: string | null = null;
  let next: string | null = null;
  try {
    for (let page = 1; page <= mostPages; page += 1) {
      const answer = await options.connection.request({
        method: 'GET',
        path: options.path,
        query: pageQuery(options, next),
      });
      if (answer.status !== 200) return refuse(what, answer, page);
      const read = readPage(answer.body);
      if (typeof read === 'string') return fail('BadAnswer', `${what}: ${read}`);
      // One snapshot has one version; another one means that the pages do not belong together.
      if (version !== null && version !== read.version)
        return fail('Partial', `${what}: page ${page} has version ${read.version}, the first had ${version}`);
      version = read.version;
      for (const object of read.objects) {
        if (objects.has(objectKey(object))) return fail('BadAnswer', `${what}: ${objectKey(object)} is there twice`);
        objects.set(objectKey(object), options.take(object));
      }
      if (read.next === null) return { complete: true, version, objects };
      if (read.next === next) return fail('BadAnswer', `${what}: page ${page} continues at itself`);
      next = read.next;
    }
    return fail('BadAnswer', `${what}: it does not end`);
  } catch (error) {
    const failure = failedRequest(error);
    return {
      complete: false,
      failure: next === null ? failure : asPartial(failure),
      tooLarge: error instanceof ApiError && error.code === 'TooLarge' && options.pageSize > 1,
    };
  }
}

function pageQuery<T>(options: ListOptions<T>, next: string | null): Readonly<Record<string, string>> {
  const query: Record<string, string> = { ...options.selectors, limit: String(options.pageSize) };
  if (next !== null) return { ...query, continue: next };
  // Without a version the API server reads consistently. With one, its watch cache may answer once it has come that far: enough for
  // us, and a fleet that starts again does not go through to etcd.
  if (options.notOlderThan === null) return query;
  return { ...query, resourceVersion: options.notOlderThan, resourceVersionMatch: 'NotOlderThan' };
}

interface Page {
  readonly objects: readonly KubeObject[];
  readonly version: string;
  /** Where the next page begins; null on the last. */
  readonly next: string | null;
}

/** The page, or what is wrong with it. */
function readPage(body: unknown): Page | string {
  if (!isRecord(body) || !isRecord(body.metadata) || !Array.isArray(body.items)) return 'the answer is not a list';
  const { resourceVersion, continue: next } = body.metadata;
  if (!isVersion(resourceVersion)) return `a list with resourceVersion '${String(resourceVersion)}'`;
  if (next !== undefined && typeof next !== 'string') return 'a list with a continue token that is no text';
  const objects: KubeObject[] = [];
  for (const item of body.items as readonly unknown[]) {
    const object = toKubeObject(item);
    if (object === null || !isVersion(object.metadata.resourceVersion))
      return 'an item without name, uid or version that can be compared';
    objects.push(object);
  }
  return { objects, version: resourceVersion, next: next === undefined || next === '' ? null : next };
}

/** A later page that fails leaves a part; 410 there: the snapshot was compacted away while we read, and we begin again. */
function refuse<T>(what: string, answer: ApiAnswer, page: number): ListResult<T> {
  const failure = failedAnswer(page === 1 ? what : `page ${page} of the ${what}`, answer);
  return { complete: false, failure: page === 1 ? failure : asPartial(failure), tooLarge: false };
}

function asPartial({ problem, retryAfter }: WatchFailure): WatchFailure {
  return { problem: { code: 'Partial', message: problem.message }, retryAfter };
}

function fail<T>(code: WatchProblemCode, message: string): ListResult<T> {
  return { complete: false, failure: { problem: { code, message }, retryAfter: null }, tooLarge: false };
}
