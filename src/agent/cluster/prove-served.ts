// Whether policies that vanished were deleted by somebody who meant them. When a CRD is deleted the API server deletes its objects one
// by one first, and watchers see each of them go; the collection is gone only afterwards. Meanwhile discovery no longer offers to
// create any (apiextensions-apiserver, customresource_discovery_controller.go: a terminating CRD has no create verb).
import { apiVersion } from '../../api/constants.ts';
import type { ApiConnection } from '../../kube/api-connection.ts';
import { saidBy } from '../../kube/api-connection.ts';
import { ApiError } from '../../kube/api-error.ts';
import { isRecord } from '../../kube/kube-object.ts';

/** Asks the API server; null when it serves policies as usual, else why their absence proves nothing. Never rejects for an answer. */
export async function proveServed(connection: ApiConnection): Promise<string | null> {
  const path = `/apis/${apiVersion}`;
  try {
    const answer = await connection.request({ method: 'GET', path });
    if (answer.status !== 200) return `GET ${path}: ${saidBy(answer)}`;
    const resources = isRecord(answer.body) && Array.isArray(answer.body.resources) ? answer.body.resources : [];
    const policies = resources.find((one: unknown) => isRecord(one) && one.name === 'vfiopolicies') as unknown;
    if (!isRecord(policies)) return `${path} has no vfiopolicies any more: their CRD is gone`;
    const canCreate = Array.isArray(policies.verbs) && policies.verbs.includes('create');
    return canCreate ? null : 'the CRD of VfioPolicy is being deleted, and its objects with it';
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}
