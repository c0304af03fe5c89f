// What is known of a collection: per object its version and what the owner keeps of it, and the version of the whole. Guarantees:
// nothing goes back in time; nothing is removed but by a newer deletion or by a newer complete list that lacks it.
import { ApiError } from './api-error.ts';
import { compareVersions, newerVersion } from './compare-versions.ts';
import { type KubeObject, objectKey } from './kube-object.ts';

/** An object as kept. */
export interface KeptObject<T> {
  readonly version: string;
  readonly uid: string;
  readonly kept: T;
}

export interface WatchedStore<T> {
  /** Null before the first complete list. */
  readonly items: ReadonlyMap<string, T> | null;
  /** Newest version known in this life; null before the first complete list. */
  readonly version: string | null;
  /** No list below this is believed; null: any is. */
  readonly floor: string | null;
  /** What to keep of it: what is kept already when the version is the same. Throws `ApiError` `BadAnswer` where `keep` threw. */
  take(object: KubeObject): KeptObject<T>;
  /** Replaces everything by a complete list of `version`; null when that is older than the floor, else the names that differ. */
  replace(objects: ReadonlyMap<string, KeptObject<T>>, version: string): readonly string[] | null;
  /** An object as an event shows it; the name when that was news, null when it was known or is older. */
  put(object: KubeObject): string | null;
  /** A deletion as an event shows it; the object's version is that of its deletion. */
  remove(object: KubeObject): string | null;
  /** The collection has nothing newer up to this version. */
  pass(version: string): void;
}

/** An empty store. `notBefore`: newest version of an earlier life. */
export function createWatchedStore<T>(keep: (object: KubeObject) => T, notBefore: string | null): WatchedStore<T> {
  const known = new Map<string, { readonly version: string; readonly uid: string }>();
  const items = new Map<string, T>();
  let version: string | null = null;

  const take = (object: KubeObject): KeptObject<T> => {
    const { resourceVersion, uid } = object.metadata;
    const key = objectKey(object);
    const before = known.get(key);
    const same = before !== undefined && before.uid === uid && before.version === resourceVersion;
    return { version: resourceVersion, uid, kept: same ? (items.get(key) as T) : keepSafely(keep, object) };
  };
  const set = (key: string, object: KeptObject<T>): void => {
    known.set(key, { version: object.version, uid: object.uid });
    items.set(key, object.kept);
  };
  const unset = (key: string): boolean => known.delete(key) && items.delete(key);
  /** Every change of a collection has a version of its own, and a watch sends them in order: what is not newer was seen before. */
  const isNews = ({ metadata }: KubeObject): boolean =>
    version !== null && compareVersions(metadata.resourceVersion, version) > 0;

  return {
    get items() {
      return version === null ? null : items;
    },
    get version() {
      return version;
    },
    get floor() {
      return newerVersion(version, notBefore);
    },
    take,
    replace(objects, listed) {
      const floor = newerVersion(version, notBefore);
      if (floor !== null && compareVersions(listed, floor) < 0) return null;
      const changed: string[] = [];
      for (const key of known.keys()) if (!objects.has(key) && unset(key)) changed.push(key);
      for (const [key, object] of objects) {
        const before = known.get(key);
        if (before?.version === object.version && before.uid === object.uid) continue;
        set(key, object);
        changed.push(key);
      }
      version = listed;
      return changed;
    },
    put(object) {
      if (!isNews(object)) return null;
      const key = objectKey(object);
      set(key, take(object));
      version = object.metadata.resourceVersion;
      return key;
    },
    remove(object) {
      if (!isNews(object)) return null;
      version = object.metadata.resourceVersion;
      const key = objectKey(object);
      return unset(key) ? key : null;
    },
    pass(passed) {
      if (version !== null && compareVersions(passed, version) > 0) version = passed;
    },
  };
}

function keepSafely<T>(keep: (object: KubeObject) => T, object: KubeObject): T {
  try {
    return keep(object);
  } catch (error) {
    throw new ApiError('BadAnswer', `${objectKey(object)} cannot be used: ${String(error)}`, { cause: error });
  }
}
