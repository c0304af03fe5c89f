// The demo's node with everything on it: the simulated kernel, the kubelet stand-in, and the agent's real code between them, under a
// clock that passes only when told to.
import { openKubelet } from '../agent/open-kubelet.ts';
import { openPolicyDirectory } from '../agent/policy-directory.ts';
import { rememberHolders } from '../agent/seen-holders.ts';
import { startAgent } from '../agent/start-agent.ts';
import type { Agent } from '../agent/start-agent.ts';
import type { PassReport } from '../agent/reconcile.ts';
import { hostPaths } from '../host/host-paths.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { createHostObserver } from '../host/observe-host.ts';
import type { ObserverParts } from '../host/observe-host.ts';
import type { KernelWorker } from '../host/ports.ts';
import type { Grpc } from '../kubelet/ports.ts';
import type { Journal } from '../host/journal.ts';
import { createAgentMetrics } from '../runtime/agent-metrics.ts';
import type { Files } from '../runtime/ports.ts';
import type { KernelControl } from '../simulation/kernel/control.ts';
import { KubeletStandIn } from '../simulation/kubelet-stand-in.ts';
import type { MemoryFiles } from '../simulation/memory-files.ts';
import { createMemoryGrpc } from '../simulation/memory-grpc.ts';
import { demoNode } from '../simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../simulation/seeded-random.ts';
import { createSimulatedDisks } from '../simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../simulation/simulated-kernel.ts';
import { createVirtualClock } from '../simulation/virtual-clock.ts';
import type { VirtualClock } from '../simulation/virtual-clock.ts';
import { policyDirectory } from './demo-policies.ts';
import { createNodeRecord, createRecordingLogger } from './record.ts';
import type { NodeRecord } from './record.ts';
import { tapGrpc } from './tap-grpc.ts';
import { tapProcesses, tapWorker } from './tap-kernel.ts';

/** The node. */
export interface DemoStage {
  readonly clock: VirtualClock;
  readonly files: MemoryFiles;
  readonly paths: HostPaths;
  readonly control: KernelControl;
  readonly kubelet: KubeletStandIn;
  /** What both the agent and the command line read the host through. */
  readonly worker: KernelWorker;
  readonly proofs: ObserverParts['proofs'];
  readonly grpc: Grpc;
  readonly record: NodeRecord;
  /** Every finished pass of the agent, oldest first. */
  readonly passes: readonly PassReport[];
  /** Starts the agent; resolves when it has the host's lock and its loop runs. */
  start(): Promise<Agent>;
  /** Lets time pass until `done`, at most `limit` milliseconds; says whether it came to that. */
  until(done: () => boolean, limit?: number): Promise<boolean>;
  /** Lets time pass until the promise is settled. */
  when<Value>(promise: Promise<Value>): Promise<Value>;
}

/** Name of the node. */
export const nodeName = 'demo-node';
/** Where the agent keeps its journal. */
export const stateDirectory = '/var/lib/vfio-operator';
/** Where kubelet and the plugins meet. */
export const pluginDirectory = '/var/lib/kubelet/device-plugins';
const kubeletRoot = '/var/lib/kubelet';
const patience = 120_000;

/** Builds the node and boots it. `settle` lets everything that was promised happen; see `createVirtualClock`. */
export function createDemoStage(settle: () => Promise<void>): DemoStage {
  const clock = createVirtualClock({ settle });
  const random = createSeededRandom(7);
  const kernel = createSimulatedKernel({ spec: demoNode, clock, random });
  const { files, control } = kernel;
  const record = createNodeRecord(() => clock.monotonic());
  const logger = createRecordingLogger(record);
  const grpc = tapGrpc(createMemoryGrpc(files, clock), record);
  const paths = hostPaths();
  const kubelet = new KubeletStandIn(
    { grpc, files, clock },
    {
      directory: pluginDirectory,
      podResourcesDirectory: `${kubeletRoot}/pod-resources`,
      registryDirectory: null,
    },
  );
  const { agent: process } = kernel;
  const worker = tapWorker(process.worker, files, record);
  const machine = {
    files: process.files,
    clock: process.clock,
    random,
    processes: tapProcesses(process.processes, record),
    sockets: process.sockets,
    worker,
    paths,
  };
  const proofs = { disks: createSimulatedDisks(files), ownAddresses: () => [] };
  const looking = createHostObserver({
    files: process.files,
    paths,
    worker,
    clock: process.clock,
    proofs,
    mayLoad: true,
    readDeadline: 5_000,
  });
  const metrics = createAgentMetrics();
  const bootId = readBootId(files, paths);
  const { observer, processHolding } = rememberHolders(looking);
  const passes: PassReport[] = [];
  let agent: Agent | null = null;
  const openKubeletSide = (journal: Journal, onChange: () => void): ReturnType<typeof openKubelet> =>
    openKubelet({
      files: process.files,
      clock: process.clock,
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
  const openPolicies = async (onChange: () => void) => {
    const directory = await openPolicyDirectory({
      files: process.files,
      clock: process.clock,
      directory: policyDirectory,
      keptFile: `${stateDirectory}/policies`,
      onChange,
    });
    return {
      get current() {
        return directory.current.set;
      },
      close: () => directory.close(),
    };
  };

  const stage: DemoStage = {
    clock,
    files,
    paths,
    control,
    kubelet,
    worker,
    proofs,
    grpc,
    record,
    passes,
    async start() {
      agent = await stage.when(
        startAgent({
          machine,
          observer,
          node: { name: nodeName, labels: {} },
          logger,
          metrics,
          state: stateDirectory,
          bootId,
          interval: 30_000,
          writeDeadline: 60_000,
          openPolicies,
          openKubelet: openKubeletSide,
          onPass: async (report) => void passes.push(report),
        }),
      );
      return agent;
    },
    until: (done, limit = patience) => clock.runUntil(done, limit),
    async when(promise) {
      let settled = false;
      const settle = (): void => void (settled = true);
      promise.then(settle, settle);
      const ended = await clock.runUntil(() => settled, patience);
      if (!ended) throw new Error(`something on the node has not ended within ${patience} ms of simulated time`);
      return promise;
    },
  };
  return stage;
}

function readBootId(files: Files, paths: HostPaths): string {
  return files.readText(paths.bootId).trim();
}
