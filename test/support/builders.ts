// Short ways to say what a test needs: a device, a policy, a host. Everything not said is the plainest thing that exists.
import { buildAliasTable } from '../../src/domain/alias-table.ts';
import type { Finding } from '../../src/domain/codes.ts';
import type { Device, Inventory } from '../../src/domain/device.ts';
import type { AliasEntry, ModuleCatalog, ModuleFacts } from '../../src/domain/driver-choice.ts';
import { emptyLedger, type InUse, type Ledger, type LedgerEntry } from '../../src/domain/ledger.ts';
import type { PlanInput } from '../../src/domain/plan-input.ts';
import type { DeviceSelector, Policy, ResourcePolicy } from '../../src/domain/policy.ts';

export const bootId = '11111111-2222-3333-4444-555555555555';

/** A PCI endpoint, 8086:10d3 on e1000e unless said otherwise. */
export function aDevice(parts: Partial<Device> & { readonly address: string }): Device {
  const vendor = parts.vendor ?? '8086';
  const device = parts.device ?? '10d3';
  const classCode = parts.classCode ?? '020000';
  const hex = (text: string): string => text.toUpperCase().padStart(8, '0');
  return {
    bus: 'pci',
    modalias: `pci:v${hex(vendor)}d${hex(device)}sv00000000sd00000000bc${classCode.slice(0, 2).toUpperCase()}sc${classCode.slice(2, 4).toUpperCase()}i${classCode.slice(4).toUpperCase()}`,
    vendor,
    device,
    subsystemVendor: '0000',
    subsystemDevice: '0000',
    classCode,
    driver: 'e1000e',
    iommuGroup: null,
    numaNode: null,
    physicalFunction: null,
    virtualFunctions: [],
    totalVirtualFunctions: 0,
    isBridge: false,
    serialNumber: null,
    diskSerial: null,
    acpiIndex: null,
    slot: null,
    interfaces: [],
    vfioDevice: null,
    guarded: { driverOverride: null, autoprobe: parts.totalVirtualFunctions === undefined ? null : true },
    ...parts,
  };
}

/** A bridge on pcieport. */
export function aBridge(parts: Partial<Device> & { readonly address: string }): Device {
  return aDevice({ vendor: '1b36', device: '000c', classCode: '060400', driver: 'pcieport', isBridge: true, ...parts });
}

/** An inventory of the devices; groups follow from them. */
export function anInventory(devices: readonly Device[], parts: Partial<Inventory['kernel']> = {}): Inventory {
  const groups = new Map<number, string[]>();
  for (const device of devices)
    if (device.iommuGroup !== null)
      groups.set(device.iommuGroup, [...(groups.get(device.iommuGroup) ?? []), device.address].sort());
  return {
    kernel: { release: '6.1.0-test', bootId, iommu: groups.size > 0, iommufd: false, noIommuMode: false, ...parts },
    devices: new Map(devices.map((device) => [device.address, device])),
    groups: new Map([...groups].map(([number, members]) => [number, { number, members, directRegions: [] }])),
    unread: [],
  };
}

const anySelector: DeviceSelector = {
  bus: null,
  vendor: null,
  device: null,
  subsystemVendor: null,
  subsystemDevice: null,
  class: null,
  modalias: null,
  addresses: [],
  slots: [],
  serialNumbers: [],
  acpiIndexes: [],
  numaNodes: [],
  drivers: [],
  function: 'Any',
  physicalFunctions: [],
};

/** A resource with all defaults. */
export function aResource(name: string, parts: Partial<ResourcePolicy> = {}): ResourcePolicy {
  return {
    name,
    unit: 'Group',
    deviceNodes: 'Auto',
    allocation: 'Packed',
    environment: ['KubeVirt'],
    cdi: false,
    ...parts,
  };
}

type PolicyParts = Partial<Omit<Policy, 'devices' | 'exclude'>> & {
  readonly name: string;
  readonly devices?: readonly Partial<DeviceSelector>[];
  readonly exclude?: readonly Partial<DeviceSelector>[];
};

/** A policy for every node; `devices` and `exclude` need only say what they ask. */
export function aPolicy({ devices = [], exclude = [], ...parts }: PolicyParts): Policy {
  return {
    uid: null,
    generation: 1,
    createdAt: null,
    source: `${parts.name}.yaml`,
    nodeSelector: { matchLabels: {}, matchExpressions: [] },
    priority: 0,
    mode: 'Enforce',
    devices: devices.map((selector) => ({ ...anySelector, ...selector })),
    exclude: exclude.map((selector) => ({ ...anySelector, ...selector })),
    driver: { name: null, module: null, requireVariant: false, aliases: [] },
    iommuGroup: 'RequireSelected',
    virtualFunctions: null,
    resource: null,
    allow: [],
    onDelete: 'Restore',
    ...parts,
  };
}

/** An alias line of modules.alias. */
export function anAlias(pattern: string, module: string, line = 1): AliasEntry {
  return { pattern, module, origin: 'file', source: '/lib/modules/6.1.0-test/modules.alias', line };
}

/** vfio_pci and mlx5_vfio_pci as a distribution's kernel has them, both loaded, beside host drivers. */
export function aCatalog(modules: readonly (Partial<ModuleFacts> & { readonly name: string })[] = []): ModuleCatalog {
  const all = [
    { name: 'vfio_pci', drivers: [{ bus: 'pci', name: 'vfio-pci' }] },
    { name: 'mlx5_vfio_pci', drivers: [{ bus: 'pci', name: 'mlx5_vfio_pci' }] },
    { name: 'e1000e', isVfio: false, drivers: [{ bus: 'pci', name: 'e1000e' }] },
    ...modules,
  ].map((facts): ModuleFacts => ({ state: 'Loaded', blacklistedBy: null, isVfio: true, drivers: [], ...facts }));
  const moduleOfDriver = new Map(
    all.flatMap((facts) => facts.drivers.map((driver) => [`${driver.bus}:${driver.name}`, facts.name] as const)),
  );
  return { modules: new Map(all.map((facts) => [facts.name, facts])), moduleOfDriver, mayLoad: true };
}

export const aliasLines: readonly AliasEntry[] = [
  anAlias('vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci', 1),
  anAlias('vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', 'mlx5_vfio_pci', 2),
];

/** A ledger record of `device`, taken from e1000e for `policy`. */
export function anEntry(device: Device, parts: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    address: device.address,
    bus: device.bus,
    modalias: device.modalias,
    diskSerial: device.diskSerial,
    bootId,
    originalDriver: 'e1000e',
    originalOverride: null,
    driver: 'vfio-pci',
    module: 'vfio_pci',
    role: 'Selected',
    policy: 'p',
    policyUid: null,
    onDelete: 'Restore',
    resource: null,
    deviceId: null,
    adopted: false,
    retained: false,
    virtualFunctions: null,
    state: 'Taken',
    detail: null,
    ...parts,
  };
}

export function aLedger(entries: readonly LedgerEntry[]): Ledger {
  return { entries: new Map(entries.map((entry) => [entry.address, entry])) };
}

const nobody: InUse = { holders: [], unreadable: null };

/** Everything plan() looks at; a readable host without findings. */
export function aPlanInput(
  parts: Partial<Omit<PlanInput, 'policies'>> & {
    readonly devices?: readonly Device[];
    readonly policies?: readonly Policy[] | PlanInput['policies'];
    readonly findings?: readonly Finding[];
  },
): PlanInput {
  const { devices = [], policies = [], ...rest } = parts;
  return {
    node: { name: 'node1', labels: { 'kubernetes.io/hostname': 'node1' } },
    inventory: anInventory(devices),
    findings: [],
    aliases: buildAliasTable(aliasLines),
    catalog: aCatalog(),
    policies: 'policies' in policies ? policies : { complete: true, policies, why: null },
    inUse: nobody,
    ledger: emptyLedger,
    failures: new Map(),
    ...rest,
  };
}
