// A simulated node with the agent's real code and the kubelet stand-in on it, under a clock that stands still until told. Agents come
// and go; the machine, its disk and its kubelet stay.
import { connectOrigin } from '../../src/agent/connect-origin.ts';
import { openKubelet } from '../../src/agent/open-kubelet.ts';
import type { PolicyOrigin } from '../../src/agent/policy-origin.ts';
import type { PassReport } from '../../src/agent/reconcile.ts';
import { rememberHolders } from '../../src/agent/seen-holders.ts';
import { type Agent, startAgent } from '../../src/agent/start-agent.ts';
import type { Decision } from '../../src/domain/decision.ts';
import type { Policy, PolicySet } from '../../src/domain/policy.ts';
import { askOwner, type ControlAnswer, type ControlRequest } from '../../src/host/host-lock.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createHostObserver } from '../../src/host/observe-host.ts';
import type { Grpc, GrpcServer, Route } from '../../src/kubelet/ports.ts';
import { type AgentMetrics, createAgentMetrics } from '../../src/runtime/agent-metrics.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import type { KernelControl } from '../../src/simulation/kernel/control.ts';
import type { KernelSpec } from '../../src/simulation/kernel/spec.ts';
import { KubeletStandIn } from '../../src/simulation/kubelet-stand-in.ts';
import { createMemoryGrpc } from '../../src/simulation/memory-grpc.ts';
import { demoAddresses, demoNode } from '../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../src/simulation/simulated-disks.ts';
import {
  type AgentFaults,
  type AgentProcess,
  createSimulatedKernel,
  type SimulatedKernel,
} from '../../src/simulation/simulated-kernel.ts';
import { createVirtualClock, type VirtualClock } from '../../src/simulation/virtual-clock.ts';
import { aPolicy, aResource } from './builders.ts';

const state = '/var/lib/vfio-operator';
const kubeletRoot = '/var/lib/kubelet';

/** The node's spare network card: a policy for it, the resource it is offered in, and a pod that wants it. */
export const nicResource = 'vfio-operator.dev/nic';
export const nicPolicy = aPolicy({
  name: 'nics',
  devices: [{ addresses: [demoAddresses.spareNic] }],
  resource: aResource(nicResource),
});
export const nicPod = {
  namespace: 'default',
  name: 'vm',
  containers: [{ name: 'compute', limits: { [nicResource]: 1 } }],
};
/** A policy for the spare disk. */
export const diskPolicy = aPolicy({ name: 'disks', devices: [{ addresses: [demoAddresses.spareDisk] }] });

/** The demo's node, but letting a device go takes vfio-pci 5 s. */
export const slowNode: KernelSpec = {
  ...demoNode,
  modules: demoNode.modules.map((module) => ({
    ...module,
    ...(module.name === 'vfio_pci' && {
      drivers: [{ bus: 'pci' as const, name: 'vfio-pci', vfio: true, removeTakes: 5_000 }],
    }),
  })),
};

/** What the last pass decided on a device. */
export function decisionOn({ agent }: AgentLife, address: string): Decision | undefined {
  return agent.report?.plan.decisions.find((decision) => decision.address === address);
}

/** The same as text: kind and code, or `None`. */
export function verdictOn(life: AgentLife, address: string): string {
  const { kind, code } = decisionOn(life, address) ?? { kind: 'None', code: null };
  return code === null ? kind : `${kind} ${code}`;
}

/** The GPU with whatever is in its group. */
export const gpuPolicy = aPolicy({
  name: 'gpu',
  devices: [{ addresses: [demoAddresses.gpu] }],
  iommuGroup: 'BindCompanions',
});

/** A node that is up, with its first agent. */
export async function livingNode(
  policies: readonly Policy[],
  spec: KernelSpec = demoNode,
): Promise<{ readonly node: AgentNode; readonly life: AgentLife }> {
  const node = new AgentNode(spec, policies);
  await node.boot();
  return { node, life: await node.start() };
}

/** One life of the agent. */
export interface AgentLife {
  readonly agent: Agent;
  readonly passes: readonly PassReport[];
  /** SIGKILL. */
  kill(): void;
}

/** Where an agent's policies come from, made anew for each life; null: what `setPolicies` says. */
export type OpenOrigin = (process: AgentProcess, logger: Logger, metrics: AgentMetrics) => PolicyOrigin;

/** The node. */
export class AgentNode {
  readonly clock: VirtualClock;
  readonly kernel: SimulatedKernel;
  readonly kubelet: KubeletStandIn;
  /** Everything logged above debug: level and sentence. */
  readonly log: string[] = [];
  /** Every write that reached the kernel's driver files, oldest first. */
  readonly writes: string[] = [];
  /** Called before each of them. */
  beforeWrite: (path: string, text: string) => void = () => undefined;
  /** Called before each look at the host. */
  beforeLook: () => void = () => undefined;
  private readonly grpc: Grpc;
  private readonly policies: { current: PolicySet; close(): Promise<void> };
  private readonly openOrigin: OpenOrigin | null;
  private onPolicies: () => void = () => undefined;

  constructor(spec: KernelSpec, policies: readonly Policy[], openOrigin: OpenOrigin | null = null) {
    this.openOrigin = openOrigin;
    this.clock = createVirtualClock({ settle: settleByImmediate });
    this.kernel = createSimulatedKernel({ spec, clock: this.clock, random: createSeededRandom(1) });
    this.grpc = createMemoryGrpc(this.kernel.files, this.clock);
    this.kubelet = new KubeletStandIn(
      { grpc: this.grpc, files: this.kernel.files, clock: this.clock },
      {
        directory: `${kubeletRoot}/device-plugins`,
        podResourcesDirectory: `${kubeletRoot}/pod-resources`,
        registryDirectory: null,
      },
    );
    this.policies = { current: { complete: true, policies, why: null }, close: () => Promise.resolve() };
  }

  get control(): KernelControl {
    return this.kernel.control;
  }

  /** Boots the machine and starts kubelet. */
  async boot(): Promise<void> {
    await this.clock.advance(1_000);
    await this.when(this.kubelet.start());
  }

  /** Starts an agent and gives it `rest` milliseconds to come to rest. */
  async start(rest = 10_000): Promise<AgentLife> {
    const process = this.kernel.startAgent(this.faults());
    const servers: GrpcServer[] = [];
    const passes: PassReport[] = [];
    const agent = await this.when(this.begin(process, servers, passes));
    await this.clock.advance(rest);
    return {
      agent,
      passes,
      kill: () => {
        process.kill();
        for (const server of servers) void server.close(0);
      },
    };
  }

  /** Changes the policies and lets the agent come to rest. */
  async setPolicies(policies: PolicySet | readonly Policy[], milliseconds = 10_000): Promise<void> {
    this.policies.current = 'complete' in policies ? policies : { complete: true, policies, why: null };
    this.onPolicies();
    await this.clock.advance(milliseconds);
  }

  /** Driver of a device now; null: none. */
  driverOf(address: string): string | null | undefined {
    return this.control.snapshot().drivers[address];
  }

  /** Asks the running agent over its control socket. */
  ask(request: ControlRequest): Promise<ControlAnswer> {
    return this.when(askOwner(this.kernel.startAgent().sockets, state, request));
  }

  /** Lets time pass until the promise is settled. */
  async when<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    await this.clock.runUntil(() => settled, 300_000);
    return promise;
  }

  /** Health of every device of a resource as kubelet was told; null: it knows no such resource. */
  offered(resource: string): Readonly<Record<string, string>> | null {
    const devices = this.kubelet.devices(resource);
    return devices === null ? null : Object.fromEntries(devices.map((device) => [device.id, device.health]));
  }

  private faults(): AgentFaults {
    return {
      beforeWrite: (path, text) => {
        this.beforeWrite(path, text);
        this.writes.push(`${path.replace('/sys/bus/pci/', '')} ${text}`);
        return null;
      },
    };
  }

  private begin(process: AgentProcess, servers: GrpcServer[], passes: PassReport[]): Promise<Agent> {
    const { files, clock, worker, processes, sockets } = process;
    const paths = hostPaths();
    const random = createSeededRandom(process.processes.self.pid);
    const logger = this.logger();
    const metrics = createAgentMetrics();
    const origin = this.openOrigin?.(process, logger, metrics) ?? null;
    const proofs = {
      disks: createSimulatedDisks(this.kernel.files),
      get nodeAddresses() {
        return origin?.network.nodeAddresses ?? [];
      },
      get endpoints() {
        return origin?.network.endpoints ?? [];
      },
      ownAddresses: () => [],
    };
    const inner = createHostObserver({ files, paths, worker, clock, proofs, mayLoad: true, readDeadline: 5_000 });
    const { observer, processHolding } = rememberHolders({
      get sources() {
        return inner.sources;
      },
      observe: (request) => {
        this.beforeLook();
        return inner.observe(request);
      },
    });
    const bootId = files.readText('/proc/sys/kernel/random/boot_id').trim();
    const grpc: Grpc = {
      ...this.grpc,
      serve: async (path, routes) => {
        const server = await this.grpc.serve(
          path,
          routes.map((route) => unheard(route, process)),
        );
        servers.push(server);
        return server;
      },
    };
    const connected =
      origin === null
        ? null
        : connectOrigin(origin, {
            files,
            clock,
            path: `${state}/node-state.json`,
            agentVersion: '0.0.0-test',
            hasKubelet: true,
            extraConditions: () => [],
          });
    return startAgent({
      machine: { files, clock, random, processes, sockets, worker, paths },
      observer,
      node: { name: 'node-1', labels: {} },
      logger,
      metrics,
      state,
      bootId,
      interval: 30_000,
      writeDeadline: 60_000,
      openPolicies: (onChange) => {
        this.onPolicies = onChange;
        return Promise.resolve(this.policies);
      },
      openKubelet: (journal, onChange) =>
        openKubelet({
          files,
          clock,
          random,
          grpc,
          paths,
          logger,
          metrics,
          state,
          bootId,
          devicePluginsDirectory: `${kubeletRoot}/device-plugins`,
          kubeletRoot,
          cdiDirectory: '/var/run/cdi',
          registration: 'legacy',
          ledger: () => journal.ledger(),
          onChange,
          processHolding,
        }),
      ...connected,
      onPass: async (report, kubelet, ledger) => {
        await connected?.onPass?.(report, kubelet, ledger);
        passes.push(report);
      },
    });
  }

  private logger(): Logger {
    const say = (level: string) => (_fields: object, message: string) => void this.log.push(`${level} ${message}`);
    const logger: Logger = {
      debug: () => undefined,
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      child: () => logger,
    };
    return logger;
  }
}

/** The end of a stream, which a process that was killed does not hear of. */
function unheard(route: Route, process: AgentProcess): Route {
  if (route.kind !== 'stream') return route;
  return {
    ...route,
    open: (request, outgoing) =>
      route.open(request, { ...outgoing, onEnd: (run) => outgoing.onEnd(() => void (process.alive && run())) }),
  };
}
