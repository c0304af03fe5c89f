// Whether one device may be taken at all: the findings of the host, less what its policy allows, and what the device itself shows.
// Group and driver are judged elsewhere. Deny by default: what could not be read is a refusal.
import { refusalCodes, type Finding, type RefusalCode } from './codes.ts';
import type { Device, Inventory } from './device.ts';
import type { ModuleCatalog } from './driver-choice.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import { isOnVfio, isOurDisk } from './ownership.ts';
import type { Policy } from './policy.ts';

/** A refusal of one device, with its proof. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

/** What the judgement needs beside the device. */
export interface RefusalContext {
  readonly inventory: Inventory;
  readonly catalog: ModuleCatalog;
  readonly ledger: Ledger;
  readonly findings: ReadonlyMap<string, readonly Finding[]>;
}

/** The context of a look at the host. */
export function toRefusalContext(
  input: Pick<RefusalContext, 'inventory' | 'catalog' | 'ledger'> & { readonly findings: readonly Finding[] },
): RefusalContext {
  const findings = new Map<string, Finding[]>();
  for (const finding of input.findings) {
    const list = findings.get(finding.address) ?? [];
    list.push(finding);
    findings.set(finding.address, list);
  }
  return { inventory: input.inventory, catalog: input.catalog, ledger: input.ledger, findings };
}

/** Codes that no policy without `sriov` can override, and with it only for making VFs. */
const sriovOnly: ReadonlySet<RefusalCode> = new Set<RefusalCode>(['PrimaryNetwork', 'RootStorage']);

/** A PF's own codes that do not count for making VFs: its driver stays bound. */
const harmlessForVirtualFunctions: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  'StorageHasData',
  'StorageInUse',
  'ActiveGpu',
  'BootDisplay',
  'GroupNotViable',
  'GroupHasCritical',
]);

/** Findings in the order of the closed list: the gravest first, equal codes by proof. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => {
    const order = refusalCodes.indexOf(a.code) - refusalCodes.indexOf(b.code);
    if (order !== 0) return order;
    return a.proof < b.proof ? -1 : a.proof > b.proof ? 1 : 0;
  });
}

/** True for what stands in a group without harm: a bridge on pcieport or without driver. */
export function isHarmlessBridge(device: Device): boolean {
  return device.isBridge && (device.driver === null || device.driver === 'pcieport');
}

/** True for everything of class 06: vfio-pci would take host bridges and LPC without complaint. */
function isBridgeClass(device: Device): boolean {
  return device.isBridge || (device.classCode?.startsWith('06') ?? false);
}

/** The first finding of a device that marks it as critical to the host, whatever a policy allows; null when there is none. */
export function criticalFinding(device: Device, context: RefusalContext): Refusal | null {
  if (isHarmlessBridge(device)) return null;
  if (isBridgeClass(device))
    return { code: 'Bridge', message: `${device.address} is a bridge (class ${device.classCode ?? '06'})` };
  const [first] = relevantFindings(device, context);
  return first === undefined ? null : { code: first.code, message: first.proof };
}

function relevantFindings(device: Device, context: RefusalContext): readonly Finding[] {
  const findings = sortFindings(context.findings.get(device.address) ?? []);
  return isOurDisk(context.ledger, device) ? findings.filter((finding) => finding.code !== 'StorageHasData') : findings;
}

/** The first finding that `allow` does not cover, or null. `PhysicalFunction`: only VFs are made, the device keeps its driver. */
export function findingAgainst(
  device: Device,
  allow: readonly string[],
  role: 'PhysicalFunction' | 'Selected' | 'Companion',
  context: RefusalContext,
): Refusal | null {
  const isAllowed = ({ code }: Finding): boolean =>
    role === 'PhysicalFunction'
      ? harmlessForVirtualFunctions.has(code) || allow.includes(code)
      : allow.includes(code) && !sriovOnly.has(code);
  const finding = relevantFindings(device, context).find((entry) => !isAllowed(entry));
  return finding === undefined ? null : { code: finding.code, message: finding.proof };
}

/** Why `device` must not be taken to VFIO under `policy`, or null. `own`: its ledger record of this boot. */
export function refuseDevice(
  device: Device,
  policy: Policy,
  own: LedgerEntry | null,
  context: RefusalContext,
): Refusal | null {
  if (own !== null && !own.retained && isOnVfio(context.catalog, device)) return null;
  if (isBridgeClass(device))
    return {
      code: 'Bridge',
      message: `it is a bridge (class ${device.classCode ?? '06'}), and bridges are never taken`,
    };
  const finding = findingAgainst(device, policy.allow, 'Selected', context);
  if (finding !== null) return finding;
  if (device.virtualFunctions.length > 0)
    return { code: 'PfHasVfs', message: `it has ${device.virtualFunctions.length} virtual functions` };
  return refuseGroupless(device, policy, context) ?? refuseForeign(device, policy, own, context);
}

function refuseGroupless(device: Device, policy: Policy, context: RefusalContext): Refusal | null {
  if (device.iommuGroup !== null) {
    const regions = context.inventory.groups.get(device.iommuGroup)?.directRegions ?? [];
    return regions.length === 0
      ? null
      : {
          code: 'ReservedRegions',
          message: `IOMMU group ${device.iommuGroup} has direct-mapped memory: ${regions.join(', ')}`,
        };
  }
  const { noIommuMode, iommu } = context.inventory.kernel;
  if (policy.allow.includes('NoIommu') && noIommuMode) return null;
  const state = iommu ? 'it is in no IOMMU group' : 'this machine has no IOMMU, or it is off';
  return {
    code: 'NoIommu',
    message: policy.allow.includes('NoIommu') ? `${state}, and vfio's enable_unsafe_noiommu_mode is not Y` : state,
  };
}

function refuseForeign(
  device: Device,
  policy: Policy,
  own: LedgerEntry | null,
  context: RefusalContext,
): Refusal | null {
  if (own !== null) return null;
  const adopt = policy.allow.includes('NotOurs');
  if (!adopt && isOnVfio(context.catalog, device))
    return { code: 'NotOurs', message: `it is on ${device.driver ?? 'VFIO'} already, and we did not put it there` };
  if (device.guarded === null) return { code: 'Unproven', message: 'its driver_override could not be read' };
  return adopt ? null : foreignOverride(device.guarded.driverOverride);
}

function foreignOverride(override: string | null): Refusal | null {
  return override === null
    ? null
    : { code: 'NotOurs', message: `its driver_override is '${override}', and we did not set it` };
}

/** Why no VFs may be made on the PF `device` under `policy`, or null. The PF keeps its driver whatever the policy allows. */
export function refusePhysicalFunction(device: Device, policy: Policy, context: RefusalContext): Refusal | null {
  if (isBridgeClass(device)) return { code: 'Bridge', message: `it is a bridge (class ${device.classCode ?? '06'})` };
  const finding = findingAgainst(device, policy.allow, 'PhysicalFunction', context);
  if (finding !== null) return finding;
  if (isOnVfio(context.catalog, device))
    return {
      code: 'NotOurs',
      message: `it is on ${device.driver ?? 'VFIO'}; its own driver must make the virtual functions`,
    };
  if (device.guarded === null) return { code: 'Unproven', message: 'its sriov_drivers_autoprobe could not be read' };
  return policy.allow.includes('NotOurs') ? null : foreignOverride(device.guarded.driverOverride);
}
