// Selection: which policy each device belongs to. At most one policy per device; the others are named as losers.
import type { Device, Inventory } from './device.ts';
import { compareAddresses } from './device.ts';
import type { Ledger } from './ledger.ts';
import { anyBootEntry, isTakenFor, ownEntry } from './ownership.ts';
import type { Policy } from './policy.ts';
import { comparePolicies, explainRank } from './rank-policies.ts';
import { matchesSelector, type SelectionContext } from './select-devices.ts';

/** A device and the policy that gets it. */
export interface Assignment {
  readonly device: Device;
  readonly policy: Policy;
  /** `PhysicalFunction`: the policy wants VFs of it, the device itself keeps its driver. */
  readonly role: 'Selected' | 'PhysicalFunction';
  /** Under a policy that went from Enforce to DryRun: stays its own, nothing is done to it. */
  readonly frozen: boolean;
  readonly losers: readonly { readonly policy: string; readonly why: string }[];
}

/** What the selectors look up beside the device itself: its driver before us, and its PF. */
export function selectionContext(inventory: Inventory, ledger: Ledger): SelectionContext {
  const deviceAt = (address: string): Device | null => inventory.devices.get(address) ?? null;
  return {
    driverBefore: (address) => {
      const device = deviceAt(address);
      return device === null ? null : (anyBootEntry(ledger, device)?.originalDriver ?? null);
    },
    interfacesOf: (address) => deviceAt(address)?.interfaces ?? [],
  };
}

/** True when the policy's `exclude` names the device; exclusion wins over `devices` and protects companions too. */
export function isExcluded(policy: Policy, device: Device, context: SelectionContext): boolean {
  return policy.exclude.some((selector) => matchesSelector(selector, device, context).matches);
}

function isSelected(policy: Policy, device: Device, context: SelectionContext): boolean {
  if (!policy.devices.some((selector) => matchesSelector(selector, device, context).matches)) return false;
  return !isExcluded(policy, device, context);
}

/**
 * Assigns devices to `policies` (already narrowed to this node). DryRun policies claim nothing, but keep what the ledger has under
 * them. Policies with `sriov` claim PFs; the VFs of the PFs they win are claimed for them in turn, where there are enough.
 */
export function assignDevices(
  policies: readonly Policy[],
  inventory: Inventory,
  ledger: Ledger,
): ReadonlyMap<string, Assignment> {
  const context = selectionContext(inventory, ledger);
  const ranked = [...policies].sort(comparePolicies);
  const enforced = ranked.filter((policy) => policy.mode === 'Enforce');
  const claims = new Map<string, Policy[]>();
  const claim = (device: Device, policy: Policy): void => {
    const list = claims.get(device.address) ?? [];
    if (!list.includes(policy)) list.push(policy);
    claims.set(device.address, list);
  };
  for (const policy of enforced)
    for (const device of inventory.devices.values()) {
      if (policy.virtualFunctions !== null && device.physicalFunction !== null) continue;
      if (isSelected(policy, device, context)) claim(device, policy);
    }
  for (const device of inventory.devices.values()) {
    const winner = claims.get(device.address)?.[0];
    if (winner === undefined || winner.virtualFunctions === null) continue;
    if (frozenPolicy(ranked, ledger, device) !== null) continue;
    // Fewer than wanted: the PF is refused, and VFs that somebody else made stay his. Our own stay ours.
    const enough = device.virtualFunctions.length >= winner.virtualFunctions;
    for (const address of device.virtualFunctions) {
      const virtual = inventory.devices.get(address);
      if (virtual === undefined || isExcluded(winner, virtual, context)) continue;
      if (enough || ownEntry(ledger, inventory, virtual) !== null) claim(virtual, winner);
    }
  }
  const assignments = new Map<string, Assignment>();
  for (const device of [...inventory.devices.values()].sort((a, b) => compareAddresses(a.address, b.address))) {
    const frozen = frozenPolicy(ranked, ledger, device);
    const claimants = (claims.get(device.address) ?? []).sort(comparePolicies);
    const policy = frozen ?? claimants[0];
    if (policy === undefined) continue;
    assignments.set(device.address, {
      device,
      policy,
      role: frozen === null ? roleOf(policy, device) : frozenRole(ledger, device),
      frozen: frozen !== null,
      losers: claimants
        .filter((other) => other !== policy)
        .map((other) => ({
          policy: other.name,
          why: frozen === null ? explainRank(policy, other) : `frozen under policy ${policy.name}, now in DryRun`,
        })),
    });
  }
  return assignments;
}

function roleOf(policy: Policy, device: Device): Assignment['role'] {
  return policy.virtualFunctions !== null && device.physicalFunction === null ? 'PhysicalFunction' : 'Selected';
}

/** What a frozen device was taken as, whatever its policy asks for by now. */
function frozenRole(ledger: Ledger, device: Device): Assignment['role'] {
  return anyBootEntry(ledger, device)?.role === 'PhysicalFunction' ? 'PhysicalFunction' : 'Selected';
}

/** The DryRun policy under which the ledger has the device, or null. */
export function frozenPolicy(policies: readonly Policy[], ledger: Ledger, device: Device): Policy | null {
  const entry = anyBootEntry(ledger, device);
  if (entry === null || entry.retained) return null;
  return policies.find((policy) => policy.mode === 'DryRun' && isTakenFor(entry, policy)) ?? null;
}

/**
 * Addresses the proofs and the guarded reads are needed for: everything any policy of this node selects (DryRun too), everything in
 * the ledger, the VFs of both, and the other members of all their IOMMU groups.
 */
export function devicesOfInterest(
  policies: readonly Policy[],
  inventory: Inventory,
  ledger: Ledger,
): ReadonlySet<string> {
  const context = selectionContext(inventory, ledger);
  const direct = new Set<string>();
  for (const device of inventory.devices.values()) {
    const entry = ledger.entries.get(device.address);
    if (entry !== undefined) direct.add(device.address);
    if (entry?.role === 'PhysicalFunction') for (const address of device.virtualFunctions) direct.add(address);
    for (const policy of policies) {
      if (!isSelected(policy, device, context)) continue;
      direct.add(device.address);
      if (policy.virtualFunctions !== null) for (const address of device.virtualFunctions) direct.add(address);
    }
  }
  const all = new Set(direct);
  for (const address of direct) {
    const group = inventory.devices.get(address)?.iommuGroup;
    if (group === undefined || group === null) continue;
    for (const member of inventory.groups.get(group)?.members ?? []) all.add(member);
  }
  return all;
}
