// A release where no agent runs: the host lock first, then journal, look, plan, apply, all by the agent's own code, so that the rules
// are the same and a crash in the middle is finished or undone by whoever comes next.
import type { ApplyContext } from '../agent/apply-context.ts';
import type { KubeletSide } from '../agent/kubelet-side.ts';
import { noKubelet } from '../agent/kubelet-side.ts';
import { openKubelet } from '../agent/open-kubelet.ts';
import { createPreflight } from '../agent/preflight.ts';
import { createReconciler } from '../agent/reconcile.ts';
import { rememberHolders, type SeenHolders } from '../agent/seen-holders.ts';
import type { NodeIdentity } from '../domain/plan-input.ts';
import type { PolicySet } from '../domain/policy.ts';
import { acquireHostLock, type ControlAnswer, type HostLock } from '../host/host-lock.ts';
import { hostPaths, type HostPaths } from '../host/host-paths.ts';
import { JournalError } from '../host/journal-record.ts';
import { openJournal, type Journal } from '../host/journal.ts';
import { loadModule } from '../host/load-module.ts';
import { createHostObserver, type HostObserver } from '../host/observe-host.ts';
import { createAgentMetrics } from '../runtime/agent-metrics.ts';
import { createLogger } from '../runtime/logger.ts';
import { FileError } from '../runtime/ports.ts';
import type { CliParts, WriterMachine } from './cli-parts.ts';
import { CommandFailed, exitCodes } from './exit-codes.ts';
import { findPolicies } from './find-policies.ts';
import type { ReleaseOptions } from './release-command.ts';

/** Milliseconds, as the agent has them. */
const readDeadline = 5_000;
const nodeDeadline = 5_000;
const writeDeadline = 60_000;
const virtualFunctionDeadline = 1_000;
const moduleDeadline = 120_000;

/**
 * Releases `address`. The answer is the agent's. Throws `CommandFailed`: usage when it is not known which policies are in force;
 * failure when the state directory or its lock cannot be had.
 */
export async function releaseWithoutAgent(
  address: string,
  options: ReleaseOptions,
  parts: CliParts,
): Promise<ControlAnswer> {
  checkState(options.state, parts);
  const { set, node } = findPolicies(parts.files, options);
  if (!set.complete)
    throw new CommandFailed(
      exitCodes.usage,
      `no agent runs, and which policies are in force is unknown (${set.why ?? 'no reason given'}): ` +
        'a release could take what a policy wants',
    );
  const machine = await parts.writer();
  const paths = hostPaths('/');
  const bootId = parts.files.readText(paths.bootId).trim();
  const lock = await takeLock(options.state, bootId, paths, machine, parts);
  try {
    const journal = await openOwnJournal(options.state, bootId, parts);
    try {
      return await release(address, options, { set, node, machine, paths, bootId, lock, journal }, parts);
    } finally {
      await journal.close();
    }
  } finally {
    await lock.release();
  }
}

interface Held {
  readonly set: PolicySet;
  /** As an agent in a cluster last saw it. */
  readonly node: NodeIdentity | null;
  readonly machine: WriterMachine;
  readonly paths: HostPaths;
  readonly bootId: string;
  readonly lock: HostLock;
  readonly journal: Journal;
}

async function release(address: string, options: ReleaseOptions, held: Held, parts: CliParts): Promise<ControlAnswer> {
  const { files, clock, worker } = parts;
  const { set, machine, paths, lock, journal } = held;
  const name = options.nodeName ?? options.machineName;
  const node: NodeIdentity = held.node ?? { name, labels: options.labelsOf(name) };
  const looking = createHostObserver({
    files,
    paths,
    worker,
    clock,
    mayLoad: options.loadModules,
    readDeadline,
    proofs: parts.proofs,
  });
  const { observer, processHolding } = rememberHolders(looking);
  const kubelet = await openUse(options, held, parts, processHolding);
  const policies = (): PolicySet => set;
  const apply: ApplyContext = {
    host: {
      files,
      paths,
      clock,
      worker,
      readDeadline,
      nodeDeadline,
      writeDeadline,
      virtualFunctionDeadline,
      loadModule: (module) => loadHostModule(module, observer, held, parts),
    },
    journal,
    isWriter: () => lock.isHeld(),
    ...createPreflight({ observer, kubelet, journal, policies, node }),
    onStep: ({ said, outcome }) => {
      if (outcome !== 'Done') parts.terminal.note(said ?? `a step is ${outcome.toLowerCase()}`);
    },
    signal: new AbortController().signal,
  };
  try {
    const reconciler = createReconciler({
      files,
      paths,
      clock,
      random: machine.random,
      node,
      observer,
      kubelet,
      policies,
      apply,
      interval: 0,
      lookAgain: () => undefined,
      onOutcome: () => undefined,
    });
    return await reconciler.release(address);
  } finally {
    await kubelet.stop();
  }
}

/** What pods hold, and what was just allocated to one; nothing is offered to kubelet. */
async function openUse(
  options: ReleaseOptions,
  held: Held,
  parts: CliParts,
  processHolding: SeenHolders['processHolding'],
): Promise<KubeletSide> {
  if (options.kubelet === 'none') return noKubelet;
  const side = await openKubelet({
    files: parts.files,
    clock: parts.clock,
    random: held.machine.random,
    grpc: held.machine.grpc,
    paths: held.paths,
    logger: createLogger('silent'),
    metrics: createAgentMetrics(),
    state: options.state,
    bootId: held.bootId,
    devicePluginsDirectory: `${options.kubeletRoot}/device-plugins`,
    kubeletRoot: options.kubeletRoot,
    cdiDirectory: '/var/run/cdi',
    registration: 'legacy',
    ledger: () => held.journal.ledger(),
    onChange: () => undefined,
    processHolding,
  });
  return {
    resources: [],
    offer: () => Promise.resolve(),
    told: (pools) => pools,
    async readUse() {
      const { holders, unreadable } = await side.readUse();
      const hint = 'where there is no kubelet, say --kubelet=none';
      return { holders, unreadable: unreadable === null ? null : `${unreadable}; ${hint}` };
    },
    stop: () => side.stop(),
  };
}

function loadHostModule(
  module: string,
  observer: HostObserver,
  { machine, paths }: Held,
  { files }: CliParts,
): ReturnType<ApplyContext['host']['loadModule']> {
  const { sources } = observer;
  if (sources === null) throw new Error('a module is to be loaded before the host was looked at');
  return loadModule({ files, processes: machine.processes, paths, sources, deadline: moduleDeadline }, module);
}

function checkState(state: string, { files }: CliParts): void {
  try {
    files.list(state);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const why =
      error.code === 'ENOENT'
        ? `there is no state directory ${state}, so this program took nothing; --state names another one`
        : `${state}: ${error.code}; release needs root`;
    throw new CommandFailed(exitCodes.failure, why, { cause: error });
  }
}

async function takeLock(
  state: string,
  bootId: string,
  paths: HostPaths,
  machine: WriterMachine,
  parts: CliParts,
): Promise<HostLock> {
  const outcome = await acquireHostLock({
    files: parts.files,
    sockets: parts.sockets,
    self: machine.processes.self,
    directory: state,
    proc: paths.proc,
    bootId,
    program: 'release',
    answer: () => Promise.resolve({ ok: false, message: 'a release is under way; ask again when it has ended' }),
  }).catch((error: unknown) => {
    if (!(error instanceof FileError)) throw error;
    throw new CommandFailed(exitCodes.failure, `the host lock cannot be had: ${error.message}`, { cause: error });
  });
  if (outcome.outcome === 'Taken') throw new CommandFailed(exitCodes.failure, outcome.message);
  return outcome.lock;
}

async function openOwnJournal(state: string, bootId: string, parts: CliParts): Promise<Journal> {
  try {
    return await openJournal({ files: parts.files, clock: parts.clock, directory: state, bootId });
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    throw new CommandFailed(exitCodes.failure, error.message, { cause: error });
  }
}
