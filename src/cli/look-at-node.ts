// One look at a node through plan()'s eyes: host, policies, ledger, pods. The agent plans from the same evidence by the same function;
// what only the agent knows (a back-off under way, an Allocate not yet shown) is left out.
import type { Inventory, Unread } from '../domain/device.ts';
import { emptyLedger, type InUse, type Ledger } from '../domain/ledger.ts';
import type { Plan } from '../domain/decision.ts';
import type { NodeIdentity, PlanInput } from '../domain/plan-input.ts';
import { plan, policiesOfNode } from '../domain/plan.ts';
import { hostPaths, type HostPaths } from '../host/host-paths.ts';
import { toLedger } from '../host/journal-fold.ts';
import { JournalError } from '../host/journal-record.ts';
import { readJournal } from '../host/journal.ts';
import { createHostObserver, type HostObservation } from '../host/observe-host.ts';
import { HostUnreadable } from '../host/scan-view.ts';
import { toHolders } from '../kubelet/pod-resources.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import { assumeUnlistedModules } from './alias-evidence.ts';
import type { CliParts } from './cli-parts.ts';
import { findPolicies } from './find-policies.ts';
import type { NodeOptions } from './node-options.ts';
import { openHost, type OpenHost } from './open-host.ts';
import { toUnread, withoutRepeats } from './render-unread.ts';

export interface NodeLook {
  readonly paths: HostPaths;
  readonly input: PlanInput;
  readonly plan: Plan;
  /** Where the policies came from. */
  readonly policyOrigin: string;
  /** What the plan takes for granted because nothing can show it. */
  readonly assumptions: readonly string[];
  /** Findings left out on account of the assumptions. */
  readonly setAside: HostObservation['findings'];
  readonly unread: readonly Unread[];
}

/** The part of a command's surroundings that a look needs. */
type LookParts = Pick<CliParts, 'files' | 'clock' | 'worker' | 'proofs' | 'readPods'>;

/** How long the guarded reads of a batch may take, in milliseconds. */
const readDeadline = 5_000;

const copyAssumption =
  'This is a copy of a host: its processes, mounts and routes cannot be seen, so proofs are unknown. The plan goes on as if nothing ' +
  'used the devices; the agent on that host refuses whatever it cannot prove unused.';

/** Looks and plans. `alsoInterested` are devices that are looked at whether or not a policy selects them. */
export async function lookAtNode(
  options: NodeOptions,
  parts: LookParts,
  alsoInterested: readonly string[] = [],
): Promise<NodeLook> {
  const host = openHost(parts.files, options);
  const found = findPolicies(parts.files, options);
  const node = found.node ?? identifyNode(options, parts.files, host.paths);
  const bootId = readLine(parts.files, host.paths.bootId);
  const ledger = readLedger(parts.files, options.state, bootId);
  const policies = policiesOfNode({ node, policies: found.set });
  const request = { policies, ledger: ledger.ledger, alsoInterested };
  const seen = await observe(host, options, parts, request);
  const isCopy = host.paths.kind === 'copy';
  const unproven = isCopy ? seen.findings.filter(({ code }) => code === 'Unproven') : [];
  const use = isCopy ? { holders: [], unreadable: null } : await readPods(parts, ledger.ledger);
  const input: PlanInput = {
    node,
    inventory: isCopy ? withBootId(seen.inventory, bootId) : seen.inventory,
    findings: seen.findings.filter((finding) => !unproven.includes(finding)),
    aliases: seen.aliases,
    catalog: isCopy ? assumeUnlistedModules(seen.catalog, seen.sources) : seen.catalog,
    policies: found.set,
    inUse: { holders: [...use.holders, ...seen.holders], unreadable: use.unreadable },
    ledger: ledger.ledger,
    failures: new Map(),
  };
  return {
    paths: host.paths,
    input,
    plan: plan(input),
    policyOrigin: found.origin,
    assumptions: isCopy ? [copyAssumption] : [],
    setAside: unproven,
    unread: withoutRepeats([
      ...host.unread,
      ...found.unread,
      ...ledger.unread,
      ...seen.unread,
      ...toUnread(seen.sources.problems),
      ...(use.unreadable === null ? [] : [{ source: podResourcesSocket, why: use.unreadable }]),
    ]),
  };
}

async function observe(
  host: OpenHost,
  options: NodeOptions,
  parts: LookParts,
  request: Parameters<ReturnType<typeof createHostObserver>['observe']>[0],
): Promise<HostObservation> {
  const look = (paths: HostPaths): Promise<HostObservation> =>
    createHostObserver({
      files: parts.files,
      paths,
      worker: parts.worker,
      release: host.release,
      proofs: paths.kind === 'copy' ? {} : parts.proofs,
      mayLoad: options.loadModules,
      readDeadline,
    }).observe(request);
  try {
    return await look(host.paths);
  } catch (error) {
    if (!(error instanceof HostUnreadable)) throw error;
    const seen = await look(hostPaths(host.paths.root === '' ? '/' : host.paths.root, 'copy'));
    return { ...seen, unread: [{ source: host.paths.sys, why: error.message }, ...seen.unread] };
  }
}

/** A copy's records speak for its devices as long as they are of the boot in which it was made. */
function withBootId(inventory: Inventory, bootId: string | null): Inventory {
  return { ...inventory, kernel: { ...inventory.kernel, bootId } };
}

function readLedger(
  files: Files,
  state: string,
  bootId: string | null,
): { readonly ledger: Ledger; readonly unread: readonly Unread[] } {
  try {
    return { ledger: toLedger(readJournal(files, state, bootId ?? '')), unread: [] };
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const why = `${error.message}; what the agent took is unknown, so devices of its own show as foreign`;
    return { ledger: emptyLedger, unread: [{ source: `${state}/journal`, why }] };
  }
}

const podResourcesSocket = '/var/lib/kubelet/pod-resources/kubelet.sock';

/** Where there is no socket there is no kubelet: nobody but processes can hold a device. */
async function readPods(parts: LookParts, ledger: Ledger): Promise<InUse> {
  try {
    parts.files.stat(podResourcesSocket);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return { holders: [], unreadable: error.code === 'ENOENT' ? null : error.code };
  }
  const reading = await parts.readPods(podResourcesSocket);
  if ('unreadable' in reading) return { holders: [], unreadable: reading.unreadable };
  const resources = new Set([...ledger.entries.values()].flatMap((entry) => entry.resource ?? []));
  return { holders: toHolders(reading.holders, resources), unreadable: null };
}

function identifyNode(options: NodeOptions, files: Files, paths: HostPaths): NodeIdentity {
  const own = paths.kind === 'copy' ? readLine(files, paths.at('/etc/hostname')) : null;
  const name = options.nodeName ?? own?.toLowerCase() ?? options.machineName;
  return { name, labels: options.labelsOf(name) };
}

function readLine(files: Files, path: string): string | null {
  try {
    const text = files.readText(path, 4096).trim();
    return text === '' ? null : text;
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}
