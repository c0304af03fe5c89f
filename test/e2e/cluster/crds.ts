// The chart's custom resource definitions on an API server, for tests that install no chart.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { LabError } from '../lab/lab-error.ts';
import type { ApiClient, KubernetesObject } from './api-client.ts';
import { until } from './until.ts';

/** The chart's custom resource definitions. */
const CRDS = fileURLToPath(new URL('../../../deploy/helm/vfio-operator/crds/', import.meta.url));

/** Creates or updates the chart's CRDs and waits until the API server serves them. */
export async function applyCrds(admin: ApiClient): Promise<void> {
  const documents = readdirSync(CRDS)
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(readFileSync(join(CRDS, name), 'utf8')))
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((document) => document?.kind === 'CustomResourceDefinition');
  if (documents.length === 0) throw new LabError(`${CRDS} has no CustomResourceDefinition.`);
  for (const document of documents) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${document?.metadata?.name}`;
    await admin.apply(path, document ?? {});
  }
  for (const document of documents) {
    const spec = document?.['spec'] as { group: string; names: { plural: string }; versions: { name: string }[] };
    const path = `/apis/${spec.group}/${spec.versions[0]?.name}/${spec.names.plural}`;
    await until(path, async () => (await admin.request({ path })).status === 200);
  }
}
