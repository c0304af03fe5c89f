// The chart on a real API server: every object accepted, installed, upgraded with its CRDs, uninstalled without them; and the examples, which
// Git and cluster agree about once they are applied.
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { ApiResponse, KubernetesObject } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { CHART, find, NAMESPACE, RELEASE, render } from './chart.ts';
import { install, nodeStates, policies, startPrepared } from './prepared-cluster.ts';

const everything = {
  metrics: { enabled: true },
  flowSchema: { enabled: true },
  hostAgents: { enabled: true },
  kubevirt: { preflight: true },
  kubelet: { registration: 'directory' },
  apiServer: { host: '10.0.2.100' },
};

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startPrepared();
  const plain = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'plain' } };
  await cluster.admin.expect({ method: 'POST', path: '/api/v1/namespaces', body: plain });
});
afterAll(async () => cluster?.stop());

const asYaml = (objects: readonly KubernetesObject[]): string =>
  objects.map((object) => `---\n${stringify(object)}`).join('');

describe('objects', () => {
  it.each([
    ['by default', {}],
    ['with everything switched on', everything],
  ])('are accepted by the API server %s, without a field that it does not know', async (_, values) => {
    const { objects } = await render(values);
    const applied = await cluster.tryKubectl(
      ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'],
      asYaml(objects),
    );
    expect(applied.stderr).toBe('');
    expect(applied.code).toBe(0);
    expect(applied.stdout.trim().split('\n')).toHaveLength(objects.length);
  });

  it('make pods that the API server takes, and that only a privileged namespace lets in', async () => {
    const { objects } = await render();
    for (const [kind, name, baseline] of [
      ['DaemonSet', 'vfio-operator-agent', false],
      ['Deployment', 'vfio-operator-controller', true],
    ] as const) {
      const { template } = find(objects, kind, name)['spec'] as { template: KubernetesObject };
      const pod = (namespace: string): Promise<ApiResponse> =>
        cluster.admin.request({
          method: 'POST',
          path: `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`,
          body: { apiVersion: 'v1', kind: 'Pod', ...template, metadata: { ...template.metadata, name } },
        });
      expect((await pod(NAMESPACE)).status).toBe(201);
      await label('plain', 'restricted');
      const refused = await pod('plain');
      if (baseline) {
        expect(refused.status).toBe(201);
        continue;
      }
      expect(refused.status).toBe(403);
      expect(refused.text).toMatch(/violates PodSecurity.*host namespaces.*hostPath/);
    }
  });
});

async function label(namespace: string, level: string): Promise<void> {
  await cluster.kubectl([
    'label',
    '--overwrite',
    'namespace',
    namespace,
    `pod-security.kubernetes.io/enforce=${level}`,
  ]);
}

describe('a release', () => {
  const policy = (name: string): KubernetesObject => ({
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: { name },
    spec: { devices: [{ vendor: '8086', device: '10ed' }] },
  });

  it('brings the CRDs up to date, and leaves them and every policy when it goes', async () => {
    await install(cluster);
    await cluster.admin.expect({ method: 'POST', path: policies, body: policy('kept') });
    const newer = mkdtempSync(join(tmpdir(), 'vfio-chart-newer-'));
    cpSync(CHART, newer, { recursive: true });
    const file = join(newer, 'files/crds/vfiopolicies.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('shortNames: [vfiop]', 'shortNames: [vfiop, vfionew]'));
    try {
      await cluster.helm(['upgrade', RELEASE, newer, '--namespace', NAMESPACE]);
    } finally {
      rmSync(newer, { recursive: true });
    }
    expect(await shortNames()).toContain('vfionew');
    await cluster.helm(['uninstall', RELEASE, '--namespace', NAMESPACE]);
    expect((await cluster.admin.request({ path: `${policies}/kept` })).status).toBe(200);
    const admission = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/vfio-operator-own-node-state';
    expect((await cluster.admin.request({ path: admission })).status).toBe(404);
    await install(cluster);
    expect(await shortNames()).not.toContain('vfionew');
    expect((await cluster.admin.request({ path: `${policies}/kept` })).status).toBe(200);
    await cluster.kubectl(['delete', 'vfiopolicy', 'kept']);
  });

  const shortNames = async (): Promise<readonly string[]> => {
    const crd = await cluster.admin.expect({
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vfiopolicies.vfio-operator.dev',
    });
    return (crd['spec'] as { names: { shortNames: readonly string[] } }).names.shortNames;
  };
});

describe('docs/install.md', () => {
  it('tells before the uninstall which devices are still taken', async () => {
    const page = readFileSync(join(CHART, '../../../docs/install.md'), 'utf8');
    const template = /kubectl get vfionodestates -o (jsonpath='[^']*')/.exec(page)?.[1]?.replaceAll("'", '') ?? '';
    const name = 'lab1';
    const kind = { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioNodeState', metadata: { name } };
    const devices = [
      { address: '0000:3b:00.0', decision: 'Bound' },
      { address: '0000:3b:00.1', decision: 'Held' },
    ];
    await cluster.admin.apply(`${nodeStates}/${name}`, kind);
    await cluster.admin.apply(`${nodeStates}/${name}/status`, { ...kind, status: { devices } });
    expect(await cluster.kubectl(['get', 'vfionodestates', '-o', template])).toBe('lab1 Bound Held \n');
    await cluster.kubectl(['delete', 'vfionodestate', name]);
  });
});

describe('examples/', () => {
  const directory = join(CHART, '../../../examples');
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));

  it.each(files)('%s is accepted, and Git and cluster agree afterwards: kubectl diff is empty', async (name) => {
    const file = join(directory, name);
    await cluster.kubectl(['apply', '--validate=strict', '-f', file]);
    const diff = await cluster.tryKubectl(['diff', '-f', file]);
    expect(diff.stdout).toBe('');
    expect(diff.code).toBe(0);
    await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', file]);
    expect((await cluster.tryKubectl(['diff', '--server-side', '-f', file])).stdout).toBe('');
    await cluster.kubectl(['delete', '-f', file]);
  });
});
