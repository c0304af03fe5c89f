// Kubelet's view of the node, as the stand-in has it.
import { devicePlugin } from '../kubelet/contracts.ts';
import type { KubeletStandIn } from '../simulation/kubelet-stand-in.ts';
import type { Happening } from './record.ts';
import { heard } from './tap-grpc.ts';

/** A resource in the node's status. */
export interface KubeletCount {
  readonly resource: string;
  readonly capacity: number;
  readonly allocatable: number;
}

/** Capacity and allocatable of every resource, sorted by name. */
export function kubeletCounts(kubelet: KubeletStandIn): readonly KubeletCount[] {
  return [...kubelet.resources()]
    .map(([resource, count]) => ({ resource, ...count }))
    .toSorted((a, b) => (a.resource < b.resource ? -1 : 1));
}

/** The devices of a resource that the last list kubelet was sent calls healthy. */
export function healthyIds(
  happenings: readonly Happening[],
  kubelet: KubeletStandIn,
  resource: string,
): readonly string[] {
  const socket = kubelet.socket(resource);
  if (socket === null) return [];
  const list = heard(happenings, devicePlugin.listAndWatch).findLast((one) => one.socket.endsWith(`/${socket}`));
  return (list?.response.devices ?? []).filter(({ health }) => health === 'Healthy').map(({ id }) => id);
}
