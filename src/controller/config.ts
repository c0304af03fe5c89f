// The controller's settings: every flag with its environment variable and default, in one frozen object. Flags beat the environment,
// the environment beats defaults. Nothing else in the controller reads arguments or the environment.
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { toServerAddress } from '../kube/cluster-access.ts';

export interface ControllerConfig {
  /** Namespace of the Lease and of the agents' pods. */
  readonly namespace: string;
  readonly lease: string;
  /** Name of this replica; each process adds something of its own. */
  readonly identity: string;
  /** Kubeconfig file; null: the service account of the pod. */
  readonly kubeconfig: string | null;
  /** The API server in place of the one that kubeconfig or environment name. */
  readonly apiServer: string | null;
  /** `KUBERNETES_SERVICE_HOST` and `_PORT`, as kubelet sets them in every container. */
  readonly service: { readonly host: string | undefined; readonly port: string | undefined };
  /** Whether to say what KubeVirt still needs. */
  readonly kubeVirt: boolean;
  /** HOST:PORT of /metrics, /healthz and /readyz. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly logLevel: string;
}

function parseListen(text: string): ControllerConfig['listen'] {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 65_535) throw new InvalidArgumentError('expected HOST:PORT, e.g. 127.0.0.1:9809');
  return { host: match[1] ?? match[2] ?? '', port };
}

/** Kept as text: where it is used it may stand in for another server's name. */
function parseApiServer(text: string): string {
  try {
    toServerAddress(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return text;
}

/** A namespace or the name of an object: it becomes part of a path. */
function parseName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError('expected lower-case letters, digits, - and . as Kubernetes names have');
  return text;
}

/** The `controller` command; `run` gets the finished configuration. */
export function controllerCommand(run: (config: ControllerConfig) => Promise<void>): Command {
  const command = new Command('controller')
    .description("keep every policy's status what the agents report")
    .addOption(
      new Option('--namespace <name>', "namespace of the Lease and of the agents' pods")
        .env('POD_NAMESPACE')
        .argParser(parseName)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--lease-name <name>', 'Lease by which replicas agree on one leader')
        .env('VFIO_OPERATOR_LEASE_NAME')
        .argParser(parseName)
        .default('vfio-operator-controller'),
    )
    .addOption(new Option('--identity <name>', 'name of this replica in the Lease').env('POD_NAME').default(hostname()))
    .addOption(
      new Option('--kubeconfig <file>', "kubeconfig file; without it the pod's service account").env(
        'VFIO_OPERATOR_KUBECONFIG',
      ),
    )
    .addOption(
      new Option('--api-server <url>', 'the API server, in place of what kubeconfig or the pod says: https://HOST:PORT')
        .env('VFIO_OPERATOR_API_SERVER')
        .argParser(parseApiServer),
    )
    .addOption(
      new Option('--kubevirt-preflight', 'read what KubeVirt permits, and say on each policy what it still needs').env(
        'VFIO_OPERATOR_KUBEVIRT_PREFLIGHT',
      ),
    )
    .addOption(
      new Option('--listen <address>', 'HOST:PORT of /metrics, /healthz and /readyz')
        .env('VFIO_OPERATOR_LISTEN')
        .argParser(parseListen)
        .default({ host: '127.0.0.1', port: 9809 }, '127.0.0.1:9809'),
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged')
        .env('VFIO_OPERATOR_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    );
  return command.action(() =>
    run(toConfig(command.opts(), command.getOptionValueSource('kubevirtPreflight') === 'env')),
  );
}

interface Options {
  readonly namespace: string;
  readonly leaseName: string;
  readonly identity: string;
  readonly kubeconfig?: string;
  readonly apiServer?: string;
  readonly kubevirtPreflight?: boolean;
  readonly listen: ControllerConfig['listen'];
  readonly logLevel: string;
}

/** A switch whose variable says no: commander takes any value for yes. */
function saysNo(variable: string): boolean {
  return ['', '0', 'false', 'no', 'off'].includes((process.env[variable] ?? '').trim().toLowerCase());
}

function toConfig(options: Options, switchedByVariable: boolean): ControllerConfig {
  return Object.freeze({
    namespace: options.namespace,
    lease: options.leaseName,
    identity: options.identity,
    kubeconfig: options.kubeconfig ?? null,
    apiServer: options.apiServer ?? null,
    service: { host: process.env.KUBERNETES_SERVICE_HOST, port: process.env.KUBERNETES_SERVICE_PORT },
    kubeVirt: options.kubevirtPreflight === true && !(switchedByVariable && saysNo('VFIO_OPERATOR_KUBEVIRT_PREFLIGHT')),
    listen: options.listen,
    logLevel: options.logLevel,
  });
}
