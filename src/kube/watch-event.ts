// One line of a watch, judged: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
import { isVersion } from './compare-versions.ts';
import { isRecord, type KubeObject, toKubeObject } from './kube-object.ts';
import { retryAfterOf } from './watch-problem.ts';

export type WatchEvent =
  /** ADDED or MODIFIED. */
  | { readonly kind: 'put'; readonly object: KubeObject }
  | { readonly kind: 'remove'; readonly object: KubeObject }
  | { readonly kind: 'bookmark'; readonly version: string }
  /** ERROR with a Status; the stream is over. 410: the version we watch from was compacted away. */
  | { readonly kind: 'error'; readonly status: number; readonly message: string; readonly retryAfter: number | null }
  | { readonly kind: 'garbage'; readonly message: string };

/** Reads it; whatever it is not is `garbage`. */
export function readWatchEvent(value: unknown): WatchEvent {
  if (!isRecord(value)) return garbage('an event that is no object');
  switch (value.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const object = toKubeObject(value.object);
      if (object === null || !isVersion(object.metadata.resourceVersion))
        return garbage(`${value.type} of an object without name, uid or version that can be compared`);
      return { kind: value.type === 'DELETED' ? 'remove' : 'put', object };
    }
    case 'BOOKMARK': {
      const metadata = isRecord(value.object) ? value.object.metadata : null;
      const version = isRecord(metadata) ? metadata.resourceVersion : null;
      return isVersion(version) ? { kind: 'bookmark', version } : garbage('BOOKMARK without a version');
    }
    case 'ERROR':
      return readError(value.object);
    default:
      return garbage(`an event of type '${String(value.type)}'`);
  }
}

function readError(status: unknown): WatchEvent {
  if (!isRecord(status)) return garbage('ERROR without a Status');
  const message = typeof status.message === 'string' ? status.message : 'no message';
  const code = typeof status.code === 'number' ? status.code : 500;
  return { kind: 'error', status: code, message, retryAfter: retryAfterOf(status) };
}

function garbage(message: string): WatchEvent {
  return { kind: 'garbage', message };
}
