// Kubelet is told: one device plugin per resource, Register, then the list of devices.
import { renderTable } from '../../cli/render-table.ts';
import type { Cell } from '../../cli/render-table.ts';
import { devicePlugin, registration } from '../../kubelet/contracts.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { resources } from '../demo-policies.ts';
import { healthyIds, kubeletCounts } from '../kubelet-view.ts';
import { heard } from '../tap-grpc.ts';

/** Waits until kubelet has all the lists, and shows what it was told. */
export async function showRegistration({ stage, paint }: Telling): Promise<Chapter> {
  const { kubelet, record } = stage;
  const { gpu, spareDisk, connectXVirtualFunctions } = demoAddresses;
  await stage.until(() => kubeletCounts(kubelet).every(({ allocatable }) => allocatable > 0), 10_000);
  const registers = heard(record.happenings, registration.register);
  const lists = heard(record.happenings, devicePlugin.listAndWatch);
  const rows = registers.map(({ request }): readonly Cell[] => {
    const list = lists.findLast(({ socket }) => socket.endsWith(`/${request.endpoint}`));
    const devices = list?.response.devices ?? [];
    return [request.resourceName, request.endpoint, String(devices.length)];
  });
  return {
    name: 'Register',
    title: 'Kubelet is told',
    parts: [
      {
        says:
          'Kubelet, the node agent of Kubernetes, hands out devices. Per resource the agent opens a socket, calls Register, and then ' +
          'streams the list of devices with their health.',
      },
      {
        shows: renderTable(['REGISTER', 'SOCKET', 'DEVICES'], rows, paint),
      },
      { says: 'What kubelet makes of it, and puts into the status of the node, where the scheduler sees it:' },
      {
        shows: renderTable(
          ['RESOURCE', 'CAPACITY', 'ALLOCATABLE', 'HEALTHY'],
          kubeletCounts(kubelet).map(({ resource, capacity, allocatable }) => [
            resource,
            String(capacity),
            String(allocatable),
            nameSome(healthyIds(record.happenings, kubelet, resource)),
          ]),
          paint,
        ),
      },
      {
        says:
          'The GPU and its audio function are one device here, because they are one IOMMU group. The audio function is bound, so that ' +
          'the group is safe to use, and not handed out.',
      },
    ],
    checks: [
      check(
        `${registers.length} resources are registered, each on the socket that kubelet listens to`,
        registers.map(({ request }) => kubelet.socket(request.resourceName)),
        registers.map(({ request }) => request.endpoint),
      ),
      check(
        'what is offered is what is bound',
        Object.values(resources).map((resource) => healthyIds(record.happenings, kubelet, resource)),
        [[gpu], connectXVirtualFunctions, [spareDisk]],
      ),
    ],
  };
}

function nameSome(ids: readonly string[]): string {
  const [first = 'none', ...rest] = ids;
  return rest.length === 0 ? first : `${first} and ${rest.length} more`;
}
