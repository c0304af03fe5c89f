// The agent as a process: builds the real machine from the configuration, starts the agent, answers signals. SIGTERM and SIGINT end
// it cleanly and leave every device bound for the next one.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readOwnAddresses } from '../host/proof/own-addresses-adapter.ts';
import { createDiskReader } from '../host/proof/disk-reader-adapter.ts';
import type { TimelessCondition } from '../domain/conditions.ts';
import { createApiConnection } from '../kube/api-connection.ts';
import { AccessError, inClusterAccess } from '../kube/cluster-access.ts';
import { createHttp } from '../kube/http-adapter.ts';
import { readKubeconfig } from '../kube/kubeconfig.ts';
import { version } from '../runtime/version.ts';
import { hostPaths } from '../host/host-paths.ts';
import { JournalError } from '../host/journal-record.ts';
import { createKernelWorker } from '../host/kernel-worker-adapter.ts';
import { createHostObserver } from '../host/observe-host.ts';
import { createGrpc } from '../kubelet/grpc-adapter.ts';
import { type AgentMetrics, createAgentMetrics } from '../runtime/agent-metrics.ts';
import { createClock } from '../runtime/clock-adapter.ts';
import { createFiles } from '../runtime/files-adapter.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { ListenError, startOpsServer } from '../runtime/ops-server-adapter.ts';
import { type Clock, FileError, type Files, type Random } from '../runtime/ports.ts';
import { createProcesses } from '../runtime/processes-adapter.ts';
import { createRandom } from '../runtime/random-adapter.ts';
import { type RunningProgram, serveUntilSignal } from '../runtime/serve-until-signal-adapter.ts';
import { createSockets } from '../runtime/sockets-adapter.ts';
import { agentCommand, type AgentConfig } from './config.ts';
import { connectOrigin } from './connect-origin.ts';
import { createFilesOrigin } from './files-origin.ts';
import { createClusterOrigin } from './cluster/cluster-origin.ts';
import type { PolicyOrigin } from './policy-origin.ts';
import { judgeReadiness } from './judge-readiness.ts';
import { noKubelet } from './kubelet-side.ts';
import { openKubelet } from './open-kubelet.ts';
import { rememberHolders } from './seen-holders.ts';
import { type Agent, HostTaken, startAgent } from './start-agent.ts';
import { watchMount } from './watch-mount.ts';

/** Runs `vfio-operator agent`; `argv` as the process got it. */
export async function main(argv: readonly string[]): Promise<void> {
  const command = agentCommand(run).exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
  await command.parseAsync(argv.slice(3), { from: 'user' });
}

async function run(config: AgentConfig): Promise<void> {
  const logger = createLogger(config.logLevel);
  await serveUntilSignal({
    logger,
    start: () => start(config, logger),
    known: [HostTaken, ListenError, JournalError, FileError, AccessError],
    words: { stopping: 'stopping; devices stay as they are', cannotStart: 'cannot start; no device was touched' },
  });
}

async function start(config: AgentConfig, logger: Logger): Promise<RunningProgram> {
  const files = createFiles();
  const clock = createClock();
  const random = createRandom();
  const paths = hostPaths(config.hostRoot);
  const grpc = createGrpc();
  const metrics = createAgentMetrics();
  const bootId = files.readText(paths.bootId).trim();
  const worker = createKernelWorker({
    entry: workerEntry(),
    ...(config.workerCgroup ? { cgroup: `${paths.sys}/fs/cgroup/vfio-operator` } : {}),
  });
  const origin = await createOrigin({ config, files, clock, random, logger, metrics });
  const looking = createHostObserver({
    files,
    paths,
    worker,
    clock,
    mayLoad: config.loadModules,
    readDeadline: 5_000,
    proofs: {
      disks: createDiskReader(process.execPath),
      ownAddresses: readOwnAddresses(paths.proc),
      // Read at every look: a Node's addresses may change.
      get nodeAddresses() {
        return origin.network.nodeAddresses;
      },
      get endpoints() {
        return origin.network.endpoints;
      },
    },
  });
  logger.info({ config, node: process.version }, 'agent starts');
  const { observer, processHolding } = rememberHolders(looking);
  let agent: Agent | null = null;
  const ops = await startOpsServer({
    ...config.listen,
    metrics: () => metrics.text(),
    health: () => ({ ok: true, message: 'alive' }),
    ready: () => judgeReadiness(agent, config.kubelet),
  });
  agent = await startAgent({
    ...connectOrigin(origin, {
      files,
      clock,
      path: `${config.state}/node-state.json`,
      agentVersion: version,
      hasKubelet: config.kubelet === 'required',
      extraConditions: () => (worker.stayed === null ? [] : [workerStayed(worker.stayed)]),
    }),
    machine: { files, clock, random, processes: createProcesses(), sockets: createSockets(), worker, paths },
    observer,
    logger,
    metrics,
    state: config.state,
    bootId,
    interval: config.interval,
    writeDeadline: config.writeDeadline,
    openKubelet: (journal, onChange) =>
      config.kubelet === 'none'
        ? Promise.resolve(noKubelet)
        : openKubelet({
            files,
            clock,
            random,
            grpc,
            paths,
            logger,
            metrics,
            state: config.state,
            bootId,
            devicePluginsDirectory: config.devicePluginsDirectory,
            kubeletRoot: config.kubeletRoot,
            ownPod: config.podName,
            cdiDirectory: config.cdiDirectory,
            registration: config.registration,
            ledger: () => journal.ledger(),
            onChange,
            processHolding,
          }),
  }).catch(async (error: unknown) => {
    await ops.close();
    worker.close();
    throw error;
  });
  const running = agent;
  const over = Promise.withResolvers<string>();
  const plugins = config.devicePluginsDirectory;
  const mounts = watchMount({ files, clock }, { path: plugins, onHost: `${paths.root}${plugins}` }, over.resolve);
  return {
    over: over.promise,
    async stop() {
      mounts.close();
      await running.stop();
      await ops.close();
    },
  };
}

/** Files where a directory was given, else the cluster. Throws `AccessError` when there is no way to an API server. */
async function createOrigin(parts: {
  readonly config: AgentConfig;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
}): Promise<PolicyOrigin> {
  const { config, files, clock } = parts;
  if (config.policies !== null) return createFilesOrigin({ ...parts, directory: config.policies });
  const { server, credentials } =
    config.kubeconfig === null
      ? inClusterAccess({
          files,
          serviceHost: config.service.host,
          servicePort: config.service.port,
          address: config.apiServer,
        })
      : await readKubeconfig({ files, path: config.kubeconfig, address: config.apiServer });
  const connection = createApiConnection({
    http: createHttp({ server, credentials }),
    credentials,
    clock,
    server,
    pathPrefix: server.pathPrefix,
    userAgent: `vfio-operator-agent/${version}`,
  });
  return createClusterOrigin({ ...parts, connection });
}

function workerStayed(why: string): TimelessCondition {
  return {
    type: 'WorkerOutsidePod',
    status: 'False',
    reason: 'CgroupNotLeft',
    message: `the kernel worker runs in the agent's own cgroup (${why}): while a kernel write hangs, the pod cannot end`,
  };
}

/** The kernel worker beside this bundle; from the source tree its source. */
function workerEntry(): string {
  const bundled = fileURLToPath(new URL('./kernel-worker.cjs', import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL('../host/kernel-worker.ts', import.meta.url));
}
