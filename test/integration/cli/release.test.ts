// `release` and `status` against the agent's real code on a simulated node: asked over the control socket while the agent runs, and
// done by the command itself under the host lock where none does.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Agent } from '../../../src/agent/start-agent.ts';
import type { CliParts } from '../../../src/cli/cli-parts.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { createTerminal } from '../../../src/cli/terminal.ts';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';
import { GrpcError } from '../../../src/kubelet/ports.ts';
import type { AgentProcess } from '../../../src/simulation/simulated-kernel.ts';
import { createSimulatedDisks } from '../../../src/simulation/simulated-disks.ts';
import { demoAddresses, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { SimulatedNode } from '../../support/conformance/simulated-agent.ts';
import { copiedPolicies } from '../../support/copied-host.ts';
import type { CliRun } from '../../support/run-cli.ts';

const { gpu, gpuAudio } = demoAddresses;
const gpus = copiedPolicies['gpus.yaml'] ?? '';
const retained = gpus.replace('spec:', 'spec:\n  onDelete: Retain');

let node: SimulatedNode;
let agent: Agent;

async function start(policyText: string): Promise<void> {
  const policies = parsePolicyFile(policyText, 'gpus.yaml').documents.map(({ policy }) => policy);
  node = new SimulatedNode(demoNode, policies);
  const started = await node.start();
  if (started === null) throw new Error('the agent did not start');
  agent = started;
}

/** Runs the command in a process of its own on the node, and lets time pass until it has ended. */
async function run(...args: readonly string[]): Promise<CliRun> {
  let stdout = '';
  let stderr = '';
  const ended: { code: number | null } = { code: null };
  const parts = toParts(
    node.kernel.startAgent(),
    (text) => (stdout += text),
    (text) => (stderr += text),
  );
  void runProgram(['node', 'vfio-operator', ...args], parts).then((code) => (ended.code = code));
  // Commands are loaded in real time, while the node's own passes only here.
  while (ended.code === null) {
    await node.clock.advance(100);
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
  return { ...ended, stdout, stderr };
}

function toParts(process: AgentProcess, out: (text: string) => void, note: (text: string) => void): CliParts {
  const { files, clock, sockets, worker, processes } = process;
  return {
    files,
    clock,
    sockets,
    worker,
    terminal: createTerminal(out, note, { colour: false }),
    proofs: { disks: createSimulatedDisks(node.kernel.files), ownAddresses: () => [] },
    readPods: () => Promise.resolve({ unreadable: 'there is no kubelet on this node' }),
    writer: () => Promise.resolve({ processes, random: node.random, grpc: noGrpc }),
    openCluster: () => Promise.reject(new Error('nothing here asks a cluster')),
    toYaml: () => Promise.reject(new Error('not asked for')),
  };
}

const noGrpc = {
  serve: () => Promise.reject(new Error('nothing is offered')),
  connect: () => ({
    call: () => Promise.reject(new GrpcError('Unavailable', 'nobody listens')),
    open: () => ({ cancel: () => undefined }),
    close: () => undefined,
  }),
  probe: () => Promise.resolve('Absent' as const),
};

const driverOf = (address: string): string | undefined =>
  node.kernel.files.readLink(`/sys/bus/pci/devices/${address}/driver`).split('/').at(-1);

function putPolicies(files: Readonly<Record<string, string>>): void {
  node.kernel.files.put('/policies', { directory: {} });
  for (const [name, text] of Object.entries(files)) node.kernel.files.put(`/policies/${name}`, { file: text });
}

describe('with an agent', () => {
  beforeEach(() => start(gpus));

  test('status prints what it decided', async () => {
    const { code, stdout } = await run('status');
    expect(code).toBe(0);
    expect(stdout).toContain('The agent is running');
    expect(stdout).toMatch(new RegExp(`${gpu} +Bound +- +gpus +vfio-pci`));
  });

  test('release is refused while a policy wants the device, and names the policy', async () => {
    const { code, stdout, stderr } = await run('release', gpu);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/policy gpus .*wants 0000:01:00\.0/);
    expect(driverOf(gpu)).toBe('vfio-pci');
  });

  test('a release beside the running agent changes nothing behind its back', async () => {
    putPolicies({});
    const { code } = await run('release', gpu, '--policies', '/policies', '--kubelet', 'none');
    expect(code).toBe(1);
    expect(driverOf(gpu)).toBe('vfio-pci');
  });
});

describe('without an agent', () => {
  beforeEach(async () => {
    await start(gpus);
    const stopped = agent.stop();
    await node.clock.advance(10_000);
    await stopped;
    expect(driverOf(gpu)).toBe('vfio-pci');
  });

  test('gives the device back under the host lock once no policy wants it', async () => {
    putPolicies({});
    const { code, stdout, stderr } = await run('release', gpu, '--policies', '/policies', '--kubelet', 'none');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`${gpu} is released\n`);
    expect(driverOf(gpu)).toBe('nouveau');
    expect(driverOf(gpuAudio)).toBe('vfio-pci');
    const again = await run('release', gpu, '--policies', '/policies', '--kubelet', 'none');
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('is not ours');
  });

  test('refuses while an Enforce policy of the directory wants it', async () => {
    putPolicies({ 'gpus.yaml': gpus });
    const { code, stderr } = await run('release', gpu, '--policies', '/policies', '--kubelet', 'none');
    expect(code).toBe(1);
    expect(stderr).toContain('policy gpus (/policies/gpus.yaml:1) wants 0000:01:00.0');
    expect(driverOf(gpu)).toBe('vfio-pci');
  });

  test('refuses while kubelet cannot say whether a pod holds it', async () => {
    putPolicies({});
    const { code, stderr } = await run('release', gpu, '--policies', '/policies');
    expect(code).toBe(1);
    expect(stderr).toContain('--kubelet=none');
    expect(driverOf(gpu)).toBe('vfio-pci');
  });

  test('refuses when the policies are not known', async () => {
    const { code, stderr } = await run('release', gpu, '--kubelet', 'none');
    expect(code).toBe(2);
    expect(stderr).toContain('--policies');
    expect(driverOf(gpu)).toBe('vfio-pci');
  });

  test('plan goes by the ledger the agent left', async () => {
    putPolicies({ 'gpus.yaml': gpus });
    const bound = await run('plan', '--policies', '/policies');
    expect(bound.stdout).toMatch(new RegExp(`${gpu} +Bound`));
    expect(bound.stdout).toContain('Nothing to do.');
    putPolicies({ 'gpus.yaml': '# none\n' });
    const released = await run('plan', '--policies', '/policies');
    expect(released.stdout).toMatch(new RegExp(`${gpu} +Release`));
  });
});

test('a device that its policy retained is given back on request', async () => {
  await start(retained);
  await node.setPolicies(agent, []);
  expect(driverOf(gpu)).toBe('vfio-pci');
  const { code, stdout } = await run('release', gpu);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${gpu} is released\n` });
  expect(driverOf(gpu)).toBe('nouveau');
});
