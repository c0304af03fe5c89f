// Pods of the tests beyond the plain holder of one device: several resources, a container that is started again, or a pod that goes to the
// node without a scheduler, as static pods and hand-made ones do; and what the cluster says of them.

import type { KubernetesObject } from './api-client.ts';
import type { ControlPlane } from './control-plane.ts';
import { boxPod } from './operator.ts';
import { NODE } from './operator-on-node.ts';

export interface PodWish {
  readonly name: string;
  /** Units by resource. */
  readonly limits: Readonly<Record<string, number>>;
  readonly script: string;
  /** `node`: bound to the node as it is made, so that only kubelet can refuse it; default `scheduler`. */
  readonly placedBy?: 'scheduler' | 'node';
  readonly restartPolicy?: 'Never' | 'Always';
}

/** Creates pods in one request list; waits for nothing. */
export async function createPods(cluster: ControlPlane, ...wishes: readonly PodWish[]): Promise<void> {
  const items = wishes.map(({ name, limits, script, placedBy, restartPolicy }): KubernetesObject => {
    const pod = boxPod(name, script, limits);
    const spec = {
      ...(pod['spec'] as object),
      ...(placedBy === 'node' ? { nodeName: NODE } : {}),
      ...(restartPolicy === undefined ? {} : { restartPolicy }),
    };
    return { ...pod, spec };
  });
  await cluster.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

/** The messages of a pod's events, and of its status. */
export async function wordsOf(cluster: ControlPlane, pod: string): Promise<readonly string[]> {
  const events = await cluster.admin.list(
    `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D${pod}`,
  );
  const { body } = await cluster.admin.request({ path: `/api/v1/namespaces/default/pods/${pod}` });
  const status = body['status'] as PodStatus | undefined;
  const conditions = (status?.conditions ?? []).map((one) => `${one.type}: ${one.message ?? ''}`);
  return [
    ...events.map((event) => `${String(event['reason'])}: ${String(event['message'])}`),
    ...conditions,
    ...(status?.reason === undefined ? [] : [`${status.reason}: ${status.message ?? ''}`]),
  ];
}

interface PodStatus {
  readonly reason?: string;
  readonly message?: string;
  readonly conditions?: readonly { readonly type: string; readonly message?: string }[];
}

const VARIABLES = "tr '\\0' '\\n' < /proc/1/environ | grep ^PCI_RESOURCE_";

/** Opens every device of the environment, one after the other, says so, and holds the first one until the end. */
export const HOLD_ALL = [
  VARIABLES,
  'for n in /dev/vfio/*; do echo "node $n"; done',
  'group=$(ls /dev/vfio | grep -v vfio | sed -n 1p)',
  `addresses=$(${VARIABLES} | sed 's/^[^=]*=//' | tr ',' ' ')`,
  // Without input it lets go as soon as it has it.
  'for a in $addresses; do vfio-holder device $group $a < /dev/null > /tmp/said && echo "opened $a"; done',
  'set -- $addresses',
  'exec vfio-holder device $group $1',
].join('\n');

/** What `HOLD_ALL` printed. */
export interface HeldAll {
  /** Value by variable. */
  readonly variables: Readonly<Record<string, string>>;
  readonly nodes: readonly string[];
  readonly opened: readonly string[];
  /** It has opened all of them, and holds the first. */
  readonly holds: boolean;
}

export function parseHeldAll(log: string): HeldAll {
  const values = [...log.matchAll(/^(PCI_RESOURCE_[^=]*)=(\S*)$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  const listOf = (pattern: RegExp): readonly string[] => [
    ...new Set([...log.matchAll(pattern)].map((match) => match[1] ?? '')),
  ];
  return {
    variables: Object.fromEntries(values),
    nodes: listOf(/^node \/dev\/vfio\/(\S+)$/gm).toSorted(),
    opened: listOf(/^opened (\S+)$/gm).toSorted(),
    holds: /^holding$/m.test(log),
  };
}
