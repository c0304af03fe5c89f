// Decisions as the node state shows them: one entry for each, without whatever is the usual, since a node may have thousands.
import type { VfioNodeDevice } from '../api/generated/types.ts';
import { clip } from './clip.ts';
import type { Decision } from './decision.ts';
import { compareAddresses } from './device.ts';
import type { Device, Inventory } from './device.ts';
import type { InUse, Ledger } from './ledger.ts';
import { anyBootEntry } from './ownership.ts';
import type { ResourcePool } from './resource-pool.ts';

/** What is looked up beside the decision. */
export interface NodeDeviceContext {
  readonly inventory: Inventory;
  readonly ledger: Ledger;
  readonly inUse: InUse;
  readonly pools: readonly ResourcePool[];
  /** What a person may want to know of a device, though it changes nothing; by address. */
  readonly notices: ReadonlyMap<string, string>;
}

/** What kubelet is told about a function. */
interface Offer {
  readonly resource: string;
  readonly unhealthyBecause: string | null;
}

/** Entries, sorted by address. */
export function toNodeDevices(decisions: readonly Decision[], context: NodeDeviceContext): readonly VfioNodeDevice[] {
  const offers = new Map<string, Offer>();
  for (const { resource, devices } of context.pools)
    for (const { functions, unhealthyBecause } of devices)
      for (const { address, selected } of functions) if (selected) offers.set(address, { resource, unhealthyBecause });
  const holders = new Map<string, string[]>();
  for (const { address, who } of context.inUse.holders) holders.set(address, [...(holders.get(address) ?? []), who]);
  return decisions
    .toSorted((a, b) => compareAddresses(a.address, b.address))
    .map((decision) =>
      toNodeDevice(decision, offers.get(decision.address) ?? null, holders.get(decision.address) ?? [], context),
    );
}

function toNodeDevice(
  decision: Decision,
  offer: Offer | null,
  holders: readonly string[],
  context: NodeDeviceContext,
): VfioNodeDevice {
  const { address, kind, driverNow, driverWanted } = decision;
  const device = context.inventory.devices.get(address) ?? null;
  const message = offer?.unhealthyBecause ?? (kind === 'Bound' ? null : decision.message);
  return withoutNulls({
    address: clip(address, 64),
    bus: device === null || device.bus === 'pci' ? null : device.bus,
    id: device === null ? null : deviceId(device),
    class: device?.classCode ?? null,
    decision: kind,
    role: decision.role === 'Selected' ? null : decision.role,
    code: decision.code,
    message: message === null || message === '' ? null : clip(message, 1024),
    driver: clipOrNull(driverNow, 64),
    driverBefore: clipOrNull(driverBefore(device, context.ledger), 64),
    driverWanted: driverWanted === driverNow ? null : clipOrNull(driverWanted, 64),
    bestMatch: clipOrNull(decision.choice?.chosen?.module ?? null, 64),
    iommuGroup: decision.iommuGroup,
    numaNode: device?.numaNode ?? null,
    physicalFunction: device?.physicalFunction ?? null,
    notice: clipOrNull(context.notices.get(address) ?? null, 256),
    health: offer === null ? null : offer.unhealthyBecause === null ? 'Healthy' : 'Unhealthy',
    policy: clipOrNull(decision.policy, 63),
    resource: clipOrNull(offer?.resource ?? decision.resource, 308),
    heldBy: holders.length === 0 ? null : clip([...new Set(holders)].toSorted().join(', '), 256),
    alsoWantedBy: decision.losers.length === 0 ? null : losersOf(decision),
  });
}

/** Vendor and device id, as lspci writes them; null on buses that have none. */
export function deviceId({ vendor, device }: Pick<Device, 'vendor' | 'device'>): string | null {
  return vendor === null || device === null ? null : `${vendor}:${device}`;
}

/** A PF keeps its driver, so there is no before. */
function driverBefore(device: Device | null, ledger: Ledger): string | null {
  const entry = device === null ? null : anyBootEntry(ledger, device);
  return entry === null || entry.role === 'PhysicalFunction' ? null : entry.originalDriver;
}

function losersOf({ losers }: Decision): readonly string[] {
  return losers
    .map(({ policy }) => clip(policy, 63))
    .toSorted()
    .slice(0, 8);
}

function clipOrNull(text: string | null, length: number): string | null {
  return text === null ? null : clip(text, length);
}

type Nullable<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> | (undefined extends T[K] ? null : never) };

function withoutNulls(device: Nullable<VfioNodeDevice>): VfioNodeDevice {
  return Object.fromEntries(Object.entries(device).filter(([, value]) => value !== null)) as unknown as VfioNodeDevice;
}
