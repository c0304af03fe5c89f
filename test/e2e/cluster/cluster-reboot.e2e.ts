// A node that loses power and comes back, /var/lib kept on a disk. With the agent in a pod, kubelet may see pods before it sees their
// devices: what fails by that is counted, and its controller replaces it. With the agent as a service of the host, devices are there before
// kubelet, without an API server even, and nothing fails.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Guest } from '../lab/guest.ts';
import { program } from '../support/agent-in-guest.ts';
import { addressesOf, onHost, onVfio, readDevices } from '../support/devices-in-guest.ts';
import type { KubernetesObject } from './api-client.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { startNode } from './node.ts';
import type { Node, NodeOptions } from './node.ts';
import { clusterImage } from './operator-image.ts';
import {
  applyPolicy,
  boxPod,
  eventually,
  HOLD_DEVICES,
  installOperator,
  parseHeldDevice,
  readAllocatable,
} from './operator.ts';
import type { HeldDevice } from './operator.ts';

const name = 'lab1';
const resource = 'vfio-operator.dev/nic';

let cluster: ControlPlane | undefined;
let node: Node | undefined;
let folder: string | undefined;

afterEach(async () => {
  await node?.shutdown();
  await cluster?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  [node, cluster, folder] = [undefined, undefined, undefined];
});

/** A disk image of its own, which a guest sees under the home directory. */
function newDisk(): string {
  folder = mkdtempSync(join(homedir(), '.cache', 'vfio-reboot-'));
  return join(folder, 'varlib.raw');
}

/** One replica that takes one unit and holds it. */
function holderDeployment(): KubernetesObject {
  const { spec } = boxPod('holder', HOLD_DEVICES, { [resource]: 1 });
  const labels = { app: 'holder' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'holder', namespace: 'default' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...(spec as object), restartPolicy: 'Always' } },
    },
  };
}

interface PodNow {
  readonly name: string;
  readonly phase: string;
  readonly reason: string;
  readonly held: HeldDevice;
}

/** The pods of the deployment, failed ones among them. */
async function pods(plane: ControlPlane, on: Node): Promise<readonly PodNow[]> {
  const found = await plane.admin.list('/api/v1/namespaces/default/pods?labelSelector=app%3Dholder');
  return Promise.all(
    found.map(async (pod) => {
      const status = pod['status'] as { phase: string; reason?: string };
      const held = parseHeldDevice(await on.podLog('default', pod.metadata?.name ?? '', 'main'));
      return { name: pod.metadata?.name ?? '', phase: status.phase, reason: status.reason ?? '', held };
    }),
  );
}

const running = (all: readonly PodNow[]): PodNow | undefined =>
  all.find((pod) => pod.phase === 'Running' && pod.held.holding);

async function waitForHolder(plane: ControlPlane, on: Node, seconds = 600): Promise<readonly PodNow[]> {
  const explain = async (): Promise<string> =>
    `${(await plane.tryKubectl(['describe', 'pods,node'])).stdout}\n${await on.complaints()}`;
  return eventually(
    'a pod that holds its device',
    () => pods(plane, on),
    (all) => running(all) !== undefined,
    {
      seconds,
      explain,
    },
  );
}

async function applyNicPolicy(plane: ControlPlane, on: Node): Promise<{ nic: string; hot: string }> {
  const at = await addressesOf(on.guest, ['nic', 'hot']);
  await applyPolicy(plane, 'nic', { devices: [{ addresses: [at.nic] }], resource: { name: resource } });
  return at;
}

describe('the agent in a pod', () => {
  test('devices are bound and registered again, and what failed by order of admission is replaced', async () => {
    const image = await clusterImage();
    const plane = (cluster = await startControlPlane({
      controllerManager: true,
      scheduler: true,
      crds: false,
      nodes: [name],
    }));
    await installOperator(plane, { 'image.repository': image.repository, 'image.tag': image.tag });
    const options: NodeOptions = {
      name,
      kernel: '6.12',
      topology: 'small',
      keptState: newDisk(),
      images: [image.archive],
    };
    const before = (node = await startNode(plane, options));
    const at = await applyNicPolicy(plane, before);
    await plane.kubectl(['apply', '-f', '-'], JSON.stringify(holderDeployment()));
    await waitForHolder(plane, before);
    await before.shutdown();

    const after = (node = await startNode(plane, options));
    const all = await eventually(
      'the device bound, registered and held again',
      () => pods(plane, after),
      (found) => running(found)?.held.address === at.nic,
      { seconds: 600, explain: () => after.complaints() },
    );
    expect(await readDevices(after.guest, at)).toMatchObject({ nic: onVfio('e1000e-vfio'), hot: onHost('e1000e') });
    const failed = all.filter((pod) => pod.phase === 'Failed');
    for (const pod of failed) expect(pod.reason).toBe('UnexpectedAdmissionError');
    process.stderr.write(`${failed.length} pod(s) failed by order of admission after the reboot and were replaced\n`);
  });
});

describe('the agent as a service of the host', () => {
  test('with the API server away, devices are bound before kubelet starts, and no pod fails', async () => {
    const plane = (cluster = await startControlPlane({
      controllerManager: true,
      scheduler: true,
      crds: false,
      nodes: [name],
    }));
    await installOperator(plane, { 'hostAgents.enabled': true, 'controller.replicas': 1 });
    const boundAtKubeletStart: (string | null)[] = [];
    let said = '';
    const options: NodeOptions = {
      name,
      kernel: '6.12',
      topology: 'small',
      keptState: newDisk(),
      labels: { 'vfio-operator.dev/agent': 'host' },
      beforeKubelet: async (guest) => {
        await startHostService(guest);
        const at = await addressesOf(guest, ['nic']);
        boundAtKubeletStart.push((await readDevices(guest, at)).nic.driver);
        said = await guest.run('tail -n 20 /var/log/vfio-operator.log');
      },
    };
    const before = (node = await startNode(plane, options));
    const at = await applyNicPolicy(plane, before);
    await plane.kubectl(['apply', '-f', '-'], JSON.stringify(holderDeployment()));
    const [first] = await waitForHolder(plane, before);
    await before.shutdown();
    await plane.apiServer.stop();

    const after = (node = await startNode(plane, { ...options, waitUntilReady: false }));
    expect(boundAtKubeletStart, said).toEqual(['e1000e', 'e1000e-vfio']);
    await eventually(
      'kubelet hearing of the device',
      () =>
        after.guest.run(
          "grep -c 'Got registration request from device plugin with resource' /var/log/kubelet.log || true",
        ),
      (count) => Number(count) > 0,
      { explain: () => after.complaints() },
    );
    await plane.apiServer.start();
    await after.waitUntilReady();
    const all = await waitForHolder(plane, after);
    expect(all.map((pod) => [pod.name, pod.phase, pod.held.address])).toEqual([[first?.name, 'Running', at.nic]]);
    expect(await readAllocatable(plane, name, resource)).toBe(1);
  });
});

/** The programs of `deploy/systemd` run as its unit says, by the paths they have here: systemd itself is not in the lab. */
async function startHostService(guest: Guest): Promise<void> {
  const unit = readFileSync(new URL('../../../deploy/systemd/vfio-operator-agent.service', import.meta.url), 'utf8');
  const line = (key: string): string =>
    (new RegExp(`^${key}=-?(.*)$`, 'm').exec(unit)?.[1] ?? '')
      .replaceAll('/opt/vfio-operator/bin/node', 'node')
      .replaceAll('/opt/vfio-operator/dist/main.mjs', program);
  const environment = { NODE_NAME: name, VFIO_OPERATOR_KUBECONFIG: '/etc/kubernetes/kubeconfig' };
  await guest.run(line('ExecStartPre'));
  await guest.spawn(`exec ${line('ExecStart')} >> /var/log/vfio-operator.log 2>&1`, { environment });
  try {
    // The unit gives it 90 s of a real machine; an emulated one beside others is ten times slower.
    const wait = line('ExecStartPost').replace('timeout 90 ', 'timeout 600 ');
    await guest.run(wait, { environment, timeoutMs: 630_000 });
  } catch (error) {
    throw new Error(`the agent had no first pass:\n${await guest.run('tail -n 30 /var/log/vfio-operator.log')}`, {
      cause: error,
    });
  }
}
