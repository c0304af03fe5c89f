// One life of the agent: its real code from the first look on, put together as `main.ts` of the agent does.
import { connectOrigin } from '../../src/agent/connect-origin.ts';
import { openKubelet } from '../../src/agent/open-kubelet.ts';
import { openPolicyDirectory } from '../../src/agent/policy-directory.ts';
import { rememberHolders } from '../../src/agent/seen-holders.ts';
import { startAgent } from '../../src/agent/start-agent.ts';
import type { Agent } from '../../src/agent/start-agent.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createHostObserver } from '../../src/host/observe-host.ts';
import type { Grpc } from '../../src/kubelet/ports.ts';
import { createAgentMetrics } from '../../src/runtime/agent-metrics.ts';
import type { Files } from '../../src/runtime/ports.ts';
import { createSimulatedDisks } from '../../src/simulation/simulated-disks.ts';
import type { AgentProcess } from '../../src/simulation/simulated-kernel.ts';
import type { LifeOfProcess } from './mortal-grpc.ts';
import { kubeletRoot, pluginDirectory, policyDirectory, stateDirectory } from './places.ts';
import { createTellingLogger, tapProcesses, tapWorker } from './taps.ts';
import { writeDeadline } from './watch.ts';
import type { World } from './world.ts';

/** One life of the agent. */
export interface Life {
  readonly process: AgentProcess;
  agent: Agent | null;
  /** It ended by itself: a start that failed. */
  failed: string | null;
  end(): void;
}

/** What a life has around it. */
export interface Surroundings {
  readonly process: AgentProcess;
  readonly files: Files;
  readonly grpc: Grpc;
  readonly ofProcess: LifeOfProcess;
  onEnd(end: () => void): void;
}

/** Starts the agent as its main program does, with ears on every port and with the mutation of the world. */
export async function startLife(
  world: World,
  life: Life,
  { process, files, grpc, ofProcess, onEnd }: Surroundings,
): Promise<void> {
  const { clock, sockets } = process;
  const tapped = tapWorker(process.worker, {
    onBegin: (pid) => (world.writer = pid),
    onEnd: (pid, stuck) => {
      if (stuck) world.tally.add('stuckWrites');
      else world.watch.onReturned(pid);
    },
    onRead: (paths) => world.watch.onRead(paths),
  });
  const worker = world.mutation.worker?.(tapped) ?? tapped;
  const paths = hostPaths();
  const disks = createSimulatedDisks(world.files);
  const logger = createTellingLogger(world.tell === null ? null : (line) => world.say(line));
  const metrics = createAgentMetrics();
  const random = world.random.fork();
  const joined = world.cluster?.open({ files, clock, random, logger, metrics }, stateDirectory, ofProcess) ?? null;
  if (joined !== null) onEnd(() => joined.end());
  const origin = joined?.origin ?? null;
  const inner = createHostObserver({
    files,
    paths,
    worker,
    clock,
    proofs: {
      disks,
      get nodeAddresses() {
        return origin?.network.nodeAddresses ?? [];
      },
      get endpoints() {
        return origin?.network.endpoints ?? [];
      },
      ownAddresses: () => [],
    },
    mayLoad: true,
    readDeadline: 5_000,
  });
  // The ear is outside of the mutation: what counts is when the agent meant to look, not when a broken one last did.
  const looking = world.mutation.observer?.(inner) ?? inner;
  const heard: typeof inner = {
    get sources() {
      return looking.sources;
    },
    observe: (request) => {
      world.onLook(request.alsoInterested ?? []);
      return looking.observe(request);
    },
  };
  const bootId = files.readText('/proc/sys/kernel/random/boot_id').trim();
  world.knownBoot = bootId;
  const processes = tapProcesses(process.processes, (command) => world.onCommand(command));
  const connected =
    origin === null
      ? null
      : connectOrigin(origin, {
          files,
          clock,
          path: `${stateDirectory}/node-state.json`,
          agentVersion: 'simulated',
          hasKubelet: true,
          extraConditions: () => [],
        });
  const { observer, processHolding } = rememberHolders(heard);
  life.agent = await startAgent({
    machine: { files, clock, random, processes, sockets, worker, paths },
    observer,
    node: connected?.node ?? { name: 'node-1', labels: {} },
    logger,
    metrics,
    state: stateDirectory,
    bootId,
    interval: 30_000,
    writeDeadline,
    ...(connected?.onOutcome === undefined ? {} : { onOutcome: connected.onOutcome }),
    ...(connected?.onFailedPass === undefined ? {} : { onFailedPass: connected.onFailedPass }),
    openPolicies: async (onChange) => {
      if (connected !== null) {
        const source = await connected.openPolicies(onChange);
        return world.mutation.policies?.(source) ?? source;
      }
      const directory = await openPolicyDirectory({
        files,
        clock,
        directory: policyDirectory,
        keptFile: `${stateDirectory}/policies`,
        onChange,
      });
      const source = {
        get current() {
          return directory.current.set;
        },
        close: () => directory.close(),
      };
      return world.mutation.policies?.(source) ?? source;
    },
    openKubelet: async (journal, onChange) => {
      const side = await openKubelet({
        files,
        clock,
        random,
        grpc,
        paths,
        logger,
        metrics,
        state: stateDirectory,
        bootId,
        devicePluginsDirectory: pluginDirectory,
        kubeletRoot,
        cdiDirectory: '/var/run/cdi',
        registration: 'legacy',
        ledger: () => journal.ledger(),
        onChange,
        processHolding,
      });
      return world.mutation.kubelet?.(side) ?? side;
    },
    onPass: async (report, kubelet, ledger) => {
      world.passes += 1;
      world.tally.add('passes');
      world.watch.onPass(report, ledger);
      await connected?.onPass?.(report, kubelet, ledger);
    },
  });
}
