// The chart as helm renders it, for tests: values in, Kubernetes objects out.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import type { KubernetesObject } from '../cluster/api-client.ts';
import { programPath } from '../cluster/programs.ts';
import { scratchDirectory } from '../lab/cache.ts';
import { attempt } from '../lab/command.ts';

/** Folder of the chart. */
export const CHART = fileURLToPath(new URL('../../../deploy/helm/vfio-operator', import.meta.url));
/** Namespace and name of the release in these tests. */
export const NAMESPACE = 'vfio-operator';
export const RELEASE = 'vfio-operator';

const scratch = scratchDirectory(tmpdir(), 'vfio-chart-');

/** A file with `values`, for `helm --values`. */
export function valuesFile(values: object): string {
  const path = join(scratch, `values-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, stringify(values));
  return path;
}

export interface Rendering {
  readonly code: number | null;
  readonly stderr: string;
  readonly objects: readonly KubernetesObject[];
}

const rendered = new Map<string, Promise<Rendering>>();

/** `helm template` with `values`, once per process for the same ones; no API server is asked. */
export function render(values: object = {}, parameters: readonly string[] = []): Promise<Rendering> {
  const key = JSON.stringify([values, parameters]);
  const known = rendered.get(key) ?? renderAnew(values, parameters);
  rendered.set(key, known);
  return known;
}

async function renderAnew(values: object, parameters: readonly string[]): Promise<Rendering> {
  const command = [await programPath('helm'), 'template', RELEASE, CHART, '--namespace', NAMESPACE];
  const { code, stdout, stderr } = await attempt([...command, '--values', valuesFile(values), ...parameters]);
  const objects = code === 0 ? parseAllDocuments(stdout).map((document) => document.toJS() as KubernetesObject) : [];
  return { code, stderr, objects: objects.filter((object) => object !== null) };
}

/** The rendered object of `kind` and `name`; throws when there is none. */
export function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata?.name === name);
  if (found === undefined) throw new Error(`the chart rendered no ${kind} ${name}`);
  return found;
}

/** `Kind/name` of every object. */
export function names(objects: readonly KubernetesObject[]): readonly string[] {
  return objects.map(({ kind, metadata }) => `${kind}/${metadata?.name}`).toSorted();
}
