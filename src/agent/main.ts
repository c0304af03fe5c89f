// The agent as a process: builds the real machine from the configuration, starts the agent, answers signals. SIGTERM and SIGINT end
// it cleanly and leave every device bound for the next one.
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { InterfaceAddress } from '../host/proof/ports.ts';
import { createDiskReader } from '../host/proof/disk-reader-adapter.ts';
import { hostPaths, type HostPaths } from '../host/host-paths.ts';
import { JournalError } from '../host/journal-record.ts';
import { createKernelWorker } from '../host/kernel-worker-adapter.ts';
import { createHostObserver } from '../host/observe-host.ts';
import { createGrpc } from '../kubelet/grpc-adapter.ts';
import { createAgentMetrics } from '../runtime/agent-metrics.ts';
import { createClock } from '../runtime/clock-adapter.ts';
import { createFiles } from '../runtime/files-adapter.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { startOpsServer } from '../runtime/ops-server-adapter.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import { createProcesses } from '../runtime/processes-adapter.ts';
import { createRandom } from '../runtime/random-adapter.ts';
import { createSockets } from '../runtime/sockets-adapter.ts';
import { agentCommand, type AgentConfig } from './config.ts';
import { judgeReadiness } from './judge-readiness.ts';
import { noKubelet } from './kubelet-side.ts';
import { openKubelet } from './open-kubelet.ts';
import { openPolicyDirectory } from './policy-directory.ts';
import { type Agent, HostTaken, startAgent } from './start-agent.ts';

/** Runs `vfio-operator agent`; `argv` as the process got it. */
export async function main(argv: readonly string[]): Promise<void> {
  await agentCommand(run).parseAsync([...argv.slice(3)], { from: 'user' });
}

async function run(config: AgentConfig): Promise<void> {
  const logger = createLogger(config.logLevel);
  try {
    const agent = await start(config, logger);
    const stop = (signal: string): void => {
      logger.info({ signal }, 'stopping; devices stay as they are');
      void agent.stop().then(() => process.exit(0));
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  } catch (error) {
    if (!(error instanceof HostTaken || error instanceof JournalError || error instanceof FileError)) throw error;
    logger.error({ error: error.message }, 'cannot start; no device was touched');
    process.exitCode = 1;
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
    proofs: { disks: createDiskReader(process.execPath), ownAddresses: ownAddressesOfHost(files, paths) },
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
  agent = await startAgent({
    machine: { files, clock, random, processes: createProcesses(), sockets: createSockets(), worker, paths },
    observer,
    node: { name: config.nodeName, labels: config.nodeLabels },
    logger,
    metrics,
    state: config.state,
    bootId,
    interval: config.interval,
    writeDeadline: config.writeDeadline,
    openPolicies: (onChange) => openPolicies(config, files, logger, clock, onChange),
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
  logger: Logger,
  clock: ReturnType<typeof createClock>,
  onChange: () => void,
): Promise<{ readonly current: ReturnType<typeof currentOf>; close(): Promise<void> }> {
  const report = (problems: readonly object[]): void => {
    for (const problem of problems) logger.error({ ...problem }, 'policy file has a problem');
  };
  const directory = await openPolicyDirectory({
    files,
    clock,
    directory: config.policies,
    keptFile: `${config.state}/policies`,
    onChange: (snapshot) => {
      report(snapshot.problems);
      onChange();
    },
  });
  report(directory.current.problems);
  return {
    get current() {
      return currentOf(directory);
    },
    close: () => directory.close(),
  };
}

function currentOf(directory: Awaited<ReturnType<typeof openPolicyDirectory>>): typeof directory.current.set {
  return directory.current.set;
}

/** The kernel worker beside this bundle; from the source tree its source. */
function workerEntry(): string {
  const bundled = fileURLToPath(new URL('./kernel-worker.mjs', import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL('../host/kernel-worker.ts', import.meta.url));
}

/** Addresses as netlink tells them, if our network namespace is the host's; otherwise they say nothing about the host. */
function ownAddressesOfHost(files: Files, paths: HostPaths): (() => readonly InterfaceAddress[]) | null {
  const namespace = (process: string): string | null => {
    try {
      return files.readLink(`${paths.process(process)}/ns/net`);
    } catch {
      return null;
    }
  };
  const host = namespace('1');
  if (host === null || host !== namespace('self')) return null;
  return () =>
    Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
      (addresses ?? []).map(({ address }) => ({ name, address })),
    );
}
