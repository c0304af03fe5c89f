// One simulated node with all that is on it: kernel, disk, clock, kubelet, policy files, and the agent's real code, one life after the
// other. Everything follows from one seed.
import { openKubelet } from '../../src/agent/open-kubelet.ts';
import { openPolicyDirectory } from '../../src/agent/policy-directory.ts';
import { startAgent } from '../../src/agent/start-agent.ts';
import type { Agent } from '../../src/agent/start-agent.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createHostObserver } from '../../src/host/observe-host.ts';
import type { Grpc } from '../../src/kubelet/ports.ts';
import { createAgentMetrics } from '../../src/runtime/agent-metrics.ts';
import type { CommandResult, Files } from '../../src/runtime/ports.ts';
import type { DeviceSpec } from '../../src/simulation/kernel/spec.ts';
import { KubeletStandIn } from '../../src/simulation/kubelet-stand-in.ts';
import type { MemoryFiles } from '../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../src/simulation/memory-grpc.ts';
import type { Fate } from '../../src/simulation/mortal-process.ts';
import { createRandomNode } from '../../src/simulation/nodes/random-node.ts';
import type { RandomNode } from '../../src/simulation/nodes/random-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import type { SeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByTick } from '../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../src/simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { AgentProcess, SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../src/simulation/virtual-clock.ts';
import { createMortalGrpc } from './mortal-grpc.ts';
import type { Mutation } from './mutation.ts';
import type { Tally } from './tally.ts';
import { createTellingLogger, tapJournal, tapProcesses, tapWorker, tellRecord } from './taps.ts';
import { Watch } from './watch.ts';

export const stateDirectory = '/var/lib/vfio-operator';
export const policyDirectory = '/etc/vfio-operator/policies';
export const pluginDirectory = '/var/lib/kubelet/device-plugins';
const kubeletRoot = '/var/lib/kubelet';
const releases = ['6.1.0-56-amd64', '6.12.95-amd64', '6.18.15-amd64'];

type FileFault = NonNullable<Parameters<MemoryFiles['setFault']>[0]>;

/** One life of the agent. */
interface Life {
  readonly process: AgentProcess;
  agent: Agent | null;
  /** It ended by itself: a start that failed. */
  failed: string | null;
  end(): void;
}

/** Something that happens at a call of the agent's ports. */
interface Armed {
  at: number;
  readonly run: () => Fate;
}

/** What a world is made from. */
export interface WorldOptions {
  readonly seed: number;
  readonly tally: Tally;
  readonly mutation?: Mutation;
  readonly tell?: (line: string) => void;
}

/** The node. */
export class World {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly machine: RandomNode;
  readonly kernel: SimulatedKernel;
  readonly files: MemoryFiles;
  readonly grpc: Grpc;
  readonly kubelet: KubeletStandIn;
  readonly watch: Watch;
  readonly tally: Tally;
  /** What sits in the slots now, by address. */
  readonly slots: Map<string, DeviceSpec>;
  /** File faults now, by name. */
  readonly fileFaults = new Map<string, FileFault>();
  /** Writes to the kernel that fail from now on. */
  failingWrites: { left: number; readonly errno: string } | null = null;
  failingModprobe = false;
  kubeletRuns = false;
  life: Life | null = null;
  restartAt = 0;
  passes = 0;
  /** The boot id as the agent's files say it. */
  knownBoot = '';
  private writer = 0;
  private readonly armed = new Set<Armed>();
  private readonly mutation: Mutation;
  private readonly tell: ((line: string) => void) | null;

  constructor({ seed, tally, mutation = {}, tell }: WorldOptions) {
    this.clock = createVirtualClock({ settle: settleByTick });
    this.random = createSeededRandom(seed);
    this.tally = tally;
    this.mutation = mutation;
    this.tell = tell ?? null;
    const groups = 4 + this.random.below(3);
    const release = this.random.pick(releases);
    this.machine = createRandomNode(this.random.fork(), {
      devices: groups + 4 + this.random.below(3),
      groups,
      release,
      usedDisks: 0.35,
    });
    this.kernel = createSimulatedKernel({ spec: this.machine.spec, clock: this.clock, random: this.random.fork() });
    this.kernel.agent.kill();
    this.files = this.kernel.files;
    this.files.put(policyDirectory, { directory: {} });
    this.files.setFault((operation, path) => this.fileFault(operation, path));
    this.grpc = createMemoryGrpc(this.files, this.clock);
    this.kubelet = new KubeletStandIn(
      { grpc: this.grpc, files: this.files, clock: this.clock },
      {
        directory: pluginDirectory,
        podResourcesDirectory: `${kubeletRoot}/pod-resources`,
        registryDirectory: null,
        onEvent: (text) => this.say(`  kubelet: ${text}`),
      },
    );
    this.watch = new Watch(this.kernel, this.clock);
    this.slots = new Map(this.machine.spec.devices.map((device) => [device.address, device]));
  }

  say(line: string): void {
    this.tell?.(`${String(this.clock.monotonic()).padStart(8)} ${line}`);
  }

  /** Lets something happen at the n-th call of the agent's ports from now. */
  arm(at: number, run: () => Fate): void {
    this.armed.add({ at, run });
  }

  /** Nothing armed happens any more. */
  disarm(): void {
    this.armed.clear();
  }

  get agentRuns(): boolean {
    return this.life !== null && this.life.process.alive && this.life.failed === null;
  }

  /** Starts the agent if it does not run and its time has come. */
  keepAlive(): void {
    if (this.life?.failed !== undefined && this.life.failed !== null) this.endLife('it could not start', 5_000);
    if (this.life !== null && !this.life.process.alive)
      this.endLife('it was killed', this.restartAt - this.clock.monotonic());
    if (this.life !== null || this.clock.monotonic() < this.restartAt) return;
    this.life = this.begin();
  }

  /** SIGKILL. */
  endLife(why: string, restartIn: number): void {
    const { life } = this;
    if (life === null) return;
    this.say(`the agent is gone: ${why}`);
    life.process.kill();
    life.end();
    this.life = null;
    this.restartAt = this.clock.monotonic() + Math.max(0, restartIn);
  }

  private begin(): Life {
    this.tally.add('lives');
    this.watch.onStart();
    const endings: (() => void)[] = [];
    const process = this.kernel.startAgent({
      fate: () => this.fateOfCall(),
      beforeWrite: (path, text) => this.beforeWrite(path, text),
    });
    const life: Life = { process, agent: null, failed: null, end: () => endings.forEach((end) => end()) };
    this.say(`the agent starts, process ${process.processes.self.pid}`);
    const mortal = createMortalGrpc(this.grpc, this.files, {
      isAlive: () => process.alive,
      fate: () => this.fateOfCall(),
      kill: () => process.kill(),
    });
    endings.push(() => mortal.end());
    const grpc = this.mutation.grpc?.(mortal.grpc) ?? mortal.grpc;
    const journaled = tapJournal(process.files, stateDirectory, (record) => {
      this.watch.onJournal(record);
      if (this.tell !== null) this.say(`  journal ${tellRecord(record)}`);
    });
    const files = this.mutation.files?.(journaled) ?? journaled;
    this.run(life, process, files, grpc).catch((error: unknown) => {
      life.failed = error instanceof Error ? error.message : String(error);
      this.say(`the agent did not start: ${life.failed}`);
      this.tally.add('failedStarts');
    });
    return life;
  }

  private async run(life: Life, process: AgentProcess, files: Files, grpc: Grpc): Promise<void> {
    const { clock, sockets } = process;
    const tapped = tapWorker(process.worker, {
      onBegin: (pid) => (this.writer = pid),
      onEnd: (pid, stuck) => {
        if (stuck) this.tally.add('stuckWrites');
        else this.watch.onReturned(pid);
      },
    });
    const worker = this.mutation.worker?.(tapped) ?? tapped;
    const paths = hostPaths();
    const disks = createSimulatedDisks(this.files);
    const inner = createHostObserver({
      files,
      paths,
      worker,
      clock,
      proofs: { disks, nodeAddresses: [], endpoints: [], ownAddresses: () => [] },
      mayLoad: true,
      readDeadline: 5_000,
    });
    const heard: typeof inner = {
      get sources() {
        return inner.sources;
      },
      observe: (request) => {
        this.watch.onLook(request.alsoInterested ?? []);
        return inner.observe(request);
      },
    };
    const bootId = files.readText('/proc/sys/kernel/random/boot_id').trim();
    this.knownBoot = bootId;
    const logger = createTellingLogger(this.tell === null ? null : (line) => this.say(line));
    const processes = tapProcesses(process.processes, (command) => this.onCommand(command));
    const metrics = createAgentMetrics();
    const random = this.random.fork();
    life.agent = await startAgent({
      machine: { files, clock, random, processes, sockets, worker, paths },
      observer: this.mutation.observer?.(heard) ?? heard,
      node: { name: 'node-1', labels: {} },
      logger,
      metrics,
      state: stateDirectory,
      bootId,
      interval: 30_000,
      writeDeadline: 60_000,
      openPolicies: async (onChange) => {
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
        return this.mutation.policies?.(source) ?? source;
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
          processHolding: (addresses) =>
            life.agent?.report?.inUse.holders.find(
              (one) => one.code === 'HeldByProcess' && addresses.includes(one.address),
            )?.who ?? null,
        });
        return this.mutation.kubelet?.(side) ?? side;
      },
      onPass: (report, _kubelet, ledger) => {
        this.passes += 1;
        this.tally.add('passes');
        this.watch.onPass(report, ledger);
        return Promise.resolve();
      },
    });
  }

  private fateOfCall(): Fate {
    let fate: Fate = 'live';
    for (const armed of this.armed) {
      armed.at -= 1;
      if (armed.at > 0) continue;
      this.armed.delete(armed);
      const result = armed.run();
      if (result !== 'live') fate = result;
    }
    return fate;
  }

  private beforeWrite(path: string, text: string): string | null {
    this.tally.add('kernelWrites');
    this.watch.onWrite(path, text, this.writer);
    const failing = this.failingWrites;
    const errno = failing !== null && failing.left > 0 ? failing.errno : null;
    if (failing !== null && errno !== null) failing.left -= 1;
    this.say(`  write ${text} > ${path}${errno === null ? '' : `: ${errno}`}`);
    if (errno !== null) this.tally.add('failedWrites');
    return errno;
  }

  private onCommand(command: string): CommandResult | null {
    this.say(`  ${command}`);
    if (!this.failingModprobe) return null;
    this.tally.add('failedModprobes');
    return { code: 1, stdout: '', stderr: 'modprobe: ERROR: could not insert: Exec format error', timedOut: false };
  }

  private fileFault(operation: string, path: string): ReturnType<FileFault> {
    for (const fault of this.fileFaults.values()) {
      const found = fault(operation, path);
      if (found !== null) return found;
    }
    return null;
  }
}
