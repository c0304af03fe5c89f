// One look at the host, whole: inventory, guarded attributes, proofs, alias sources, modules. What plan() needs of the host, for the
// agent and the command line alike. Host-wide sources are read once per look; nothing here writes.
import { devicesOfInterest } from '../domain/assign-devices.ts';
import type { Finding } from '../domain/codes.ts';
import type { AliasTable } from '../domain/alias-table.ts';
import type { Device, Inventory, Unread } from '../domain/device.ts';
import type { ModuleCatalog } from '../domain/driver-choice.ts';
import type { Holder, Ledger } from '../domain/ledger.ts';
import type { Policy } from '../domain/policy.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import { createAliasSourceReader, type AliasSources } from './alias-sources.ts';
import type { HostPaths } from './host-paths.ts';
import { buildModuleCatalog } from './module-catalog.ts';
import { createConfigSpaceHealth, type DeviceHealth } from './config-space-health.ts';
import { createPause } from './pause.ts';
import type { KernelWorker } from './ports.ts';
import { collectProofs, type ProofOptions } from './proof/collect-proofs.ts';
import { readGuarded, withGuarded, type StuckRead } from './read-guarded.ts';
import { createScanner } from './scan-inventory.ts';

/** What is fixed while the observer lives. Deadlines in milliseconds. */
export interface ObserverParts {
  readonly files: Files;
  readonly paths: HostPaths;
  /** null: guarded attributes are not read (a dead copy, an ordinary user without need). */
  readonly worker: KernelWorker | null;
  readonly clock?: Clock;
  /** Kernel release of a dead copy. */
  readonly release?: string;
  readonly proofs: Pick<ProofOptions, 'disks' | 'nodeAddresses' | 'endpoints' | 'ownAddresses'>;
  /** The agent may load modules. */
  readonly mayLoad: boolean;
  readonly readDeadline: number;
}

/** What is asked of one look. */
export interface ObserveRequest {
  /** The policies of this node, DryRun included. */
  readonly policies: readonly Policy[];
  readonly ledger: Ledger;
  /** The ledger right before guarded attributes are read: what has been begun since the look began is left alone. Default: `ledger`. */
  readonly ledgerNow?: () => Ledger;
  /** Devices that are looked at whether or not a policy selects them. */
  readonly alsoInterested?: readonly string[];
  /** Devices whose transaction has begun and makes no kernel call now: it waits for this look. */
  readonly waiting?: readonly string[];
  /** Asks the devices that are ours whether they answer. */
  readonly wantHealth?: boolean;
}

/** What was seen. `silent` and `notices` speak of devices of ours, and are empty unless health was asked for. */
export interface HostObservation extends DeviceHealth {
  readonly inventory: Inventory;
  readonly findings: readonly Finding[];
  /** Processes that have devices of interest open. */
  readonly holders: readonly Holder[];
  readonly aliases: AliasTable;
  readonly catalog: ModuleCatalog;
  readonly sources: AliasSources;
  /** Guarded reads that have not returned. */
  readonly stuck: readonly StuckRead[];
  readonly unread: readonly Unread[];
}

const unasked: DeviceHealth = { silent: new Map(), notices: new Map() };

export interface HostObserver {
  /** The alias sources of the last look; null before the first. */
  readonly sources: AliasSources | null;
  observe(request: ObserveRequest): Promise<HostObservation>;
}

export function createHostObserver(parts: ObserverParts): HostObserver {
  const { files, paths, worker } = parts;
  const scanner = createScanner({
    files,
    paths,
    ...(parts.clock === undefined ? {} : { clock: parts.clock }),
    ...(parts.release === undefined ? {} : { release: parts.release }),
  });
  const pause = createPause(parts.clock);
  const health =
    worker === null || parts.clock === undefined
      ? null
      : createConfigSpaceHealth({ files, paths, worker, clock: parts.clock, deadline: parts.readDeadline });
  let reader: { readonly release: string; readonly read: () => AliasSources } | null = null;
  let lastSources: AliasSources | null = null;
  const readSources = (release: string): AliasSources => {
    if (reader?.release !== release) reader = { release, ...createAliasSourceReader(files, paths, release) };
    return (lastSources = reader.read());
  };
  return {
    get sources() {
      return lastSources;
    },
    async observe({ policies, ledger, ledgerNow, alsoInterested = [], waiting = [], wantHealth = false }) {
      const scanned = await scanner.scan({
        wantSerialNumbers: policies.some((policy) => policy.devices.some((one) => one.serialNumbers.length > 0)),
        alsoList: new Set([
          ...policies.flatMap((policy) => policy.devices.flatMap((one) => one.addresses)),
          ...alsoInterested,
        ]),
      });
      const interest = new Set([...devicesOfInterest(policies, scanned, ledger), ...alsoInterested]);
      const excluded = stuckAddresses(scanned, ledgerNow?.() ?? ledger, new Set(waiting));
      const guarded = await readInterest(scanned, interest, excluded, parts);
      const inventory = withGuarded(scanned, guarded);
      const proofs = await collectProofs({ ...parts.proofs, files, paths, inventory, interest, pause });
      const sources = readSources(inventory.kernel.release);
      const unread: Unread[] = [];
      const catalog = buildModuleCatalog(
        files,
        paths,
        sources,
        { modules: ['iommufd', ...policies.flatMap(namedModules)], mayLoad: parts.mayLoad },
        (entry) => unread.push(entry),
      );
      return {
        inventory,
        findings: proofs.findings,
        holders: proofs.holders,
        ...(wantHealth && health !== null ? await health.check(ownDevices(scanned, ledger), excluded) : unasked),
        aliases: sources.table,
        catalog,
        sources,
        stuck: guarded.stuck,
        unread: [...inventory.unread, ...proofs.unread, ...sources.unread, ...unread],
      };
    },
  };

  async function readInterest(
    inventory: Inventory,
    interest: ReadonlySet<string>,
    excluded: ReadonlySet<string>,
    { readDeadline }: ObserverParts,
  ): ReturnType<typeof readGuarded> {
    if (worker === null) return { values: new Map(), stuck: [], unread: [] };
    const devices = [...interest].flatMap((address) => inventory.devices.get(address) ?? []);
    return readGuarded(worker, paths, devices, { excluded, deadline: readDeadline });
  }
}

/** Where the driver is the one that we gave. */
function ownDevices(inventory: Inventory, ledger: Ledger): readonly Device[] {
  return [...ledger.entries.values()].flatMap((entry) => {
    const device = inventory.devices.get(entry.address);
    const ours = device !== undefined && entry.state === 'Taken' && device.driver === entry.driver;
    return ours && device.modalias === entry.modalias ? [device] : [];
  });
}

function namedModules(policy: Policy): readonly string[] {
  return [
    ...(policy.driver.module === null ? [] : [policy.driver.module]),
    ...policy.driver.aliases.map((alias) => alias.module),
  ];
}

/**
 * Members of groups in which a kernel call has not returned, or is being made now, with their PFs: their guarded attributes may block
 * as long as it does.
 */
function stuckAddresses(inventory: Inventory, ledger: Ledger, waiting: ReadonlySet<string>): ReadonlySet<string> {
  const addresses = new Set<string>();
  for (const entry of ledger.entries.values()) {
    const busy = entry.state === 'Stuck' || (entry.state === 'InTransaction' && !waiting.has(entry.address));
    if (!busy || entry.bootId !== inventory.kernel.bootId) continue;
    const device = inventory.devices.get(entry.address);
    const group = device?.iommuGroup ?? null;
    const members = group === null ? [entry.address] : (inventory.groups.get(group)?.members ?? []);
    for (const member of [entry.address, ...members, ...(device?.virtualFunctions ?? [])]) {
      addresses.add(member);
      const parent = inventory.devices.get(member)?.physicalFunction;
      if (parent !== undefined && parent !== null) addresses.add(parent);
    }
  }
  return addresses;
}
