// The agent's settings: every flag with its environment variable, default and range, in one frozen object. Flags beat the
// environment, the environment beats defaults. Nothing else in the agent reads arguments or the environment.
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { AccessError, toServerAddress } from '../kube/cluster-access.ts';

export interface AgentConfig {
  /** Directory of policy files; null: policies come from the API server. */
  readonly policies: string | null;
  /** Who the agent is at the API server; null: the service account of its pod. */
  readonly kubeconfig: string | null;
  /** The API server in place of the one that kubeconfig or environment name. */
  readonly apiServer: string | null;
  /** The API server's service address, as kubelet tells it to every container. */
  readonly service: { readonly host: string | undefined; readonly port: string | undefined };
  /** State directory: lock, journal, allocations, last good policies, node state. */
  readonly state: string;
  readonly nodeName: string;
  /** Labels that policies' node selectors see. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** Whether this node has a kubelet; never guessed, since without one nobody tells which device a pod holds. */
  readonly kubelet: 'required' | 'none';
  /** Addresses of this node whose interface is PrimaryNetwork, beside that of the default route. */
  readonly nodeAddresses: readonly string[];
  /** API servers; the interface of a connection to one is PrimaryNetwork. */
  readonly apiServers: readonly { readonly address: string; readonly port: number }[];
  readonly devicePluginsDirectory: string;
  /** kubelet's root directory: pod-resources and plugins_registry lie in it. */
  readonly kubeletRoot: string;
  /** The pod that the agent runs in; null: it runs in none. */
  readonly podName: string | null;
  /** Where the container runtime reads CDI documents; written only for resources with `cdi`. */
  readonly cdiDirectory: string;
  readonly registration: 'legacy' | 'directory';
  /** Root of the live host; `/` unless it is mounted elsewhere. */
  readonly hostRoot: string;
  readonly loadModules: boolean;
  /** Moves the kernel worker out of the pod's cgroup. */
  readonly workerCgroup: boolean;
  /** HOST:PORT of /metrics, /healthz and /readyz. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly logLevel: string;
  /** Milliseconds between two looks at the host when nothing says to look. */
  readonly interval: number;
  /** Milliseconds a kernel write may take before it counts as stuck. */
  readonly writeDeadline: number;
}

function parseListen(text: string): AgentConfig['listen'] {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 65_535) throw new InvalidArgumentError('expected HOST:PORT, e.g. 127.0.0.1:9808');
  return { host: match[1] ?? match[2] ?? '', port };
}

function parseAddresses(text: string): readonly string[] {
  const addresses = text.split(',').map((part) => part.trim());
  const wrong = addresses.find((address) => isIP(address) === 0);
  if (wrong !== undefined)
    throw new InvalidArgumentError(`'${wrong}' is no IP address; several are separated by commas`);
  return addresses;
}

function parseApiServers(text: string): AgentConfig['apiServers'] {
  return text.split(',').map((part) => {
    const { host, port } = parseListen(part.trim());
    if (isIP(host) === 0)
      throw new InvalidArgumentError(`'${part}' is not IP:PORT, e.g. 10.96.0.1:443 or [fd00::1]:6443`);
    return { address: host, port };
  });
}

function parseApiServer(text: string): string {
  try {
    toServerAddress(text);
    return text;
  } catch (error) {
    if (error instanceof AccessError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** Labels as `KEY=VALUE,…`; commander shows the error beside the flag. */
export function parseLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
    const [key = '', value, ...more] = pair.trim().split('=');
    if (key === '' || value === undefined || more.length > 0)
      throw new InvalidArgumentError(`'${pair}' is not KEY=VALUE; labels are separated by commas`);
    labels[key] = value;
  }
  return labels;
}

/** A number of seconds within bounds, as milliseconds. */
function parseSeconds(least: number, most: number): (text: string) => number {
  return (text) => {
    const seconds = Number(text);
    if (!(seconds >= least && seconds <= most))
      throw new InvalidArgumentError(`expected a number of seconds from ${least} to ${most}`);
    return seconds * 1000;
  };
}

const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  s390x: 's390x',
  ppc64: 'ppc64le',
};

/** Labels that a node has without a cluster: hostname, os, arch, as kubelet sets them. */
export function ownLabels(name: string): Readonly<Record<string, string>> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': process.platform,
    'kubernetes.io/arch': architectures[process.arch] ?? process.arch,
  };
}

/** The `agent` command; `run` gets the finished configuration. */
export function agentCommand(run: (config: AgentConfig) => Promise<void>): Command {
  const command = new Command('agent')
    .description('find the matching devices, bind them, offer them to kubelet, give them back')
    .addOption(
      new Option(
        '--policies <dir>',
        'no cluster: directory of VfioPolicy files (*.yaml, *.yml, *.json). Without it policies come from the API server',
      ).env('VFIO_OPERATOR_POLICIES'),
    )
    .addOption(
      new Option(
        '--kubeconfig <file>',
        "who to be at the API server, for an agent outside a pod; without it the pod's service account",
      ).env('VFIO_OPERATOR_KUBECONFIG'),
    )
    .addOption(
      new Option('--api-server <url>', 'the API server, in place of what kubeconfig or the pod says: https://HOST:PORT')
        .env('VFIO_OPERATOR_API_SERVER')
        .argParser(parseApiServer),
    )
    .addOption(
      new Option('--state <dir>', 'state directory').env('VFIO_OPERATOR_STATE').default('/var/lib/vfio-operator'),
    )
    .addOption(new Option('--node-name <name>', 'name of this node').env('NODE_NAME').default(hostname().toLowerCase()))
    .addOption(
      new Option(
        '--node-labels <labels>',
        'with --policies: labels of this node beside hostname, os and arch: KEY=VALUE,…',
      )
        .env('VFIO_OPERATOR_NODE_LABELS')
        .argParser(parseLabels)
        .default({}, 'none'),
    )
    .addOption(
      new Option(
        '--kubelet <mode>',
        'required: devices are offered to kubelet, and what its pods hold is respected; none: there is no kubelet',
      )
        .env('VFIO_OPERATOR_KUBELET')
        .choices(['required', 'none'])
        .default('required'),
    )
    .addOption(
      new Option('--node-addresses <ips>', 'addresses of this node whose interfaces must stay: IP,…')
        .env('VFIO_OPERATOR_NODE_ADDRESSES')
        .argParser(parseAddresses)
        .default([], 'none'),
    )
    .addOption(
      new Option('--api-servers <endpoints>', 'API servers whose connections must stay: IP:PORT,…')
        .env('VFIO_OPERATOR_API_SERVERS')
        .argParser(parseApiServers)
        .default([], 'none'),
    )
    .addOption(
      new Option('--device-plugins-dir <dir>', "kubelet's device plugin directory")
        .env('VFIO_OPERATOR_DEVICE_PLUGINS_DIR')
        .default('/var/lib/kubelet/device-plugins'),
    )
    .addOption(
      new Option('--kubelet-root <dir>', "kubelet's root directory (pod-resources, plugins_registry)")
        .env('VFIO_OPERATOR_KUBELET_ROOT')
        .default('/var/lib/kubelet'),
    )
    .addOption(
      new Option(
        '--pod-name <name>',
        "the agent's own pod: what kubelet says of pods is believed once it lists this one",
      ).env('VFIO_OPERATOR_POD_NAME'),
    )
    .addOption(
      new Option('--cdi-dir <dir>', "the container runtime's directory of CDI documents, for resources with cdi")
        .env('VFIO_OPERATOR_CDI_DIR')
        .default('/var/run/cdi'),
    )
    .addOption(
      new Option(
        '--registration <way>',
        'legacy: the Register call; directory: plugins_registry, kubelet 1.29 or later',
      )
        .env('VFIO_OPERATOR_REGISTRATION')
        .choices(['legacy', 'directory'])
        .default('legacy'),
    )
    .addOption(
      new Option('--host-root <dir>', 'where the live host is mounted').env('VFIO_OPERATOR_HOST_ROOT').default('/'),
    )
    .addOption(
      new Option('--no-load-modules', 'never load kernel modules; a missing one is refused with the cure').env(
        'VFIO_OPERATOR_NO_LOAD_MODULES',
      ),
    )
    .addOption(
      new Option(
        '--worker-cgroup',
        "move the kernel worker out of the pod's cgroup, so that a hung kernel write does not keep the pod",
      ).env('VFIO_OPERATOR_WORKER_CGROUP'),
    )
    .addOption(
      new Option('--listen <address>', 'HOST:PORT of /metrics, /healthz and /readyz')
        .env('VFIO_OPERATOR_LISTEN')
        .argParser(parseListen)
        .default({ host: '127.0.0.1', port: 9808 }, '127.0.0.1:9808'),
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged')
        .env('VFIO_OPERATOR_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(
      new Option('--interval <seconds>', 'how often to look at the host when nothing says to')
        .env('VFIO_OPERATOR_INTERVAL')
        .argParser(parseSeconds(1, 3600))
        .default(30_000, '30'),
    )
    .addOption(
      new Option('--write-deadline <seconds>', 'how long a kernel write may take before it counts as stuck')
        .env('VFIO_OPERATOR_WRITE_DEADLINE')
        .argParser(parseSeconds(1, 3600))
        .default(60_000, '60'),
    );
  return command.action(() => {
    const wrong = findContradiction(command);
    if (wrong !== null) command.error(`error: ${wrong}`);
    return run(toConfig(command.opts(), (name) => isSwitchedOff(command, name)));
  });
}

/** What cannot be meant together; null when all is well. */
function findContradiction(command: Command): string | null {
  const { policies, kubeconfig, apiServer } = command.opts<Options>();
  if (policies !== undefined) {
    const other = kubeconfig !== undefined ? '--kubeconfig' : apiServer !== undefined ? '--api-server' : null;
    return other === null ? null : `policies come from files (--policies) or from a cluster (${other}), not from both`;
  }
  if (!['default', undefined].includes(command.getOptionValueSource('nodeLabels')))
    return "--node-labels goes with --policies; in a cluster the labels are the Node object's";
  if (kubeconfig === undefined && (process.env.KUBERNETES_SERVICE_HOST ?? '') === '' && apiServer === undefined)
    return 'where do policies come from? Give --policies DIR, or --kubeconfig FILE, or run as a pod (KUBERNETES_SERVICE_HOST is not set)';
  return null;
}

interface Options {
  readonly policies?: string;
  readonly kubeconfig?: string;
  readonly apiServer?: string;
  readonly state: string;
  readonly nodeName: string;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly kubelet: 'required' | 'none';
  readonly nodeAddresses: readonly string[];
  readonly apiServers: AgentConfig['apiServers'];
  readonly devicePluginsDir: string;
  readonly kubeletRoot: string;
  readonly podName?: string;
  readonly cdiDir: string;
  readonly registration: 'legacy' | 'directory';
  readonly hostRoot: string;
  readonly loadModules: boolean;
  readonly workerCgroup?: boolean;
  readonly listen: AgentConfig['listen'];
  readonly logLevel: string;
  readonly interval: number;
  readonly writeDeadline: number;
}

/** A switch whose variable says no: commander takes any value for yes. */
function isSwitchedOff(command: Command, name: string): boolean {
  if (command.getOptionValueSource(name) !== 'env') return false;
  const variable = command.options.find((option) => option.attributeName() === name)?.envVar ?? '';
  return ['', '0', 'false', 'no', 'off'].includes((process.env[variable] ?? '').trim().toLowerCase());
}

function toConfig(options: Options, isOff: (name: string) => boolean): AgentConfig {
  return Object.freeze({
    policies: options.policies ?? null,
    kubeconfig: options.kubeconfig ?? null,
    apiServer: options.apiServer ?? null,
    service: { host: process.env.KUBERNETES_SERVICE_HOST, port: process.env.KUBERNETES_SERVICE_PORT },
    state: options.state,
    nodeName: options.nodeName,
    nodeLabels: { ...ownLabels(options.nodeName), ...options.nodeLabels },
    kubelet: options.kubelet,
    nodeAddresses: options.nodeAddresses,
    apiServers: options.apiServers,
    devicePluginsDirectory: options.devicePluginsDir,
    kubeletRoot: options.kubeletRoot,
    podName: options.podName ?? null,
    cdiDirectory: options.cdiDir,
    registration: options.registration,
    hostRoot: options.hostRoot,
    loadModules: options.loadModules || isOff('loadModules'),
    workerCgroup: options.workerCgroup === true && !isOff('workerCgroup'),
    listen: options.listen,
    logLevel: options.logLevel,
    interval: options.interval,
    writeDeadline: options.writeDeadline,
  });
}
