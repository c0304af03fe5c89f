// A pod asks for a GPU and a virtual function, and gets them: Allocate with its answer, then the virtual machine that opens them.
import { devicePlugin } from '../../kubelet/contracts.ts';
import { ContainerStartError, UnexpectedAdmissionError } from '../../simulation/kubelet/pod.ts';
import type { ContainerConfig, PodSpec } from '../../simulation/kubelet/pod.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { resources } from '../demo-policies.ts';
import { heard } from '../tap-grpc.ts';

/** The pod of the demo. */
export const pod: PodSpec = {
  namespace: 'default',
  name: 'virt-launcher-vm-1',
  containers: [{ name: 'compute', limits: { [resources.gpu]: 1, [resources.connectX]: 1 } }],
};

const container = pod.containers[0];

/** Runs the pod. `machine` ends the virtual machine in it. */
export async function runPod({
  stage,
  paint,
}: Telling): Promise<{ readonly chapter: Chapter; readonly machine: { close(): void } }> {
  const { kubelet, control, record, files } = stage;
  const mark = record.happenings.length;
  const started = await stage.when(tryToRun(kubelet.run(pod)));
  const config = 'refusal' in started ? null : (started.get(container?.name ?? '') ?? null);
  const happenings = record.since(mark);
  const allocated = heard(happenings, devicePlugin.allocate);
  const given = allocated.flatMap(({ request }) => request.containerRequests.flat());
  const { gpu, gpuAudio } = demoAddresses;
  const network = given.filter((id) => id !== gpu);
  const opened = [[gpu, gpuAudio], ...network.map((id) => [id])].map((addresses) => ({
    addresses,
    holder: control.openDevice(addresses),
  }));
  const { groups } = control.snapshot();
  const nodes = (config?.devices ?? []).map(({ containerPath }) => containerPath);
  const chapter: Chapter = {
    name: 'Allocate',
    title: 'A pod asks for a GPU and a network function',
    parts: [
      {
        says:
          'KubeVirt runs each virtual machine in a pod. This one asks for a GPU and a function of the network card; kubelet picks ' +
          'devices from the lists and asks the agent what the container needs to use them.',
      },
      { shows: renderPod(pod) },
      ...allocated.flatMap(({ request, response }) => [
        {
          shows: [
            `${paint('bold', 'Allocate')} ${request.containerRequests.flat().join(', ')}: the container gets`,
            ...response.containerResponses.flatMap(({ envs, devices }) => [
              ...Object.entries(envs).map(([name, value]) => `  variable     ${name}=${value}`),
              ...devices.map(({ hostPath, permissions }) => `  device node  ${hostPath} (${permissions})`),
            ]),
          ].join('\n'),
        },
      ]),
      {
        says:
          'The node of an IOMMU group is the key to that group and to no other. Right before the container starts kubelet asks once more (PreStartContainer), and the agent compares with what it answered: group numbers ' +
          'are reused by the kernel, and nobody shall get another device because of that.',
      },
      {
        shows: opened
          .map(({ addresses, holder }) =>
            'pid' in holder
              ? `process ${holder.pid} (${commandOf(control.processes, holder.pid)}) has ${addresses.join(' and ')} open`
              : `${addresses.join(' and ')} cannot be opened: ${holder.errno}`,
          )
          .join('\n'),
      },
    ],
    checks: [
      check(
        'the pod runs',
        'refusal' in started ? started.refusal : kubelet.phase(pod.namespace, pod.name)?.phase,
        'Running',
      ),
      check(
        'it got one GPU and one virtual function, named in its variables',
        Object.values(config?.envs ?? {}).toSorted(),
        [gpu, ...network].toSorted(),
      ),
      check(
        'its device nodes are those of these IOMMU groups, and they exist',
        nodes.filter((path) => files.exists(path)).toSorted(),
        ['/dev/vfio/vfio', ...[gpu, ...network].map((address) => `/dev/vfio/${groups[address] ?? 'none'}`)].toSorted(),
      ),
      check(
        'the start was checked for both',
        heard(happenings, devicePlugin.preStartContainer)
          .flatMap(({ request }) => request.ids)
          .toSorted(),
        [...given].toSorted(),
      ),
      check(
        'the kernel lets the virtual machine have them',
        opened.filter(({ holder }) => 'errno' in holder),
        [],
      ),
    ],
  };
  return {
    chapter,
    machine: {
      close() {
        for (const { holder } of opened) if ('close' in holder) holder.close();
      },
    },
  };
}

/** A refusal is part of the story, and its checks fail by it. */
async function tryToRun(
  running: Promise<ReadonlyMap<string, ContainerConfig>>,
): Promise<ReadonlyMap<string, ContainerConfig> | { readonly refusal: string }> {
  try {
    return await running;
  } catch (error) {
    if (error instanceof UnexpectedAdmissionError || error instanceof ContainerStartError)
      return { refusal: error.message };
    throw error;
  }
}

function renderPod({ name, containers }: PodSpec): string {
  const limits = containers.flatMap((one) =>
    Object.entries(one.limits).map(([resource, count]) => `        ${resource}: ${count}`),
  );
  return [`pod ${name}`, '    resources:', '      limits:', ...limits].join('\n');
}

function commandOf(processes: readonly { readonly pid: number; readonly command: string }[], pid: number): string {
  return processes.find((one) => one.pid === pid)?.command ?? 'gone';
}
