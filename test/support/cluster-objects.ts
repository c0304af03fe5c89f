// Objects as an API server gives them.
import type { KubeObject } from '../../src/kube/kube-object.ts';

/** A VfioPolicy; `spec` beside one selector by vendor. */
export function aPolicyObject(
  name: string,
  parts: { readonly uid?: string; readonly generation?: number; readonly spec?: Record<string, unknown> } = {},
): KubeObject {
  return {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: {
      name,
      uid: parts.uid ?? `uid-${name}`,
      generation: parts.generation ?? 1,
      resourceVersion: '10',
      creationTimestamp: '2026-11-01T00:00:00Z',
    },
    spec: { devices: [{ vendor: '15b3' }], ...parts.spec },
  };
}

/** A Node. */
export function aNodeObject(name: string, parts: { uid?: string; labels?: Record<string, string> } = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: parts.uid ?? `uid-${name}`, resourceVersion: '11', labels: parts.labels ?? { zone: 'a' } },
    status: {
      addresses: [
        { type: 'Hostname', address: name },
        { type: 'InternalIP', address: '192.0.2.7' },
        { type: 'InternalIP', address: '2001:db8::7' },
        { type: 'ExternalIP', address: '198.51.100.7' },
      ],
    },
  };
}
