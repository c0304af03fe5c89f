// The agent's settings: flags, environment, defaults, and what is refused.
import { afterEach, expect, test } from 'vitest';
import { agentCommand, type AgentConfig } from '../../../src/agent/config.ts';

const set = new Set<string>();

afterEach(() => {
  for (const name of set) delete process.env[name];
  set.clear();
});

async function read(flags: readonly string[], environment: Record<string, string> = {}): Promise<AgentConfig> {
  for (const [name, value] of Object.entries(environment)) {
    process.env[name] = value;
    set.add(name);
  }
  const { promise, resolve } = Promise.withResolvers<AgentConfig>();
  const command = agentCommand((config) => Promise.resolve(resolve(config)))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  await command.parseAsync(['--policies', '/p', ...flags], { from: 'user' });
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
