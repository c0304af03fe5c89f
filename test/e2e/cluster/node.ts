// A node: a guest of the lab with containerd and kubelet, joined to a control plane of the test machine through the guest's closed
// forwarding. Real pods run on it; what they write is read in the guest, never through the API server, which cannot reach the guest.

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cacheRoot } from '../lab/cache.ts';
import { bootGuest } from '../lab/boot.ts';
import type { BootOptions, DiskOption } from '../lab/boot.ts';
import type { Guest, GuestProcess } from '../lab/guest.ts';
import { LabError, say } from '../lab/lab-error.ts';
import { GUEST_API_SERVER } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { flagsOf } from './control-plane-files.ts';
import { labImages, PAUSE_IMAGE } from './images.ts';
import { nodeTools } from './node-tools.ts';
import { programPaths } from './programs.ts';
import { until } from './until.ts';

const SETUP = fileURLToPath(new URL('node/setup.sh', import.meta.url));

export interface NodeOptions extends Pick<BootOptions, 'kernel' | 'topology' | 'iommu' | 'memoryMebibytes' | 'qemu'> {
  /** One of the control plane's `nodes`. */
  readonly name: string;
  /** OCI archives to import beside the lab's own images. */
  readonly images?: readonly string[];
  /** Raw file that keeps /var/lib over a reboot; made when absent. Without it /var/lib is in memory. */
  readonly keptState?: string;
  /** Port of 127.0.0.1 by which the guest reaches the API server; default the API server's own, another for a fault proxy. */
  readonly apiServerPort?: number;
  /** Labels of the Node object from its registration on. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Fields of KubeletConfiguration beside the lab's own. */
  readonly kubelet?: Readonly<Record<string, unknown>>;
  /** Called with the guest before kubelet starts: what the host itself runs. */
  readonly beforeKubelet?: (guest: Guest) => Promise<void>;
  /** Wait until the node is Ready; default true. False where the API server is away on purpose. */
  readonly waitUntilReady?: boolean;
}

export interface Node {
  readonly name: string;
  readonly guest: Guest;
  /** Writes kubelet's configuration anew: the lab's, and these fields. It holds from its next start on. */
  configureKubelet(fields: Readonly<Record<string, unknown>>): Promise<void>;
  /** Starts kubelet when it does not run. */
  startKubelet(): Promise<void>;
  /** SIGTERM, or another signal; resolves when it is gone. Pods run on. */
  stopKubelet(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Imports an OCI archive of the test machine into containerd. */
  importImage(archive: string): Promise<void>;
  /** Gives an imported image another name as well. */
  tagImage(from: string, to: string): Promise<void>;
  /** Waits until the Node object says Ready by the word of the kubelet that runs now. */
  waitUntilReady(seconds?: number): Promise<void>;
  /** What a pod's container wrote, all its lives in order; empty when it wrote nothing. */
  podLog(namespace: string, pod: string, container: string): Promise<string>;
  /** The end of kubelet's and containerd's own logs, for a failure. */
  complaints(): Promise<string>;
  /** Power off, disks flushed. */
  shutdown(): Promise<void>;
}

/** Boots it and waits until it is Ready. Throws LabError with the ends of the logs when it does not get so. */
export async function startNode(cluster: ControlPlane, options: NodeOptions): Promise<Node> {
  const programs = await programPaths(['kubelet', 'containerd', 'containerd-shim-runc-v2', 'ctr']);
  const [tools, images] = [await nodeTools(), await labImages()];
  const began = performance.now();
  const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  const guest = await bootGuest({
    kernel: options.kernel,
    hostname: options.name,
    memoryMebibytes: options.memoryMebibytes ?? 4096,
    visible: [cacheRoot()],
    forwards: [{ guestPort: 6443, hostPort: options.apiServerPort ?? cluster.port }],
    ...(options.topology === undefined ? {} : { topology: options.topology }),
    ...(options.iommu === undefined ? {} : { iommu: options.iommu }),
    ...(options.qemu === undefined ? {} : { qemu: options.qemu }),
    ...(options.keptState === undefined ? {} : { disks: [stateDisk(options.keptState)] }),
  });
  await guest.run(`sh ${SETUP} ${tools}`);
  await guest.createFile('/etc/containerd/config.toml', CONTAINERD);
  const configureKubelet: Node['configureKubelet'] = (fields) =>
    guest.createFile('/etc/kubernetes/kubelet.yaml', JSON.stringify({ ...KUBELET, ...fields }));
  await configureKubelet(options.kubelet ?? {});
  const token = cluster.token(`system:node:${options.name}`);
  await guest.createFile('/etc/kubernetes/kubeconfig', cluster.kubeconfigText(token, GUEST_API_SERVER));
  await options.beforeKubelet?.(guest);

  const path = [programs.containerd, programs['containerd-shim-runc-v2'], programs.ctr].map((one) =>
    one.replace(/\/[^/]+$/, ''),
  );
  const environment = { PATH: `${path.join(':')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` };
  const containerd = await guest.spawn(`exec ${programs.containerd} >> /var/log/containerd.log 2>&1`, { environment });
  const ctr = (parameters: string): Promise<string> =>
    guest.run(`${programs.ctr} -n k8s.io ${parameters}`, { timeoutMs: 180_000 });
  const importImage = async (archive: string): Promise<void> => {
    // What was imported before a reboot is still there.
    const { mtimeMs, size } = statSync(archive);
    const marker = `/var/lib/lab-imported/${createHash('sha256').update(`${archive} ${mtimeMs} ${size}`).digest('hex')}`;
    if ((await guest.exec(`[ -e ${marker} ]`)).code === 0) return;
    await ctr(`images import --local '${archive}'`);
    await guest.run(`mkdir -p /var/lib/lab-imported && touch ${marker}`);
  };

  const labels = Object.entries(options.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const flags = flagsOf({
    config: '/etc/kubernetes/kubelet.yaml',
    kubeconfig: '/etc/kubernetes/kubeconfig',
    'node-ip': '10.0.2.15',
    'hostname-override': options.name,
    'node-labels': labels.join(','),
    // Reading every cgroup's figures is most of an idle kubelet's work, and nobody here looks at them.
    'housekeeping-interval': '60s',
    v: '2',
  });
  let kubelet: GuestProcess | undefined;
  let kubeletStarted = 0;
  const startKubelet = async (): Promise<void> => {
    if (kubelet !== undefined) return;
    const own = await guest.spawn(`exec ${programs.kubelet} ${flags.join(' ')} >> /var/log/kubelet.log 2>&1`, {
      environment,
    });
    [kubelet, kubeletStarted] = [own, Date.now()];
    void own.ended.finally(() => (kubelet = kubelet === own ? undefined : kubelet)).catch(() => undefined);
  };
  const complaints = (): Promise<string> =>
    guest.run('tail -n 15 /var/log/containerd.log /var/log/kubelet.log; dmesg | tail -n 5').catch(String);

  const node: Node = {
    name: options.name,
    guest,
    configureKubelet,
    startKubelet,
    stopKubelet: async (signal = 'SIGTERM') => {
      const own = kubelet;
      if (own === undefined) return;
      await own.signal(signal);
      await own.ended;
    },
    importImage,
    tagImage: async (from, to) => void (await ctr(`images tag '${from}' '${to}'`)),
    waitUntilReady: async (within = 400) => {
      try {
        await until(
          `node ${options.name} Ready`,
          () => isReady(cluster, options.name, kubeletStarted, kubelet !== undefined),
          within,
        );
      } catch (cause) {
        throw new LabError(`Node ${options.name} did not get Ready.`, { cause, detail: await complaints() });
      }
    },
    podLog: (namespace, pod, container) =>
      guest.run(`cat /var/log/pods/${namespace}_${pod}_*/${container}/*.log 2>/dev/null | cut -d ' ' -f 4- || true`),
    complaints,
    shutdown: () => guest.shutdown(),
  };
  try {
    await until('containerd', async () => (await guest.exec(`${programs.ctr} version`)).code === 0, 240);
    for (const archive of [images, ...(options.images ?? [])]) await importImage(archive);
    say(`${options.name}: containerd runs and has its images after ${seconds()}`);
    await startKubelet();
    if (options.waitUntilReady === false) return node;
    await node.waitUntilReady();
    say(`${options.name}: Ready after ${seconds()}`);
    return node;
  } catch (error) {
    const detail = await complaints();
    await guest.kill();
    throw new LabError(`Node ${options.name} cannot be had: ${String(error)}`, { cause: error, detail });
  } finally {
    void containerd.ended.catch(() => undefined);
  }
}

/** Ready, and told by a kubelet that started at `since`: the condition of the one before stays for a while. Its times are whole seconds. */
async function isReady(cluster: ControlPlane, name: string, since: number, runs: boolean): Promise<boolean> {
  if (!runs) throw new LabError('kubelet has ended');
  const { status, body } = await cluster.admin.request({ path: `/api/v1/nodes/${name}` });
  if (status !== 200) return false;
  const conditions = (body['status'] as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
  return conditions.some(
    (one) =>
      one.type === 'Ready' && one.status === 'True' && Date.parse(one.lastHeartbeatTime) >= since - (since % 1000),
  );
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly lastHeartbeatTime: string;
}

function stateDisk(image: string): DiskOption {
  return { name: 'varlib', image, mebibytes: 4096, mount: '/var/lib' };
}

const CONTAINERD = `version = 3
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;

/** Zero is refused as a threshold of eviction; the rest turns off what the lab's memory and file systems cannot carry. */
const KUBELET = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  cgroupDriver: 'cgroupfs',
  failSwapOn: false,
  enforceNodeAllocatable: [],
  localStorageCapacityIsolation: false,
  makeIPTablesUtilChains: false,
  resolvConf: '/etc/resolv.conf',
  nodeStatusUpdateFrequency: '4s',
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  evictionHard: {
    'memory.available': '1Mi',
    'nodefs.available': '1%',
    'imagefs.available': '1%',
    'nodefs.inodesFree': '1%',
  },
};
