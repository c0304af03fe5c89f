// The agent's settings: flags, environment, defaults, and what is refused.
import { afterEach, expect, test } from 'vitest';
import { agentCommand, type AgentConfig } from '../../../src/agent/config.ts';

const set = new Set<string>();

afterEach(() => {
  for (const name of set) delete process.env[name];
  set.clear();
});

/** With policies from files, unless told otherwise. */
function read(flags: readonly string[], environment: Record<string, string> = {}): Promise<AgentConfig> {
  return readAll(['--policies', '/p', ...flags], environment);
}

async function readAll(flags: readonly string[], environment: Record<string, string> = {}): Promise<AgentConfig> {
  for (const [name, value] of Object.entries(environment)) {
    process.env[name] = value;
    set.add(name);
  }
  const { promise, resolve } = Promise.withResolvers<AgentConfig>();
  const command = agentCommand((config) => Promise.resolve(resolve(config)))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  await command.parseAsync([...flags], { from: 'user' });
  return promise;
}

test('flags beat the environment, the environment beats defaults', async () => {
  expect((await read([])).interval).toBe(30_000);
  expect((await read([], { VFIO_OPERATOR_INTERVAL: '5' })).interval).toBe(5_000);
  expect((await read(['--interval', '7'], { VFIO_OPERATOR_INTERVAL: '5' })).interval).toBe(7_000);
});

test('a switch is on when its variable says so', async () => {
  expect(await read([])).toMatchObject({ loadModules: true, workerCgroup: false });
  for (const no of ['', '0', 'false', 'No', 'off']) {
    const variables = { VFIO_OPERATOR_NO_LOAD_MODULES: no, VFIO_OPERATOR_WORKER_CGROUP: no };
    expect(await read([], variables)).toMatchObject({ loadModules: true, workerCgroup: false });
  }
  const variables = { VFIO_OPERATOR_NO_LOAD_MODULES: '1', VFIO_OPERATOR_WORKER_CGROUP: 'true' };
  expect(await read([], variables)).toMatchObject({ loadModules: false, workerCgroup: true });
  expect(await read(['--no-load-modules', '--worker-cgroup'])).toMatchObject({
    loadModules: false,
    workerCgroup: true,
  });
});

test('addresses, endpoints and labels are read whole or refused', async () => {
  const config = await read([
    '--node-addresses=10.0.0.5, fd00::5',
    '--api-servers=[fd00::1]:6443,10.96.0.1:443',
    '--node-labels=zone=a,gpu=',
    '--listen=:9808',
  ]);
  expect(config.nodeAddresses).toEqual(['10.0.0.5', 'fd00::5']);
  expect(config.apiServers).toEqual([
    { address: 'fd00::1', port: 6443 },
    { address: '10.96.0.1', port: 443 },
  ]);
  expect(config.nodeLabels).toMatchObject({ zone: 'a', gpu: '', 'kubernetes.io/os': 'linux' });
  expect(config.listen).toEqual({ host: '', port: 9808 });
});

test.each([
  ['--node-addresses', 'node1'],
  ['--api-servers', 'kubernetes.default:443'],
  ['--api-servers', '10.96.0.1'],
  ['--node-labels', 'gpu'],
  ['--listen', '127.0.0.1:99999'],
  ['--interval', '0'],
  ['--write-deadline', 'soon'],
  ['--kubelet', 'maybe'],
])('%s %s is refused', async (flag, value) => {
  await expect(read([flag, value])).rejects.toThrow(/invalid|Allowed choices/);
});

const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

test('without --policies it is in a cluster: as a pod, by a kubeconfig, or at a server that is named', async () => {
  expect(await read([])).toMatchObject({ policies: '/p', kubeconfig: null, apiServer: null });
  expect(await readAll([], inPod)).toMatchObject({ policies: null, kubeconfig: null, apiServer: null });
  expect(await readAll(['--kubeconfig', '/k'])).toMatchObject({ policies: null, kubeconfig: '/k' });
  expect(await readAll([], { VFIO_OPERATOR_KUBECONFIG: '/k', NODE_NAME: 'node-7' })).toMatchObject({
    kubeconfig: '/k',
    nodeName: 'node-7',
  });
});

test('--api-server is kept as it was given, if it is one', async () => {
  expect(await readAll(['--api-server', 'https://[fd00::1]:6443'], inPod)).toMatchObject({
    apiServer: 'https://[fd00::1]:6443',
    service: { host: '10.96.0.1', port: '443' },
  });
  await expect(readAll(['--api-server', 'http://10.0.0.1:8080'])).rejects.toThrow(/is not https/);
});

test.each([
  [['--policies', '/p', '--kubeconfig', '/k'], {}, /--kubeconfig\), not from both/],
  [['--policies', '/p', '--api-server', '10.0.0.1:6443'], {}, /--api-server\), not from both/],
  [['--kubeconfig', '/k'], { VFIO_OPERATOR_POLICIES: '/p' }, /not from both/],
  [['--kubeconfig', '/k', '--node-labels', 'a=b'], {}, /the Node object's/],
  [[], {}, /where do policies come from/],
])('%j with %j is refused', async (flags, environment, sentence) => {
  const told: string[] = [];
  const command = agentCommand(() => Promise.resolve())
    .exitOverride()
    .configureOutput({ writeErr: (text) => void told.push(text) });
  for (const [name, value] of Object.entries(environment)) {
    process.env[name] = value;
    set.add(name);
  }
  await expect(command.parseAsync(flags, { from: 'user' })).rejects.toMatchObject({ exitCode: 1 });
  expect(told.join('')).toMatch(sentence);
});
