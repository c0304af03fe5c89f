// What the agent's pod is given, taken away piece by piece on a real node: the chart's pod, kubelet, containerd, a live kernel. Nothing that
// is missing makes a device look free: it is Unproven, fails with the kernel's word, or is told as a condition. docs/security.md has the
// table; the everyday tier takes away what the agent sees the host with, the full tier (FULL_TIER=1) everything.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../cluster/api-client.ts';
import { NODE, startOperatorOnNode } from '../cluster/operator-on-node.ts';
import type { OperatorOnNode } from '../cluster/operator-on-node.ts';
import { applyPolicy, eventually, NAMESPACE } from '../cluster/operator.ts';
import { addressesOf, readDevices } from '../support/devices-in-guest.ts';

interface Container {
  args: string[];
  securityContext: { capabilities: { add: string[] } };
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}

/** The part of the DaemonSet that is changed. */
interface PodSpec {
  hostPID: boolean;
  containers: [Container];
}

interface Seen {
  readonly decision: string;
  readonly code?: string | null;
  readonly message?: string | null;
}

interface Case {
  readonly without: string;
  readonly change: (pod: PodSpec) => void;
  /** Which of the two unused devices is asked for: a NIC, or a blank NVMe disk, of which only processes could tell that it is in use. */
  readonly device: 'nic' | 'nvme';
  /** The mode of the policy that asks for it. */
  readonly mode: 'DryRun' | 'Enforce';
  /** What becomes of it; null: it is bound all the same. */
  readonly said: { readonly decision: string; readonly code?: string; readonly message: RegExp } | null;
  /** What the node state says besides. */
  readonly condition?: RegExp;
  readonly everyday?: true;
}

const drop =
  (capability: string) =>
  (pod: PodSpec): void => {
    const { capabilities } = pod.containers[0].securityContext;
    capabilities.add = capabilities.add.filter((name) => name !== capability);
  };

/** The order matters: the modules are loaded for good by the first case that can. */
const cases: readonly Case[] = [
  {
    without: 'SYS_PTRACE',
    change: drop('SYS_PTRACE'),
    device: 'nvme',
    mode: 'DryRun',
    said: { decision: 'Refused', code: 'Unproven', message: /\/proc\// },
    everyday: true,
  },
  {
    without: 'DAC_READ_SEARCH',
    change: drop('DAC_READ_SEARCH'),
    device: 'nvme',
    mode: 'DryRun',
    said: { decision: 'Refused', code: 'Unproven', message: /\/fd: .*EACCES/ },
  },
  {
    without: "the host's root directory",
    change: (pod) => {
      const [container] = pod.containers;
      container.volumeMounts = container.volumeMounts.filter(({ name }) => name !== 'host');
      container.volumeMounts.forEach((mount) => {
        if (mount.name === 'sys') mount.mountPath = '/sys';
      });
      container.args = container.args.map((arg) => (arg === '--host-root=/host' ? '--host-root=/' : arg));
      pod.hostPID = false;
    },
    device: 'nic',
    mode: 'DryRun',
    said: { decision: 'Refused', code: 'Unproven', message: /is not the host's PID namespace/ },
    everyday: true,
  },
  {
    without: 'SYS_MODULE',
    change: drop('SYS_MODULE'),
    device: 'nic',
    mode: 'Enforce',
    said: { decision: 'Failed', message: /Operation not permitted/ },
  },
  {
    without: 'SYS_CHROOT',
    change: drop('SYS_CHROOT'),
    device: 'nic',
    mode: 'Enforce',
    said: { decision: 'Failed', message: /chroot/ },
  },
  {
    without: 'a writable /sys',
    change: (pod) => {
      for (const mount of pod.containers[0].volumeMounts) if (mount.name === 'sys') mount.readOnly = true;
    },
    device: 'nic',
    mode: 'Enforce',
    said: { decision: 'Failed', message: /EROFS|read-only/i },
  },
  {
    without: 'SYS_ADMIN',
    change: drop('SYS_ADMIN'),
    device: 'nic',
    mode: 'Enforce',
    said: null,
    condition: /WorkerOutsidePod=False/,
  },
  {
    without: "the host's PIDs",
    change: (pod) => {
      pod.hostPID = false;
    },
    device: 'nic',
    mode: 'Enforce',
    said: null,
    condition: /WorkerOutsidePod=False/,
    everyday: true,
  },
];

const wanted = process.env['FULL_TIER'] === '1' ? cases : cases.filter(({ everyday }) => everyday === true);
const daemonSet = `/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/vfio-operator-agent`;
const nodeState = `/apis/vfio-operator.dev/v1alpha1/vfionodestates/${NODE}`;

let operator: OperatorOnNode;
let original: KubernetesObject;
/** The devices and their host drivers. */
let at: Readonly<Record<Case['device'], string>>;
const drivers = { nic: 'e1000e', nvme: 'nvme' } as const;

beforeAll(async () => {
  operator = await startOperatorOnNode({ topology: 'full' });
  const { cluster, node } = operator;
  at = await addressesOf(node.guest, ['nic', 'nvme']);
  // What udev records of a blank disk: a container may not open disks, and the lab has no udev.
  await node.guest.run(`modprobe nvme; mkdir -p /run/udev/data
    for disk in /sys/class/block/nvme*n1; do
      [ ! -e $disk/dev ] || printf 'I:1\\nE:ID_SERIAL=lab\\n' > /run/udev/data/b$(cat $disk/dev)
    done
    [ "$(ls /run/udev/data)" != "" ]`);
  original = await cluster.admin.expect({ path: daemonSet });
  // A process of another user, whose open files root alone may not list.
  await node.guest.run(
    'setpriv --reuid 65534 --regid 65534 --clear-groups sleep 100000 > /dev/null 2>&1 < /dev/null &',
  );
});
afterAll(async () => operator?.stop());

/** Gives the DaemonSet another pod, and waits until that one runs; it may well never be Ready. */
async function restart(change: (pod: PodSpec) => void): Promise<void> {
  const { cluster } = operator;
  const before = (await operator.agentPod())?.metadata?.name;
  const spec = structuredClone(original['spec']) as { template: { spec: PodSpec; metadata: { annotations: object } } };
  change(spec.template.spec);
  const template = {
    ...spec.template,
    metadata: { ...spec.template.metadata, annotations: { test: String(Math.random()) } },
  };
  const body = [{ op: 'replace', path: '/spec/template', value: template }];
  await cluster.admin.expect({ method: 'PATCH', path: daemonSet, contentType: 'application/json-patch+json', body });
  await eventually(
    'an agent that runs',
    async () => operator.agentPod(),
    (pod) => {
      const { phase } = (pod?.['status'] ?? {}) as { phase?: string };
      return pod?.metadata?.name !== before && phase === 'Running';
    },
    { explain: operator.explain },
  );
  // What the former agent said says nothing about this one, which writes its state anew.
  await cluster.admin.request({ method: 'DELETE', path: nodeState });
}

interface Status {
  readonly devices?: readonly (Seen & { readonly address: string })[];
  readonly dryRun?: readonly (Seen & { readonly address: string })[];
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[];
}

async function readStatus(): Promise<Status> {
  const { status, body } = await operator.cluster.admin.request({ path: nodeState });
  return status === 200 ? (body['status'] ?? {}) : {};
}

/** Waits for a decision on the device that is no mere intention. */
async function judged(mode: Case['mode'], device: Case['device']): Promise<Seen> {
  const read = async (): Promise<Seen | undefined> => {
    const status = await readStatus();
    return (mode === 'DryRun' ? status.dryRun : status.devices)?.find(({ address }) => address === at[device]);
  };
  const settled = (seen: Seen | undefined): boolean =>
    seen !== undefined && (mode === 'DryRun' || !['Bind', 'Release'].includes(seen.decision));
  return (await eventually('a decision', read, settled, { explain: operator.explain })) ?? { decision: 'none' };
}

async function askFor(device: Case['device'], mode: Case['mode']): Promise<Seen> {
  await applyPolicy(operator.cluster, 'asks', { mode, devices: [{ addresses: [at[device]] }] });
  return judged(mode, device);
}

async function forgetPolicy(device: Case['device']): Promise<void> {
  await operator.cluster.kubectl(['delete', 'vfiopolicy', 'asks', '--ignore-not-found']);
  await eventually(
    'the device back on its driver',
    async () => driverOf(device),
    (driver) => driver === drivers[device],
    { explain: operator.explain },
  );
}

async function driverOf(device: Case['device']): Promise<string | null> {
  return (await readDevices(operator.node.guest, at))[device].driver;
}

describe('the pod as the chart writes it', { timeout: 600_000 }, () => {
  it.each(['nic', 'nvme'] as const)('sees that the %s is free', async (device) => {
    expect(await askFor(device, 'DryRun')).toMatchObject({ decision: 'Bind' });
    await forgetPolicy(device);
  });
});

describe.each(wanted)('without $without', { timeout: 600_000 }, ({ change, device, mode, said, condition }) => {
  it(said === null ? 'it does what it must, and says what it cannot' : 'the device is not taken', async () => {
    await restart(change);
    const seen = await askFor(device, mode);
    process.stderr.write(`${JSON.stringify(seen)}\n`);
    if (said === null) expect(seen.decision).toBe('Bound');
    else {
      expect(seen).toMatchObject({ decision: said.decision, message: expect.stringMatching(said.message) as string });
      if (said.code !== undefined) expect(seen.code).toBe(said.code);
      expect(await driverOf(device)).toBe(drivers[device]);
    }
    const { conditions = [] } = await readStatus();
    if (condition !== undefined)
      expect(conditions.map(({ type, status }) => `${type}=${status}`).join(' ')).toMatch(condition);
    await forgetPolicy(device);
  });
});
