// The controller as a process: builds the connection from the configuration, starts the controller, answers signals. SIGTERM and SIGINT
// give the Lease back and end it; losing the Lease ends it with exit code 1, and whoever started it starts it again.
import { type ApiConnection, createApiConnection } from '../kube/api-connection.ts';
import { AccessError, type ClusterAccess, inClusterAccess } from '../kube/cluster-access.ts';
import { createHttp } from '../kube/http-adapter.ts';
import { createClock } from '../runtime/clock-adapter.ts';
import { createControllerMetrics } from '../runtime/controller-metrics.ts';
import { createFiles } from '../runtime/files-adapter.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { ListenError, startOpsServer } from '../runtime/ops-server-adapter.ts';
import { createRandom } from '../runtime/random-adapter.ts';
import { serveUntilSignal } from '../runtime/serve-until-signal-adapter.ts';
import { version } from '../runtime/version.ts';
import { controllerCommand, type ControllerConfig } from './config.ts';
import { startController } from './start-controller.ts';

/** Runs `vfio-operator controller`; `argv` as the process got it. */
export async function main(argv: readonly string[]): Promise<void> {
  const command = controllerCommand(run).exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
  await command.parseAsync(argv.slice(3), { from: 'user' });
}

async function run(config: ControllerConfig): Promise<void> {
  const logger = createLogger(config.logLevel);
  await serveUntilSignal({
    logger,
    start: () => start(config, logger),
    known: [AccessError, ListenError],
    words: { stopping: 'stopping', cannotStart: 'cannot start' },
  });
}

async function start(config: ControllerConfig, logger: Logger): Promise<{ stop(): Promise<void> }> {
  const clock = createClock();
  const random = createRandom();
  const metrics = createControllerMetrics();
  const { server, credentials } = await openAccess(config);
  const connect = (connections: number): ApiConnection =>
    createApiConnection({
      http: createHttp({ server, credentials, connections }),
      credentials,
      clock,
      server,
      pathPrefix: server.pathPrefix,
      userAgent: `vfio-operator-controller/${version}`,
    });
  const connection = connect(4);
  const leaseConnection = connect(1);
  const identity = `${config.identity}_${random.name(8)}`;
  logger.info({ version, identity, namespace: config.namespace, server }, 'starting');
  const controller = startController({
    connection,
    leaseConnection,
    clock,
    random,
    logger,
    metrics,
    namespace: config.namespace,
    lease: config.lease,
    identity,
    kubeVirt: config.kubeVirt,
    onLost: () => process.exit(1),
  });
  const ops = await startOpsServer({
    ...config.listen,
    metrics: () => metrics.text(),
    health: () => ({ ok: true, message: 'alive' }),
    ready: () => controller.ready(),
  }).catch(async (error: unknown) => {
    await controller.stop();
    throw error;
  });
  return {
    async stop() {
      await controller.stop();
      await ops.close();
      connection.close();
      leaseConnection.close();
    },
  };
}

async function openAccess({ kubeconfig, apiServer, service }: ControllerConfig): Promise<ClusterAccess> {
  if (kubeconfig === null)
    return inClusterAccess({
      files: createFiles(),
      serviceHost: service.host,
      servicePort: service.port,
      address: apiServer,
    });
  // The Kubernetes client library costs 75 MB: in a cluster it is never loaded.
  const { openKubeconfig } = await import('../kube/cluster-client.ts');
  return openKubeconfig({ file: kubeconfig, context: null, address: apiServer });
}
