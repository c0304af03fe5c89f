// The requests of agent and controller to the API server, each with the right that it needs.

import type { ApiClient, ApiRequest, KubernetesObject } from '../cluster/api-client.ts';
import { NAMESPACE } from './chart.ts';
import { nodeStates, policies } from './prepared-cluster.ts';

/** A request but for who sends it. */
type Sent = Omit<ApiRequest, 'token'>;

/** A verb of a rule, with the request of the program that needs it. */
export interface Need {
  readonly rule: string;
  readonly request: Sent | ((admin: ApiClient) => Promise<Sent>);
}

const watching = (path: string, query = ''): Sent => ({ path: `${path}?watch=1&timeoutSeconds=1${query}` });
/** A server-side apply. */
export const applying = (path: string, body: KubernetesObject): Sent => ({
  method: 'PATCH',
  path: `${path}?fieldManager=test&force=true`,
  contentType: 'application/apply-patch+yaml',
  body,
});
const nodeState = (name: string, more: object = {}): KubernetesObject => ({
  apiVersion: 'vfio-operator.dev/v1alpha1',
  kind: 'VfioNodeState',
  metadata: { name },
  ...more,
});
const event = (name: string): KubernetesObject => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name, namespace: 'default' },
  eventTime: '2026-01-01T00:00:00.000000Z',
  reportingController: 'vfio-operator.dev/agent',
  reportingInstance: 'lab1',
  action: 'Bind',
  reason: 'Bound',
  type: 'Normal',
  note: 'a test',
  regarding: { apiVersion: 'v1', kind: 'Node', name: 'lab1' },
});
export const events = '/apis/events.k8s.io/v1/namespaces/default/events';
const own = '&fieldSelector=metadata.name%3Dlab1';
export const leases = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;
const lease = (name: string): KubernetesObject => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name },
  spec: { holderIdentity: 'one', leaseDurationSeconds: 15 },
});
const agentPods = `/api/v1/namespaces/${NAMESPACE}/pods`;

export const agentNeeds: readonly Need[] = [
  { rule: 'vfio-operator.dev/vfiopolicies list', request: { path: policies } },
  { rule: 'vfio-operator.dev/vfiopolicies watch', request: watching(policies) },
  { rule: '/nodes list', request: { path: `/api/v1/nodes?limit=1${own}` } },
  { rule: '/nodes watch', request: watching('/api/v1/nodes', own) },
  { rule: 'vfio-operator.dev/vfionodestates list', request: { path: `${nodeStates}?limit=1${own}` } },
  { rule: 'vfio-operator.dev/vfionodestates watch', request: watching(nodeStates, own) },
  {
    rule: 'vfio-operator.dev/vfionodestates create',
    request: applying(`${nodeStates}/lab1`, nodeState('lab1')),
  },
  {
    rule: 'vfio-operator.dev/vfionodestates patch',
    request: applying(`${nodeStates}/lab1`, nodeState('lab1')),
  },
  {
    rule: 'vfio-operator.dev/vfionodestates/status patch',
    request: applying(`${nodeStates}/lab1/status`, nodeState('lab1', { status: {} })),
  },
  { rule: 'events.k8s.io/events create', request: { method: 'POST', path: events, body: event('one') } },
  {
    rule: 'events.k8s.io/events patch',
    request: {
      method: 'PATCH',
      path: `${events}/one`,
      contentType: 'application/merge-patch+json',
      body: { series: { count: 2, lastObservedTime: '2026-01-01T00:00:01.000000Z' } },
    },
  },
];

export const controllerNeeds: readonly Need[] = [
  { rule: 'vfio-operator.dev/vfiopolicies list', request: { path: policies } },
  { rule: 'vfio-operator.dev/vfiopolicies watch', request: watching(policies) },
  { rule: 'vfio-operator.dev/vfionodestates list', request: { path: nodeStates } },
  { rule: 'vfio-operator.dev/vfionodestates watch', request: watching(nodeStates) },
  {
    rule: 'vfio-operator.dev/vfiopolicies/status patch',
    request: applying(`${policies}/shown/status`, {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioPolicy',
      metadata: { name: 'shown' },
      status: { observedGeneration: 1 },
    }),
  },
  { rule: '/nodes list', request: { path: '/api/v1/nodes' } },
  { rule: '/nodes watch', request: watching('/api/v1/nodes') },
  { rule: '/pods list', request: { path: agentPods } },
  { rule: '/pods watch', request: watching(agentPods) },
  {
    rule: 'coordination.k8s.io/leases create',
    request: { method: 'POST', path: leases, body: lease('vfio-operator-controller') },
  },
  {
    rule: 'coordination.k8s.io/leases get',
    request: { path: `${leases}/vfio-operator-controller` },
  },
  {
    rule: 'coordination.k8s.io/leases update',
    request: async (admin) => {
      const path = `${leases}/vfio-operator-controller`;
      return { method: 'PUT', path, body: await admin.expect({ path }) };
    },
  },
];
