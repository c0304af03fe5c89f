// The agent from its first look to its last: state directory, host lock, journal, policies, then the loop. Without the lock nothing is
// written and nothing registered. Stopping leaves every device as it is for the next agent.
import type { Decision } from '../domain/decision.ts';
import type { Ledger } from '../domain/ledger.ts';
import type { NodeIdentity } from '../domain/plan-input.ts';
import type { PolicySet } from '../domain/policy.ts';
import type { Transaction } from '../domain/step.ts';
import { acquireHostLock, type ControlAnswer, type ControlRequest, type HostLock } from '../host/host-lock.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { openJournal, type Journal } from '../host/journal.ts';
import { loadModule } from '../host/load-module.ts';
import type { HostObserver } from '../host/observe-host.ts';
import type { KernelWorker } from '../host/ports.ts';
import type { AgentMetrics } from '../runtime/agent-metrics.ts';
import type { Logger } from '../runtime/logger.ts';
import { endsWithin } from '../runtime/ends-within.ts';
import type { Clock, Files, Processes, Random, Sockets, Timer, Watch } from '../runtime/ports.ts';
import { startReconcileLoop, type ReconcileLoop } from '../runtime/reconcile-loop.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { answerControl } from './answer-control.ts';
import { countDecisions, createDecisionLog } from './decision-log.ts';
import type { KubeletSide } from './kubelet-side.ts';
import { createPreflight } from './preflight.ts';
import { createReconciler, type PassReport } from './reconcile.ts';

/** The machine below the agent; real in main.ts, simulated in the demo and in tests. */
export interface AgentMachine {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly processes: Processes;
  readonly sockets: Sockets;
  readonly worker: KernelWorker;
  readonly paths: HostPaths;
}

/** Policies from wherever they come. */
export interface PolicySource {
  readonly current: PolicySet;
  close(): Promise<void>;
}

export interface AgentParts {
  readonly machine: AgentMachine;
  readonly observer: HostObserver;
  /** This node; its labels may change while the agent runs. */
  readonly node: NodeIdentity;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  /** State directory; created when absent. */
  readonly state: string;
  readonly bootId: string;
  readonly interval: number;
  readonly writeDeadline: number;
  readonly openPolicies: (onChange: () => void) => Promise<PolicySource>;
  readonly openKubelet: (journal: Journal, onAllocate: () => void) => Promise<KubeletSide>;
  /** Hears of every finished pass, after everything it led to has happened. */
  readonly onPass?: (report: PassReport, kubelet: KubeletSide, ledger: Ledger) => Promise<void>;
  /** Hears of every transaction that ended. */
  readonly onOutcome?: (transaction: Transaction, outcome: ApplyOutcome) => void;
  /** Hears of every pass that could not be finished. */
  readonly onFailedPass?: (problem: string) => void;
}

/** A running agent. */
export interface Agent {
  /** The last finished pass; null before the first. */
  readonly report: PassReport | null;
  /** The last pass that failed, as a sentence; null when the last one worked. */
  readonly problem: string | null;
  readonly kubelet: KubeletSide;
  lookAgain(reason: string): void;
  /**
   * Finishes the running step, unless it takes longer than 8 s: then it goes on without us, and the next agent finds its process in the
   * journal. Ends streams and sockets, lets the lock go. Devices stay as they are.
   */
  stop(): Promise<void>;
}

/** Somebody else writes to this host. */
export class HostTaken extends Error {
  override readonly name = 'HostTaken';
}

const readDeadline = 5_000;
const nodeDeadline = 5_000;
const virtualFunctionDeadline = 1_000;
const moduleDeadline = 120_000;
const eventInterval = 1_000;
/** How long a stop waits for kernel calls. They may hang for ever, and who waits to replace us must not wait with them. */
const stopPatience = 8_000;

/** Starts. Rejects with `HostTaken`, `JournalError` or `FileError`; then nothing was touched. */
export async function startAgent(parts: AgentParts): Promise<Agent> {
  const { machine, logger, metrics, state } = parts;
  const { files, clock, processes, paths, worker } = machine;
  await files.makeDirectory(state, 0o700);
  const abort = new AbortController();
  let answer = (_request: ControlRequest): Promise<ControlAnswer> =>
    Promise.resolve({ ok: false, message: 'the agent is starting, ask again' });
  let loop: ReconcileLoop | null = null;
  const lookAgain = (reason: string): void => loop?.trigger(reason);
  const lock = await takeLock(parts, (request) => answer(request));
  const { journal, kubelet, policies } = await openBehindLock(parts, lock, lookAgain);
  const readPolicies = (): PolicySet => policies.current;
  const apply: ApplyContext = {
    host: {
      files,
      paths,
      clock,
      worker,
      readDeadline,
      nodeDeadline,
      writeDeadline: parts.writeDeadline,
      virtualFunctionDeadline,
      loadModule: (module) => {
        const { sources } = parts.observer;
        if (sources === null) throw new Error('a module is to be loaded before the host was looked at');
        return loadModule({ files, processes, paths, sources, deadline: moduleDeadline }, module);
      },
    },
    journal,
    isWriter: () => lock.isHeld(),
    ...createPreflight({ observer: parts.observer, kubelet, journal, policies: readPolicies, node: parts.node }),
    onStep: (event) => {
      metrics.observeStep(event.step.kind, event.outcome, event.milliseconds);
      const { key, direction, outcome, said } = event;
      const fields = {
        transaction: key,
        step: event.step,
        direction,
        outcome,
        milliseconds: Math.round(event.milliseconds),
      };
      if (outcome === 'Done') logger.debug(fields, said ?? 'step done');
      else logger.warn(fields, said ?? `step ${outcome.toLowerCase()}`);
    },
    signal: abort.signal,
  };
  const reconciler = createReconciler({
    files,
    paths,
    clock,
    random: machine.random,
    node: parts.node,
    observer: parts.observer,
    kubelet,
    policies: readPolicies,
    apply,
    interval: parts.interval,
    lookAgain,
    onOutcome: (transaction, outcome) => {
      parts.onOutcome?.(transaction, outcome);
      const { key, kind, members } = transaction;
      const addresses = members.map((member) => member.identity.address);
      const fields = { transaction: key, kind, addresses, ...outcome };
      if (outcome.outcome === 'Applied') logger.info(fields, `${kind} of ${addresses.join(', ')} done`);
      else logger.warn(fields, `${kind} of ${addresses.join(', ')}: ${outcome.outcome}`);
    },
  });
  const log = createDecisionLog(logger);
  let report: PassReport | null = null;
  let problem: string | null = null;
  answer = (request) =>
    answerControl(request, {
      reconciler,
      report: () => report,
      problem: () => problem,
      kubelet,
      ledger: () => journal.ledger(),
    });
  // Nothing tells when kubelet has taken a resource: looked for soon after, then ever more seldom.
  let unregistered = 0;
  const untilRegistered = ({ resources }: KubeletSide): number => {
    unregistered = resources.every(({ registered }) => registered) ? 0 : unregistered + 1;
    return unregistered === 0 ? parts.interval : Math.min(parts.interval, 500 * 2 ** unregistered);
  };
  const watches = watchHost(machine, (reason) => {
    reconciler.notice();
    lookAgain(reason);
  });
  loop = startReconcileLoop({
    clock,
    async run() {
      const begun = clock.monotonic();
      const finished = await reconciler.pass();
      // Cut short by the end: what is half done is not stuck, and the next agent tells how it ended.
      if (abort.signal.aborted && journal.open().length > 0) return { again: finished.again };
      log.report(finished.plan.decisions);
      report = finished;
      problem = null;
      metrics.observePass(clock.monotonic() - begun, true, clock.now());
      noteFigures(metrics, finished.plan.decisions, kubelet, worker);
      await parts.onPass?.(finished, kubelet, journal.ledger());
      return { again: Math.min(finished.again, untilRegistered(kubelet)) };
    },
    onError(error, retryIn) {
      problem = error instanceof Error ? error.message : String(error);
      metrics.observePass(0, false, clock.now());
      parts.onFailedPass?.(problem);
      logger.error(
        { error: problem, stack: error instanceof Error ? error.stack : undefined, retryIn },
        'a pass failed',
      );
    },
  });
  return {
    get report() {
      return report;
    },
    get problem() {
      return problem;
    },
    kubelet,
    lookAgain,
    async stop() {
      abort.abort();
      answer = () => Promise.resolve({ ok: false, message: 'the agent is stopping, ask the next one' });
      watches.close();
      // A release that a person asked for may still be at its step.
      const finished = Promise.all([loop?.stop(), reconciler.idle()]);
      if (!(await endsWithin(finished, clock, stopPatience)))
        logger.warn(
          { transactions: journal.open().map(({ transaction }) => transaction.key) },
          'a kernel call goes on; the next agent finds it by the journal',
        );
      await kubelet.stop();
      await policies.close();
      await journal.close();
      worker.close();
      await lock.release();
    },
  };
}

/** What only the owner of the lock may open; where one part fails, the others are closed and the lock goes to the next one. */
async function openBehindLock(
  { machine: { files, clock }, state, bootId, logger, openKubelet, openPolicies }: AgentParts,
  lock: HostLock,
  lookAgain: (reason: string) => void,
): Promise<{ readonly journal: Journal; readonly kubelet: KubeletSide; readonly policies: PolicySource }> {
  const opened: (() => Promise<void>)[] = [() => lock.release()];
  try {
    const journal = await openJournal({ files, clock, directory: state, bootId });
    opened.push(() => journal.close());
    if (journal.tornBytes > 0)
      logger.info({ bytes: journal.tornBytes }, 'the journal ended in the middle of a record, as a crash leaves it');
    const kubelet = await openKubelet(journal, () => lookAgain('allocated'));
    opened.push(() => kubelet.stop());
    const policies = await openPolicies(() => lookAgain('policies changed'));
    return { journal, kubelet, policies };
  } catch (error) {
    for (const close of opened.toReversed()) await close().catch(() => undefined);
    throw error;
  }
}

async function takeLock(
  { machine, state, bootId }: AgentParts,
  answer: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<HostLock> {
  const { files, sockets, processes, paths } = machine;
  const outcome = await acquireHostLock({
    files,
    sockets,
    self: processes.self,
    directory: state,
    proc: paths.proc,
    bootId,
    program: 'agent',
    answer,
  });
  if (outcome.outcome === 'Taken') throw new HostTaken(outcome.message);
  return outcome.lock;
}

function noteFigures(
  metrics: AgentMetrics,
  decisions: readonly Decision[],
  kubelet: KubeletSide,
  worker: KernelWorker,
): void {
  metrics.setDevices(countDecisions(decisions));
  metrics.setResources(kubelet.resources);
  metrics.setStuck(worker.abandoned);
}

/**
 * Accelerators: the VFIO directories tell of a hot unplug at once, the kernel's event counter of any device that comes, goes, is bound
 * or unbound. What neither tells, the interval does.
 */
function watchHost({ files, clock, paths }: AgentMachine, lookAgain: (reason: string) => void): { close(): void } {
  const watched = new Map<string, Watch>();
  let timer: Timer | null = null;
  let counter: string | null = null;
  let closed = false;
  const look = (): void => {
    for (const directory of [paths.vfio, paths.vfioCdevs]) watchOnce(directory);
    const now = readCounter(files, `${paths.sys}/kernel/uevent_seqnum`);
    if (counter !== null && now !== null && now !== counter) lookAgain('kernel event');
    counter = now;
    if (!closed) timer = clock.after(eventInterval, look);
  };
  const watchOnce = (directory: string): void => {
    if (watched.has(directory)) return;
    try {
      const watch = files.watch(directory, () => lookAgain('VFIO nodes changed'));
      watched.set(directory, watch);
      lookAgain('VFIO directory appeared');
    } catch {
      // It is not there before VFIO is, and a watch is only an accelerator.
    }
  };
  look();
  return {
    close() {
      closed = true;
      timer?.cancel();
      for (const watch of watched.values()) watch.close();
    },
  };
}

function readCounter(files: Files, path: string): string | null {
  try {
    return files.readText(path).trim();
  } catch {
    return null;
  }
}
