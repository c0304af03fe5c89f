// The simulated kubelet's PodResources service: what active pods hold, one entry per resource and NUMA node, as the real one lists it.
import { answer, podResources } from '../../kubelet/contracts.ts';
import type { ContainerDevices, PodResources } from '../../kubelet/messages.ts';
import { GrpcError } from '../../kubelet/ports.ts';
import type { Route } from '../../kubelet/ports.ts';
import type { DeviceManager } from './device-manager.ts';
import type { Pod } from './pod.ts';

/** The routes. `check` throws what a fault demands; `pods` are the active ones. */
export function podResourcesRoutes(
  manager: DeviceManager,
  pods: () => readonly Pod[],
  check: () => Promise<void>,
): readonly Route[] {
  const describe = (pod: Pod): PodResources => ({
    name: pod.spec.name,
    namespace: pod.spec.namespace,
    containers: pod.spec.containers.map(({ name }) => ({
      name,
      devices: manager
        .given(pod.uid)
        .filter((given) => given.container === name)
        .flatMap((given) =>
          Object.entries(given.ids).map(([node, ids]) => toDevices(given.resource, ids, Number(node))),
        ),
    })),
  });
  return [
    answer(podResources.list, async () => {
      await check();
      return { podResources: pods().map(describe) };
    }),
    answer(podResources.getAllocatableResources, async () => {
      await check();
      return {
        devices: manager
          .endpoints()
          .flatMap((endpoint) =>
            endpoint.healthyIds.map((id) => toDevices(endpoint.resource, [id], endpoint.numaNode(id))),
          ),
      };
    }),
    answer(podResources.get, async ({ podName, podNamespace }) => {
      await check();
      const pod = pods().find(({ spec }) => spec.name === podName && spec.namespace === podNamespace);
      if (pod === undefined) throw new GrpcError('NotFound', `no pod ${podNamespace}/${podName} on this node`);
      return { podResources: describe(pod) };
    }),
  ];
}

function toDevices(resourceName: string, ids: readonly string[], node: number): ContainerDevices {
  return { resourceName, ids, numaNodes: node < 0 ? [] : [node] };
}
