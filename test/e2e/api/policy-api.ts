// Short ways to policies and their CRDs on a control plane, for the tests of the API.
import { readFileSync, readdirSync } from 'node:fs';
import { parse } from 'yaml';
import type { ApiResponse, KubernetesObject } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';

export const group = '/apis/vfio-operator.dev/v1alpha1';
export const policies = `${group}/vfiopolicies`;

/** The part of OpenAPI that the tests look at. */
export interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly [keyword: string]: unknown;
}

export interface Crd extends KubernetesObject {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const crdDirectory = new URL('../../../deploy/helm/vfio-operator/crds/', import.meta.url);

/** The CRDs of the chart. */
export const crds: readonly Crd[] = readdirSync(crdDirectory)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => parse(readFileSync(new URL(name, crdDirectory), 'utf8')) as Crd);

export function crdPath(name: string): string {
  return `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
}

/** A policy with one good selector and these further fields of the spec. */
export function policy(name: string, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: { name },
    spec: { devices: [{ vendor: '15b3' }], ...spec },
  };
}

export function create(cluster: ControlPlane, object: KubernetesObject): Promise<KubernetesObject> {
  return cluster.admin.expect({ method: 'POST', path: `${policies}?fieldValidation=Strict`, body: object });
}

/** A JSON merge patch. */
export function merge(cluster: ControlPlane, path: string, body: object): Promise<ApiResponse> {
  return cluster.admin.request({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' });
}

export function condition(type: string, status: string, reason: string): object {
  const lastTransitionTime = '2026-11-22T12:00:00Z';
  return { type, status, reason, message: 'Because.', lastTransitionTime, observedGeneration: 1 };
}
