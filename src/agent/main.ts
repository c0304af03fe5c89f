// The agent as a process: builds the real machine from the configuration, starts the agent, answers signals. SIGTERM and SIGINT end
// it cleanly and leave every device bound for the next one.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readOwnAddresses } from '../host/proof/own-addresses-adapter.ts';
import { createDiskReader } from '../host/proof/disk-reader-adapter.ts';
import type { ExtraCondition } from '../domain/node-conditions.ts';
import type { InvalidPolicy } from '../domain/node-state.ts';
import type { DocumentProblem } from '../kube/policy-documents.ts';
import { version } from '../runtime/version.ts';
import { hostPaths } from '../host/host-paths.ts';
import { JournalError } from '../host/journal-record.ts';
import { createKernelWorker } from '../host/kernel-worker-adapter.ts';
import { createHostObserver } from '../host/observe-host.ts';
import { createGrpc } from '../kubelet/grpc-adapter.ts';
import { createAgentMetrics } from '../runtime/agent-metrics.ts';
import { createClock } from '../runtime/clock-adapter.ts';
import { createFiles } from '../runtime/files-adapter.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { ListenError, startOpsServer } from '../runtime/ops-server-adapter.ts';
import { type Clock, FileError, type Files } from '../runtime/ports.ts';
import { createProcesses } from '../runtime/processes-adapter.ts';
import { createRandom } from '../runtime/random-adapter.ts';
import { createSockets } from '../runtime/sockets-adapter.ts';
import { agentCommand, type AgentConfig } from './config.ts';
import { judgeReadiness } from './judge-readiness.ts';
import { noKubelet } from './kubelet-side.ts';
import { openKubelet } from './open-kubelet.ts';
import { createNodeStateReporter } from './report-node-state.ts';
import { type Agent, HostTaken, type PolicySource, startAgent } from './start-agent.ts';

/** Runs `vfio-operator agent`; `argv` as the process got it. */
export async function main(argv: readonly string[]): Promise<void> {
  const command = agentCommand(run).exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
  await command.parseAsync(argv.slice(3), { from: 'user' });
}

async function run(config: AgentConfig): Promise<void> {
  const logger = createLogger(config.logLevel);
  // From the first moment: as PID 1 of a container, a signal without a handler would be ignored.
  const starting = Promise.withResolvers<{ stop(): Promise<void> }>();
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping; devices stay as they are');
    void starting.promise.then((agent) => agent.stop()).then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    starting.resolve(await start(config, logger));
  } catch (error) {
    const known = [HostTaken, ListenError, JournalError, FileError].some((kind) => error instanceof kind);
    if (!known || !(error instanceof Error)) throw error;
    logger.error({ error: error.message }, 'cannot start; no device was touched');
    process.exit(1);
  }
}

async function start(config: AgentConfig, logger: Logger): Promise<{ stop(): Promise<void> }> {
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
  const observer = createHostObserver({
    files,
    paths,
    worker,
    clock,
    mayLoad: config.loadModules,
    readDeadline: 5_000,
    proofs: {
      disks: createDiskReader(process.execPath),
      ownAddresses: readOwnAddresses(paths.proc),
      nodeAddresses: config.nodeAddresses,
      endpoints: config.apiServers,
    },
  });
  logger.info({ config, node: process.version }, 'agent starts');
  let agent: Agent | null = null;
  const processHolding = (addresses: readonly string[]): string | null =>
    agent?.report?.inUse.holders.find((one) => one.code === 'HeldByProcess' && addresses.includes(one.address))?.who ??
    null;
  const ops = await startOpsServer({
    ...config.listen,
    metrics: () => metrics.text(),
    health: () => ({ ok: true, message: 'alive' }),
    ready: () => judgeReadiness(agent, config.kubelet),
  });
  let problems: readonly DocumentProblem[] = [];
  const reportNodeState = createNodeStateReporter({
    files,
    clock,
    path: `${config.state}/node-state.json`,
    node: { name: config.nodeName, labels: config.nodeLabels },
    agentVersion: version,
    hasKubelet: config.kubelet === 'required',
    invalidPolicies: () => problems.map(toInvalidPolicy),
    extraConditions: () => (worker.stayed === null ? [] : [workerStayed(worker.stayed)]),
  });
  agent = await startAgent({
    onPass: reportNodeState,
    machine: { files, clock, random, processes: createProcesses(), sockets: createSockets(), worker, paths },
    observer,
    node: { name: config.nodeName, labels: config.nodeLabels },
    logger,
    metrics,
    state: config.state,
    bootId,
    interval: config.interval,
    writeDeadline: config.writeDeadline,
    openPolicies: (onChange) =>
      openPolicies(
        config,
        files,
        clock,
        (now) => {
          problems = now;
          for (const problem of now) logger.error({ ...problem }, 'policy file has a problem');
        },
        onChange,
      ),
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
  return {
    async stop() {
      await running.stop();
      await ops.close();
    },
  };
}

async function openPolicies(
  config: AgentConfig,
  files: Files,
  clock: Clock,
  onProblems: (problems: readonly DocumentProblem[]) => void,
  onChange: () => void,
): Promise<PolicySource> {
  // The YAML parser costs 5 MB, and an agent that reads its policies from a cluster needs none.
  const { openPolicyDirectory } = await import('./policy-directory.ts');
  const directory = await openPolicyDirectory({
    files,
    clock,
    directory: config.policies,
    keptFile: `${config.state}/policies`,
    onChange: (snapshot) => {
      onProblems(snapshot.problems);
      onChange();
    },
  });
  onProblems(directory.current.problems);
  return {
    get current() {
      return directory.current.set;
    },
    close: () => directory.close(),
  };
}

function toInvalidPolicy({ file, line, path, message }: DocumentProblem): InvalidPolicy {
  return {
    name: file,
    uid: null,
    generation: 0,
    message: `${file}:${line}: ${path === '' ? '' : `${path}: `}${message}`,
  };
}

function workerStayed(why: string): ExtraCondition {
  return {
    type: 'WorkerOutsidePod',
    status: 'False',
    reason: 'CgroupNotLeft',
    message: `the kernel worker runs in the agent's own cgroup (${why}): while a kernel write hangs, the pod cannot end`,
  };
}

/** The kernel worker beside this bundle; from the source tree its source. */
function workerEntry(): string {
  const bundled = fileURLToPath(new URL('./kernel-worker.mjs', import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL('../host/kernel-worker.ts', import.meta.url));
}
