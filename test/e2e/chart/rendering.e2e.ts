// What the chart renders: helm's own linter, values that its schema takes and refuses, and what must be in the objects or must not.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { programPath } from '../cluster/programs.ts';
import type { KubernetesObject } from '../cluster/api-client.ts';
import { attempt } from '../lab/command.ts';
import { agentCommand, type AgentConfig } from '../../../src/agent/config.ts';
import { controllerCommand, type ControllerConfig } from '../../../src/controller/config.ts';
import { CHART, find, names, render, valuesFile } from './chart.ts';

interface PodTemplate {
  readonly spec: {
    readonly containers: readonly [
      {
        readonly args: readonly string[];
        readonly env: readonly { readonly name: string; readonly value?: string }[];
        readonly securityContext: { readonly capabilities: { readonly add?: readonly string[] } };
        readonly volumeMounts?: readonly { readonly mountPath: string; readonly readOnly?: boolean }[];
        readonly livenessProbe: { readonly httpGet: { readonly host?: string } };
      },
    ];
    readonly volumes?: readonly { readonly hostPath: { readonly path: string } }[];
    readonly [field: string]: unknown;
  };
}

const podOf = (object: KubernetesObject): PodTemplate => (object['spec'] as { template: PodTemplate }).template;
const agentOf = (objects: readonly KubernetesObject[]): PodTemplate['spec'] =>
  podOf(find(objects, 'DaemonSet', 'vfio-operator-agent')).spec;

it('passes helm lint --strict', async () => {
  const helm = await programPath('helm');
  const lint = await attempt([helm, 'lint', '--strict', CHART]);
  expect(lint.stdout).toContain('0 chart(s) failed');
  expect(lint.code).toBe(0);
});

it('has the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(CHART, '../../../package.json'), 'utf8')) as { version: string };
  expect(parseYaml(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))).toMatchObject({ version, appVersion: version });
});

it('renders by default what a cluster needs, and nothing that needs something more', async () => {
  const { objects } = await render();
  expect(names(objects)).toEqual([
    'ClusterRole/vfio-operator-agent',
    'ClusterRole/vfio-operator-controller',
    'ClusterRoleBinding/vfio-operator-agent',
    'ClusterRoleBinding/vfio-operator-controller',
    'CustomResourceDefinition/vfionodestates.vfio-operator.dev',
    'CustomResourceDefinition/vfiopolicies.vfio-operator.dev',
    'DaemonSet/vfio-operator-agent',
    'Deployment/vfio-operator-controller',
    'NetworkPolicy/vfio-operator-controller',
    'PodDisruptionBudget/vfio-operator-controller',
    'Role/vfio-operator-agent-events',
    'Role/vfio-operator-controller',
    'RoleBinding/vfio-operator-agent-events',
    'RoleBinding/vfio-operator-controller',
    'ServiceAccount/vfio-operator-agent',
    'ServiceAccount/vfio-operator-controller',
    'ValidatingAdmissionPolicy/vfio-operator-own-node-state',
    'ValidatingAdmissionPolicyBinding/vfio-operator-own-node-state',
  ]);
});

describe('custom resource definitions', () => {
  it('are those of crds/, kept when the release goes', async () => {
    const { objects } = await render();
    for (const file of readdirSync(join(CHART, 'crds'))) {
      const source = parseYaml(readFileSync(join(CHART, 'crds', file), 'utf8')) as KubernetesObject;
      const rendered = find(objects, 'CustomResourceDefinition', source.metadata?.name ?? '');
      expect(rendered['spec']).toEqual(source['spec']);
      expect(rendered.metadata?.annotations).toMatchObject({
        ...source.metadata?.annotations,
        'helm.sh/resource-policy': 'keep',
      });
    }
  });

  it('can be left to somebody else, and Helm itself finds none to install', async () => {
    const { objects } = await render({ crds: { install: false } }, ['--include-crds']);
    expect(names(objects).filter((name) => name.startsWith('CustomResourceDefinition'))).toEqual([]);
  });
});

describe("the agent's pod", () => {
  it('is not privileged, and has the capabilities that its work needs and no other', async () => {
    const { objects } = await render();
    const spec = agentOf(objects);
    expect(spec).toMatchObject({
      hostPID: true,
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      securityContext: {
        seccompProfile: { type: 'RuntimeDefault' },
        appArmorProfile: { type: 'Unconfined' },
        seLinuxOptions: { type: 'spc_t' },
      },
    });
    expect(spec.containers[0].securityContext).toEqual({
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: {
        drop: ['ALL'],
        add: ['SYS_PTRACE', 'DAC_READ_SEARCH', 'SYS_MODULE', 'SYS_CHROOT', 'SYS_ADMIN', 'DAC_OVERRIDE'],
      },
    });
    expect(spec.containers[0].args).toContain('--worker-cgroup');
  });

  it('has no capability for what is switched off', async () => {
    const { objects } = await render({ agent: { loadModules: false, sysAdmin: false } });
    const [{ args, securityContext }] = agentOf(objects).containers;
    expect(securityContext.capabilities.add).toEqual(['SYS_PTRACE', 'DAC_READ_SEARCH']);
    expect(args).toContain('--no-load-modules');
    expect(args).not.toContain('--worker-cgroup');
  });

  it('writes to the host below /sys, its state directory, kubelet’s sockets and the CDI directory alone', async () => {
    const { objects } = await render();
    const mounts = agentOf(objects).containers[0].volumeMounts ?? [];
    expect(mounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath)).toEqual([
      '/host/sys',
      '/var/lib/vfio-operator',
      '/var/lib/kubelet/device-plugins',
      '/var/run/cdi',
    ]);
  });

  it('follows kubelet to other directories', async () => {
    const { objects } = await render({
      kubelet: { rootDir: '/data/kubelet', devicePluginsDir: '/data/plugins', registration: 'directory' },
      cdi: { enabled: false },
    });
    const spec = agentOf(objects);
    expect((spec.volumes ?? []).map(({ hostPath }) => hostPath.path)).toEqual([
      '/',
      '/sys',
      '/var/lib/vfio-operator',
      '/data/plugins',
      '/data/kubelet/pod-resources',
      '/data/kubelet/plugins_registry',
    ]);
    expect(spec.containers[0].args).toEqual(
      expect.arrayContaining([
        '--kubelet-root=/data/kubelet',
        '--device-plugins-dir=/data/plugins',
        '--registration=directory',
      ]),
    );
  });

  it('never has a second one beside it', async () => {
    const { objects } = await render({ agent: { maxUnavailable: 3 } });
    expect(find(objects, 'DaemonSet', 'vfio-operator-agent')['spec']).toMatchObject({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 3 } },
    });
  });

  it('avoids other architectures and nodes whose agent is a host service', async () => {
    const { objects } = await render();
    expect(agentOf(objects)['affinity']).toEqual({
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            {
              matchExpressions: [
                { key: 'kubernetes.io/os', operator: 'In', values: ['linux'] },
                { key: 'kubernetes.io/arch', operator: 'In', values: ['amd64', 'arm64'] },
                { key: 'vfio-operator.dev/agent', operator: 'NotIn', values: ['host'] },
              ],
            },
          ],
        },
      },
    });
  });
});

it('leads both programs to another API server', async () => {
  const { objects } = await render({ apiServer: { host: '10.0.2.100', port: 6443 } });
  const pods = [
    podOf(find(objects, 'DaemonSet', 'vfio-operator-agent')),
    podOf(find(objects, 'Deployment', 'vfio-operator-controller')),
  ];
  for (const { spec } of pods) {
    expect(spec.containers[0].env).toEqual(
      expect.arrayContaining([
        { name: 'KUBERNETES_SERVICE_HOST', value: '10.0.2.100' },
        { name: 'KUBERNETES_SERVICE_PORT', value: '6443' },
      ]),
    );
  }
});

it('shows metrics to the node alone, unless told otherwise', async () => {
  const closed = agentOf((await render()).objects).containers[0];
  expect(closed.args).toContain('--listen=127.0.0.1:9808');
  expect(closed.livenessProbe.httpGet.host).toBe('127.0.0.1');
  const { objects } = await render({ metrics: { enabled: true, serviceMonitor: { enabled: true } } });
  const open = agentOf(objects).containers[0];
  expect(open.args).toContain('--listen=[$(HOST_IP)]:9808');
  expect(open.livenessProbe.httpGet.host).toBeUndefined();
  expect(names(objects)).toEqual(
    expect.arrayContaining(['Service/vfio-operator-agent-metrics', 'ServiceMonitor/vfio-operator-controller']),
  );
});

describe('what the chart says on the command line is what the programs understand', () => {
  beforeAll(() => {
    // What kubelet tells a pod.
    vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.96.0.1');
    vi.stubEnv('POD_NAMESPACE', 'vfio-operator');
  });
  afterAll(() => vi.unstubAllEnvs());
  const parse = <Config>(
    command: (run: (config: Config) => Promise<void>) => Command,
    [, ...flags]: readonly string[],
  ): Config | undefined => {
    let found: Config | undefined;
    const parser = command((config) => {
      found = config;
      return Promise.resolve();
    });
    parser.exitOverride().configureOutput({ writeErr: () => undefined });
    parser.parse(
      flags.map((flag) => flag.replace('$(HOST_IP)', 'fd00::7')),
      { from: 'user' },
    );
    return found;
  };
  const argumentsOf = (objects: readonly KubernetesObject[], kind: string, name: string): readonly string[] =>
    podOf(find(objects, kind, name)).spec.containers[0].args;

  it('by default', async () => {
    const { objects } = await render();
    expect(parse<AgentConfig>(agentCommand, argumentsOf(objects, 'DaemonSet', 'vfio-operator-agent'))).toMatchObject({
      policies: null,
      hostRoot: '/host',
      kubelet: 'required',
      registration: 'legacy',
      loadModules: true,
      workerCgroup: true,
      listen: { host: '127.0.0.1', port: 9808 },
      writeDeadline: 60_000,
      interval: 30_000,
    });
    expect(
      parse<ControllerConfig>(controllerCommand, argumentsOf(objects, 'Deployment', 'vfio-operator-controller')),
    ).toMatchObject({ lease: 'vfio-operator-controller', listen: { host: '', port: 9809 }, kubeVirt: false });
  });

  it('with everything changed', async () => {
    const { objects } = await render({
      logLevel: 'debug',
      agent: { loadModules: false, sysAdmin: false, intervalSeconds: 5, writeDeadlineSeconds: 120, port: 1234 },
      kubelet: { registration: 'directory' },
      metrics: { enabled: true },
      kubevirt: { preflight: true },
    });
    expect(parse<AgentConfig>(agentCommand, argumentsOf(objects, 'DaemonSet', 'vfio-operator-agent'))).toMatchObject({
      logLevel: 'debug',
      registration: 'directory',
      loadModules: false,
      workerCgroup: false,
      listen: { host: 'fd00::7', port: 1234 },
      writeDeadline: 120_000,
      interval: 5_000,
    });
    expect(
      parse<ControllerConfig>(controllerCommand, argumentsOf(objects, 'Deployment', 'vfio-operator-controller')),
    ).toMatchObject({ logLevel: 'debug', kubeVirt: true });
    expect(agentOf(objects)['terminationGracePeriodSeconds']).toBe(135);
  });
});

it('has no budget that would keep a node from being drained', async () => {
  const { objects } = await render({ controller: { replicas: 1 } });
  expect(names(objects)).not.toContain('PodDisruptionBudget/vfio-operator-controller');
});

it('takes an image by digest', async () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const { objects } = await render({ image: { repository: 'example.org/vfio', digest } });
  expect(agentOf(objects).containers[0]).toMatchObject({ image: `example.org/vfio@${digest}` });
});

describe('the schema of the values', () => {
  it.each([
    ['an unknown value', { agents: {} }, "additional properties 'agents' not allowed"],
    [
      'an unknown value further down',
      { agent: { loadModule: true } },
      "additional properties 'loadModule' not allowed",
    ],
    ['a level that no program knows', { logLevel: 'verbose' }, '/logLevel'],
    ['a relative directory', { kubelet: { rootDir: 'var/lib/kubelet' } }, '/kubelet/rootDir'],
    ['a directory that ends in a slash', { agent: { stateDir: '/var/lib/vfio/' } }, '/agent/stateDir'],
    ['a way of registration that kubelet has not', { kubelet: { registration: 'both' } }, '/kubelet/registration'],
    ['a port too high', { agent: { port: 70_000 } }, '/agent/port'],
    ['a URL for a host', { apiServer: { host: 'https://10.0.0.1' } }, '/apiServer/host'],
    ['a tag within the repository’s digest', { image: { digest: 'latest' } }, '/image/digest'],
    ['all nodes at once by zero', { agent: { maxUnavailable: 0 } }, '/agent/maxUnavailable'],
    ['a share of more than all', { agent: { maxUnavailable: '110%' } }, '/agent/maxUnavailable'],
    ['no controller at all', { controller: { replicas: 0 } }, '/controller/replicas'],
    ['a number for a switch', { agent: { sysAdmin: 1 } }, '/agent/sysAdmin'],
  ])('refuses %s', async (_, values, said) => {
    const { code, stderr } = await render(values);
    expect(code).not.toBe(0);
    expect(stderr).toContain(said);
  });

  it('takes every value that the README names, at its default', async () => {
    const helm = await programPath('helm');
    const values = parseYaml(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as object;
    expect((await attempt([helm, 'lint', '--strict', CHART, '--values', valuesFile(values)])).code).toBe(0);
  });
});
