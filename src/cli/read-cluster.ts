// What commands read of a cluster: whole lists of one kind, or a sentence why not.
import type { ApiConnection } from '../kube/api-connection.ts';
import { ApiError } from '../kube/api-error.ts';
import { AccessError } from '../kube/cluster-access.ts';
import type { KubeObject } from '../kube/kube-object.ts';
import { listCollection } from '../kube/list-collection.ts';
import { CommandFailed, exitCodes } from './exit-codes.ts';

/** Which cluster, and as whom. */
export interface ClusterChoice {
  /** Null: the service account of the pod it runs in, else KUBECONFIG or ~/.kube/config. */
  readonly kubeconfig: string | null;
  /** Null: the current one. */
  readonly context: string | null;
}

export type OpenCluster = (choice: ClusterChoice) => Promise<ApiConnection>;

/** Opens the cluster, asks, and closes it again. What keeps it from answering ends the command with a sentence. */
export async function askCluster<T>(
  open: OpenCluster,
  choice: ClusterChoice,
  ask: (connection: ApiConnection) => Promise<T>,
): Promise<T> {
  try {
    const connection = await open(choice);
    try {
      return await ask(connection);
    } finally {
      connection.close();
    }
  } catch (error) {
    if (error instanceof AccessError) throw new CommandFailed(exitCodes.usage, error.message, { cause: error });
    if (error instanceof ApiError) throw new CommandFailed(exitCodes.failure, error.message, { cause: error });
    throw error;
  }
}

/** Everything of a collection, sorted by name; null where the cluster has no such kind. */
export async function listAll<T>(
  connection: ApiConnection,
  path: string,
  keep: (object: KubeObject) => T,
): Promise<readonly T[] | null> {
  const found = await listCollection({
    connection,
    path,
    selectors: {},
    pageSize: 100,
    notOlderThan: null,
    take: (object) => ({ uid: object.metadata.uid, version: object.metadata.resourceVersion, kept: keep(object) }),
  });
  if (!found.complete) {
    if (found.failure.problem.code === 'NotFound') return null;
    throw new CommandFailed(exitCodes.failure, found.failure.problem.message);
  }
  return [...found.objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { kept }]) => kept);
}
