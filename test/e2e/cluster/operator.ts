// The operator on a cluster of the tests, as its users have it: the chart by helm, policies by kubectl, states by `kubectl get -o json`.

import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../lab/lab-error.ts';
import type { KubernetesObject } from './api-client.ts';
import type { ControlPlane } from './control-plane.ts';
import { BOX_IMAGE } from './images.ts';

const CHART = fileURLToPath(new URL('../../../deploy/helm/vfio-operator', import.meta.url));

/** Namespace of the release, and name of it. */
export const NAMESPACE = 'vfio-operator';

/** Values of the chart as `--set` takes them. */
export type Values = Readonly<Record<string, string | number | boolean>>;

/** What tests of the lab set: one small node, images that are there, no pod network. */
const LAB_VALUES: Values = {
  'image.pullPolicy': 'Never',
  'controller.hostNetwork': true,
  'controller.replicas': 1,
};

/** `helm upgrade --install` of the chart; waits for nothing. */
export async function installOperator(cluster: ControlPlane, values: Values = {}): Promise<void> {
  const settings = Object.entries({ ...LAB_VALUES, ...values }).map(([name, value]) => `${name}=${value}`);
  const where = ['--namespace', NAMESPACE, '--create-namespace'];
  await cluster.helm(['upgrade', '--install', 'vfio-operator', CHART, ...where, '--set', settings.join(',')]);
}

/** `kubectl apply` of one VfioPolicy. */
export async function applyPolicy(cluster: ControlPlane, name: string, spec: object): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(policyDocument(name, spec)));
}

/** A whole VfioPolicy. */
export function policyDocument(name: string, spec: object): object {
  return { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioPolicy', metadata: { name }, spec };
}

/** An entry of `status.devices` or `status.dryRun` of a node state; the fields that tests look at. */
export interface StateDevice {
  readonly address: string;
  readonly decision: string;
  readonly code?: string;
  readonly message?: string;
  readonly driver?: string;
  readonly driverBefore?: string;
  readonly driverWanted?: string;
  readonly iommuGroup?: number;
  readonly health?: string;
  readonly policy?: string;
  readonly resource?: string;
  readonly heldBy?: string;
}

/** A node state's status; lists are empty while there is none. */
export interface NodeStateStatus {
  readonly conditions: readonly Condition[];
  readonly devices: readonly StateDevice[];
  readonly dryRun: readonly StateDevice[];
  readonly resources: readonly {
    readonly name: string;
    readonly capacity: number;
    readonly healthy: number;
    readonly allocated: number;
    readonly registered: boolean;
  }[];
}

export async function readNodeState(cluster: ControlPlane, node: string): Promise<NodeStateStatus> {
  const { status, body } = await cluster.admin.request({ path: `${GROUP}/vfionodestates/${node}` });
  const found = (status === 200 ? body['status'] : undefined) as Partial<NodeStateStatus> | undefined;
  const { devices = [], dryRun = [], resources = [], conditions = [] } = found ?? {};
  return { devices, dryRun, resources, conditions };
}

const GROUP = '/apis/vfio-operator.dev/v1alpha1';

/** A condition of a policy as `status/Reason`, e.g. `True/AllNodesReady`; undefined while there is none. */
export async function readCondition(cluster: ControlPlane, policy: string, type: string): Promise<string | undefined> {
  const { body } = await cluster.admin.request({ path: `${GROUP}/vfiopolicies/${policy}` });
  const status = body['status'] as { observedGeneration?: number; conditions?: readonly Condition[] } | undefined;
  const generation = body.metadata?.['generation'];
  const found = status?.conditions?.find((one) => one.type === type);
  // A condition that speaks of an older generation says nothing about this one.
  return found === undefined || status?.observedGeneration !== generation
    ? undefined
    : `${found.status}/${found.reason}`;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}

/** The whole status of a policy, for comparing and for telling. */
export async function readPolicyStatus(cluster: ControlPlane, policy: string): Promise<unknown> {
  return (await cluster.admin.expect({ path: `${GROUP}/vfiopolicies/${policy}` }))['status'];
}

/** Units of `resource` that the node offers to the scheduler; null when it does not know the resource. */
export async function readAllocatable(cluster: ControlPlane, node: string, resource: string): Promise<number | null> {
  const { body } = await cluster.admin.request({ path: `/api/v1/nodes/${node}` });
  const allocatable = (body['status'] as { allocatable?: Readonly<Record<string, string>> } | undefined)?.allocatable;
  const found = allocatable?.[resource];
  return found === undefined ? null : Number(found);
}

/**
 * Asks `read` every 250 ms until `fits` is true of its answer, which is returned. Throws LabError after `seconds` with the last answer and
 * what `explain` has to tell.
 */
export async function eventually<T>(
  what: string,
  read: () => Promise<T>,
  fits: (answer: T) => boolean,
  options: { readonly seconds?: number; readonly explain?: () => Promise<string> } = {},
): Promise<T> {
  const seconds = options.seconds ?? 300;
  for (const deadline = Date.now() + seconds * 1000; ; await sleep(250)) {
    const answer = await read();
    if (fits(answer)) return answer;
    if (Date.now() > deadline) {
      const detail = `${JSON.stringify(answer, null, 1)}\n${(await options.explain?.()) ?? ''}`;
      throw new LabError(`${seconds} s went by without ${what}.\n${detail}`);
    }
  }
}

/** A pod on the node's network whose one container runs `script` in the box image. */
export function boxPod(name: string, script: string, limits: Readonly<Record<string, number>> = {}): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      hostNetwork: true,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 2,
      automountServiceAccountToken: false,
      containers: [
        // An open stdin: vfio-holder goes with its end.
        {
          name: 'main',
          image: BOX_IMAGE,
          imagePullPolicy: 'Never',
          stdin: true,
          args: ['-c', script],
          resources: { limits },
        },
      ],
    },
  };
}

/**
 * Prints what the container got, then opens every device of its environment as a virtual machine does, holding it until the end. The shell's
 * own environment lacks variables with hyphens, so it reads the one that the container was started with.
 */
export const HOLD_DEVICES = [
  "tr '\\0' '\\n' < /proc/1/environ | grep ^PCI_RESOURCE_",
  'for n in /dev/vfio/*; do echo "node $n"; done',
  'group=$(ls /dev/vfio | grep -v vfio | sed -n 1p)',
  "address=$(tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^PCI_RESOURCE_[^=]*=//p' | sed 's/,.*//')",
  'exec vfio-holder device $group $address',
].join('\n');

/** What `HOLD_DEVICES` printed. */
export interface HeldDevice {
  readonly address: string;
  readonly variable: string;
  /** Names below /dev/vfio in the container, sorted. */
  readonly nodes: readonly string[];
  readonly holding: boolean;
}

export function parseHeldDevice(log: string): HeldDevice {
  const [, variable = '', address = ''] = /^(PCI_RESOURCE_[^=]*)=(\S*)$/m.exec(log) ?? [];
  const nodes = [...log.matchAll(/^node \/dev\/vfio\/(\S+)$/gm)].map((match) => match[1] ?? '').sort();
  return { address, variable, nodes, holding: /^holding$/m.test(log) };
}
