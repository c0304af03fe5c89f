// One simulated node with all that is on it: kernel, disk, clock, kubelet, policy files, and the agent's real code, one life after the
// other. Everything follows from one seed.
import type { Grpc } from '../../src/kubelet/ports.ts';
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
import { createSimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../src/simulation/virtual-clock.ts';
import { Cluster } from './cluster.ts';
import { createMortalGrpc } from './mortal-grpc.ts';
import type { LifeOfProcess } from './mortal-grpc.ts';
import type { Mutation } from './mutation.ts';
import { policyDocument } from './policy-templates.ts';
import type { PolicySpec } from './policy-templates.ts';
import type { Tally } from './tally.ts';
import { tapJournal, tellRecord } from './taps.ts';
import type { CommandAnswer } from './taps.ts';
import { kubeletRoot, pluginDirectory, policyDirectory, stateDirectory } from './places.ts';
import { startLife } from './start-life.ts';
import type { Life } from './start-life.ts';
import { Watch } from './watch.ts';

const releases = ['6.1.0-56-amd64', '6.12.95-amd64', '6.18.15-amd64'];

type FileFault = NonNullable<Parameters<MemoryFiles['setFault']>[0]>;

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
  /** Where policies come from; null: files of a directory. */
  readonly cluster: Cluster | null;
  /** What sits in the slots now, by address. */
  readonly slots: Map<string, DeviceSpec>;
  /** File faults now, by name. */
  readonly fileFaults = new Map<string, FileFault>();
  /** Writes to the kernel that fail from now on. */
  failingWrites: { left: number; readonly errno: string } | null = null;
  failingModprobe = false;
  /** modprobe says that it has loaded what it was asked for, and has loaded this. */
  lyingModprobe: string | null = null;
  kubeletRuns = false;
  life: Life | null = null;
  restartAt = 0;
  passes = 0;
  /** The boot id as the agent's files say it. */
  knownBoot = '';
  /** The process that makes the next write to the kernel. */
  writer = 0;
  private readonly seconds = new Set<() => void>();
  private readonly armed = new Set<Armed>();
  /** Each says whether it has happened. */
  private readonly ambushes = new Set<(addresses: readonly string[]) => boolean>();
  readonly mutation: Mutation;
  /** null: nobody listens. */
  readonly tell: ((line: string) => void) | null;

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
    this.cluster = createSeededRandom(seed ^ 0xc1).chance(0.5) ? new Cluster(this.clock) : null;
    tally.add(this.cluster === null ? 'histories with files' : 'histories in a cluster');
    this.slots = new Map(this.machine.spec.devices.map((device) => [device.address, device]));
  }

  say(line: string): void {
    this.tell?.(`${String(this.clock.monotonic()).padStart(8)} ${line}`);
  }

  /** Somebody writes a policy. */
  setPolicy(name: string, spec: PolicySpec): void {
    if (this.cluster !== null) this.cluster.setPolicy(name, spec);
    else this.files.put(`${policyDirectory}/${name}.yaml`, JSON.stringify(policyDocument(name, spec)));
    this.watch.policies.add(name);
    this.watch.policiesMoved();
  }

  /** Somebody deletes a policy. */
  removePolicy(name: string): void {
    if (this.cluster !== null) this.cluster.removePolicy(name);
    else this.files.drop(`${policyDirectory}/${name}.yaml`);
    this.watch.policies.delete(name);
    this.watch.policiesMoved();
  }

  /** Somebody writes what is no policy: its last good version stays in force. */
  spoilPolicy(name: string, fraction: number): void {
    if (this.cluster !== null)
      this.cluster.setPolicy(name, fraction < 0.5 ? { devices: [] } : { devices: [{ colour: 'red' }] });
    else this.files.put(`${policyDirectory}/${name}.yaml`, fraction < 0.5 ? 'spec: [' : '{"kind": "VfioPolicy"}');
  }

  /** Lets something happen at the n-th call of the agent's ports from now. */
  arm(at: number, run: () => Fate): void {
    this.armed.add({ at, run });
  }

  /** Lets something happen in the moment in which the agent looks at devices that it is about to write to. */
  ambush(spring: (addresses: readonly string[]) => boolean): void {
    this.ambushes.add(spring);
  }

  /** The agent begins to look; for a transaction it names its devices. */
  onLook(addresses: readonly string[]): void {
    for (const spring of addresses.length === 0 ? [] : this.ambushes)
      if (spring(addresses)) this.ambushes.delete(spring);
    this.watch.onLook(addresses);
  }

  /** Nothing armed happens any more. */
  disarm(): void {
    this.armed.clear();
    this.ambushes.clear();
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
    this.watch.onStart();
    this.life = this.begin();
  }

  /** Somebody starts another agent beside the one that runs: it must find the host taken. */
  startSecond(): void {
    const { life } = this;
    const second = this.begin();
    const end = (): void => {
      second.process.kill();
      second.end();
    };
    this.clock.after(5_000, () => {
      const both = life?.process.alive === true && life === this.life && second.agent !== null;
      if (both) this.watch.violate('two agents have the lock of one host');
      this.say(`the second agent is gone: ${second.failed ?? 'it runs'}`);
      end();
    });
    this.seconds.add(end);
  }

  /** The machine went down, or the history is over: so are agents beside the one that runs. */
  endSeconds(): void {
    for (const end of this.seconds) end();
    this.seconds.clear();
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
    const endings: (() => void)[] = [];
    const process = this.kernel.startAgent({
      fate: () => this.fateOfCall(),
      beforeWrite: (path, text) => this.beforeWrite(path, text),
    });
    const life: Life = { process, agent: null, failed: null, end: () => endings.forEach((end) => end()) };
    this.say(`the agent starts, process ${process.processes.self.pid}`);
    const ofProcess: LifeOfProcess = {
      isAlive: () => process.alive,
      fate: () => this.fateOfCall(),
      kill: () => process.kill(),
    };
    const mortal = createMortalGrpc(this.grpc, this.files, ofProcess);
    endings.push(() => mortal.end());
    const grpc = this.mutation.grpc?.(mortal.grpc) ?? mortal.grpc;
    const journaled = tapJournal(process.files, stateDirectory, (record) => {
      this.watch.onJournal(record);
      if (this.tell !== null) this.say(`  journal ${tellRecord(record)}`);
    });
    const files = this.mutation.files?.(journaled) ?? journaled;
    const onEnd = (end: () => void): void => void endings.push(end);
    startLife(this, life, { process, files, grpc, ofProcess, onEnd }).catch((error: unknown) => {
      life.failed = error instanceof Error ? error.message : String(error);
      this.say(`the agent did not start: ${life.failed}`);
      this.tally.add('failedStarts');
    });
    return life;
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

  beforeWrite(path: string, text: string): string | null {
    this.tally.add('kernelWrites');
    this.watch.onWrite(path, text, this.writer);
    const failing = this.failingWrites;
    const errno = failing !== null && failing.left > 0 ? failing.errno : null;
    if (failing !== null && errno !== null) failing.left -= 1;
    this.say(`  write ${text} > ${path}${errno === null ? '' : `: ${errno}`}`);
    if (errno !== null) this.tally.add('failedWrites');
    return errno;
  }

  /** A command of the agent's; what is answered for it is not run. */
  onCommand(command: string): CommandAnswer | null {
    this.say(`  ${command}`);
    if (this.lyingModprobe !== null) {
      this.tally.add('lying modprobes');
      return { runsInstead: this.lyingModprobe };
    }
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
