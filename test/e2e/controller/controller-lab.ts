// Controllers as real processes on a real API server, with the permissions that docs/controller.md names and no other, and nodes
// that exist as documents alone: a Node, an agent's pod that is ready, a node state as an agent writes it.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { VfioNodeDevice, VfioNodeStateStatus, VfioPolicySpec } from '../../../src/api/generated/types.ts';
import type { KubernetesObject } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { newService, type Service } from '../cluster/service.ts';

export const NAMESPACE = 'vfio-operator';
export const USER = 'controller';
const sources = resolve(import.meta.dirname, '../../../src/main.ts');
const group = 'vfio-operator.dev';
export const policiesPath = `/apis/${group}/v1alpha1/vfiopolicies`;
export const statesPath = `/apis/${group}/v1alpha1/vfionodestates`;

/** Permissions of the controller, for the user that its processes are. */
export async function permitController(cluster: ControlPlane): Promise<void> {
  const rbac = 'rbac.authorization.k8s.io';
  const watch = ['list', 'watch'];
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: USER },
      rules: [
        { apiGroups: [group], resources: ['vfiopolicies', 'vfionodestates'], verbs: watch },
        { apiGroups: [group], resources: ['vfiopolicies/status'], verbs: ['patch'] },
        { apiGroups: [''], resources: ['nodes'], verbs: watch },
        { apiGroups: ['kubevirt.io'], resources: ['kubevirts'], verbs: watch },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: { name: USER, namespace: NAMESPACE },
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: watch },
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] },
      ],
    },
    ...(['ClusterRole', 'Role'] as const).map((kind) => ({
      apiVersion: `${rbac}/v1`,
      kind: `${kind}Binding`,
      metadata: { name: USER, ...(kind === 'Role' ? { namespace: NAMESPACE } : {}) },
      roleRef: { apiGroup: rbac, kind, name: USER },
      subjects: [{ apiGroup: rbac, kind: 'User', name: USER }],
    })),
  ];
  for (const object of objects) await cluster.kubectl(['create', '-f', '-'], JSON.stringify(object));
}

export interface ControllerParts {
  /** Port of its metrics; default a free one. */
  readonly port?: number;
  /** Further flags. */
  readonly flags?: readonly string[];
  /** A bundle, run as the image runs it and as in a pod: a service account in its place, no kubeconfig. Default: the sources. */
  readonly bundle?: string;
}

/** A controller that does not run yet. */
export function newController(cluster: ControlPlane, name: string, parts: ControllerParts = {}): Service {
  const log = join(cluster.directory, `${name}.log`);
  const listen = `127.0.0.1:${parts.port ?? 0}`;
  const flags = [
    '--namespace',
    NAMESPACE,
    '--identity',
    name,
    '--listen',
    listen,
    '--log-level',
    'debug',
    ...(parts.flags ?? []),
  ];
  const command =
    parts.bundle === undefined
      ? [process.execPath, sources, 'controller', ...flags, '--kubeconfig', cluster.kubeconfig(USER)]
      : inPod(cluster, [
          process.execPath,
          '--max-semi-space-size=1',
          '--optimize-for-size',
          parts.bundle,
          'controller',
          ...flags,
          '--api-server',
          cluster.url,
        ]);
  const [program = '', ...rest] = command;
  const service: Service = newService({
    name,
    program,
    flags: rest,
    log,
    ready: () => Promise.resolve(/"msg":"(leading|waiting)"/.test(service.log())),
  });
  return service;
}

/** The command in a mount namespace in which the service account lies where kubelet puts it. Needs root. */
function inPod(cluster: ControlPlane, command: readonly string[]): readonly string[] {
  const account = join(cluster.directory, 'account');
  mkdirSync(account, { recursive: true });
  writeFileSync(join(account, 'token'), cluster.token(USER));
  copyFileSync(cluster.caFile, join(account, 'ca.crt'));
  const place = '/run/secrets/kubernetes.io/serviceaccount';
  const prepare = `mount -t tmpfs none /run && mkdir -p ${place} && cp ${account}/* ${place}/ && exec "$@"`;
  return ['/usr/bin/unshare', '-m', '/bin/sh', '-c', prepare, 'sh', ...command];
}

/** Lines of its log with this message. */
export function logged(controller: Service, message: string): number {
  return controller.log().split(`"msg":"${message}"`).length - 1;
}

/** A Node and an agent's pod on it that is ready. */
export async function addNode(cluster: ControlPlane, name: string): Promise<void> {
  const { admin } = cluster;
  await admin.expect({
    method: 'POST',
    path: '/api/v1/nodes',
    body: { apiVersion: 'v1', kind: 'Node', metadata: { name } },
  });
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`;
  await admin.expect({
    method: 'POST',
    path: pods,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `agent-${name}`,
        labels: { 'app.kubernetes.io/name': 'vfio-operator', 'app.kubernetes.io/component': 'agent' },
      },
      spec: { nodeName: name, containers: [{ name: 'agent', image: 'lab.local/none' }] },
    },
  });
  await setPodReady(cluster, name, true);
}

/** What kubelet would say of the agent's pod. */
export async function setPodReady(cluster: ControlPlane, node: string, ready: boolean): Promise<void> {
  await cluster.admin.expect({
    method: 'PATCH',
    path: `/api/v1/namespaces/${NAMESPACE}/pods/agent-${node}/status`,
    contentType: 'application/strategic-merge-patch+json',
    body: { status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] } },
  });
}

export async function applyPolicy(
  cluster: ControlPlane,
  name: string,
  spec: Partial<VfioPolicySpec> = {},
): Promise<KubernetesObject> {
  return cluster.admin.apply(`${policiesPath}/${name}`, {
    apiVersion: `${group}/v1alpha1`,
    kind: 'VfioPolicy',
    metadata: { name },
    spec: { devices: [{ vendor: '10de' }], ...spec },
  });
}

/** The state as an agent writes it: the object first, then its status. */
export async function applyState(cluster: ControlPlane, node: string, status: VfioNodeStateStatus): Promise<void> {
  const object = { apiVersion: `${group}/v1alpha1`, kind: 'VfioNodeState', metadata: { name: node } };
  const path = `${statesPath}/${node}/status?fieldManager=test&force=true`;
  const contentType = 'application/apply-patch+yaml';
  const written = await cluster.admin.request({ method: 'PATCH', path, contentType, body: { ...object, status } });
  if (written.status < 300) return;
  await cluster.admin.apply(`${statesPath}/${node}`, object);
  await cluster.admin.apply(`${statesPath}/${node}/status`, { ...object, status });
}

/** What an agent that has seen the policy says of it. */
export function seenPolicy({ metadata }: KubernetesObject): NonNullable<VfioNodeStateStatus['policies']>[number] {
  const generation = metadata?.['generation'];
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    observedGeneration: typeof generation === 'number' ? generation : 0,
  };
}

/** A device in full, as the agent describes a bound VF. */
export function fullDevice(index: number, parts: Partial<VfioNodeDevice> = {}): VfioNodeDevice {
  const address = `0000:${(0x10 + (index >> 5)).toString(16)}:${(index & 31).toString(16).padStart(2, '0')}.0`;
  return {
    address,
    id: '15b3:101e',
    class: '020000',
    decision: 'Bound',
    driver: 'mlx5_vfio_pci',
    driverBefore: 'mlx5_core',
    bestMatch: 'mlx5_vfio_pci',
    iommuGroup: 100 + index,
    numaNode: index & 1,
    physicalFunction: '0000:10:00.0',
    health: 'Healthy',
    policy: 'nics',
    resource: 'vfio-operator.dev/connectx7-vf',
    ...parts,
  };
}
