// One IOMMU group as a whole: who owns it, which other members must come along, and whether the kernel would call it viable. The
// group is the unit of isolation, so one member that must stay with the host refuses it for all.
import { frozenPolicy, isExcluded, selectionContext } from './assign-devices.ts';
import { type Draft, draftDevice, isSettled } from './draft.ts';
import type { Device } from './device.ts';
import { isOnVfio, ownEntry } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import type { Policy } from './policy.ts';
import { comparePolicies } from './rank-policies.ts';
import { criticalFinding, isHarmlessBridge, type Refusal, type RefusalContext } from './refuse-device.ts';

/** The drafts of a group after judgement: each with its refusal, companions added. */
export interface JudgedGroup {
  readonly drafts: readonly Draft[];
  /** Set when the group as a whole is refused; the drafts that had none carry it already. */
  readonly refusal: Refusal | null;
}

/** Drivers that never use the kernel's DMA API, so a member on one of them keeps its group viable (driver_managed_dma). */
export const harmlessDrivers: ReadonlySet<string> = new Set(['pci-stub', 'pcieport']);

/** Members that are not up for selection. */
export interface Bystanders {
  /** They keep the driver they have: PFs that make VFs. */
  readonly keepsDriver: ReadonlySet<string>;
  /** They are on VFIO by our hand and stay there. */
  readonly stays: ReadonlySet<string>;
}

/** Judges one group. `members` are all its devices, `drafts` those that are selected. */
export function judgeGroup(
  members: readonly Device[],
  drafts: readonly Draft[],
  { keepsDriver, stays }: Bystanders,
  input: PlanInput,
  context: RefusalContext,
): JudgedGroup {
  const owner = ownerOf(drafts);
  if (owner === null) return { drafts, refusal: null };
  const standing = members.filter((member) => stays.has(member.address)).flatMap((member) => offerOf(member, input));
  const resolved = drafts.map((draft) => withStandingConflict(withConflict(draft, owner), standing));
  const taken = new Set(resolved.filter((draft) => draft.refusal === null).map((draft) => draft.device.address));
  const companions: Draft[] = [];
  let refusal: Refusal | null = null;
  for (const member of members) {
    if (taken.has(member.address) || stays.has(member.address)) continue;
    const verdict = judgeBystander(member, owner, resolved, keepsDriver, input, context);
    if (verdict === null) continue;
    if ('device' in verdict) companions.push(verdict);
    else refusal ??= verdict;
  }
  const companionAddresses = new Set(companions.map((draft) => draft.device.address));
  const kept = resolved.filter((draft) => !companionAddresses.has(draft.device.address));
  if (refusal === null) return { drafts: [...kept, ...companions], refusal };
  return { drafts: kept.map((draft) => (draft.refusal === null ? { ...draft, refusal } : draft)), refusal };
}

/** The best ranked policy with a resource among those not refused, else the best ranked without. */
function ownerOf(drafts: readonly Draft[]): Policy | null {
  const policies = drafts
    .filter((draft) => draft.refusal === null)
    .map((draft) => draft.policy)
    .sort(comparePolicies);
  return policies.find((policy) => policy.resource !== null) ?? policies[0] ?? null;
}

/** A group belongs to one resource, but for unit Function, whose group may lie in several. */
function withConflict(draft: Draft, owner: Policy): Draft {
  const mine = draft.policy.resource;
  const theirs = owner.resource;
  if (draft.refusal !== null || mine === null || theirs === null || mine.name === theirs.name) return draft;
  if (mine.unit === 'Function' && theirs.unit === 'Function') return draft;
  const message = `IOMMU group ${draft.device.iommuGroup ?? 'none'} belongs to resource ${theirs.name} of policy ${owner.name}, and with unit: Group a group belongs to one resource`;
  return { ...draft, refusal: { code: 'Conflict', message } };
}

/** The resource in which a member that stays is offered already. */
interface Offer {
  readonly address: string;
  readonly resource: string;
  readonly policy: string;
  readonly unit: 'Group' | 'Function';
}

function offerOf(member: Device, input: PlanInput): readonly Offer[] {
  const own = ownEntry(input.ledger, input.inventory, member);
  if (own === null || own.resource === null) return [];
  const now = input.policies.policies.find((policy) => policy.name === own.policy)?.resource ?? null;
  const unit = now?.name === own.resource ? now.unit : 'Group';
  return [{ address: member.address, resource: own.resource, policy: own.policy, unit }];
}

/** What stays is offered as before, so nobody else may offer its group beside it: each would hand out the same group. */
function withStandingConflict(draft: Draft, standing: readonly Offer[]): Draft {
  const mine = draft.policy.resource;
  if (draft.refusal !== null || mine === null) return draft;
  const other = standing.find(
    ({ address, resource, unit }) =>
      address !== draft.device.address && resource !== mine.name && !(unit === 'Function' && mine.unit === 'Function'),
  );
  if (other === undefined) return draft;
  const message = `IOMMU group ${draft.device.iommuGroup ?? 'none'} belongs to resource ${other.resource} of policy ${other.policy}, in which ${other.address} stays, and with unit: Group a group belongs to one resource`;
  return { ...draft, refusal: { code: 'Conflict', message } };
}

/** A member that is not taken as selected: harmless (null), a companion, or what makes the group unusable. */
function judgeBystander(
  member: Device,
  owner: Policy,
  drafts: readonly Draft[],
  keepsDriver: ReadonlySet<string>,
  input: PlanInput,
  context: RefusalContext,
): Refusal | Draft | null {
  if (isHarmlessBridge(member)) return null;
  const own = ownEntry(input.ledger, input.inventory, member);
  const ours = own !== null && !own.retained && isOnVfio(input.catalog, member);
  const found = ours ? null : criticalFinding(member, context);
  // Being blind for a moment is a reason not to take a group, not one to give it back.
  const critical = found?.code === 'Unproven' && drafts.every(isSettled) ? null : found;
  if (critical !== null && !isAllowed(member, critical, drafts, owner))
    return { code: 'GroupHasCritical', message: `member ${member.address}: ${critical.code}: ${critical.message}` };
  const companion = companionOf(member, owner, keepsDriver, input, context);
  if (companion?.refusal === null) return companion;
  return judgeStranger(member, ours ? (own?.originalDriver ?? null) : member.driver, companion, owner, input);
}

function isAllowed(member: Device, critical: Refusal, drafts: readonly Draft[], owner: Policy): boolean {
  const policy = drafts.find((draft) => draft.device.address === member.address)?.policy ?? owner;
  return policy.virtualFunctions === null && policy.allow.some((code) => code === (critical.code as string));
}

function companionOf(
  member: Device,
  owner: Policy,
  keepsDriver: ReadonlySet<string>,
  input: PlanInput,
  context: RefusalContext,
): Draft | null {
  if (owner.iommuGroup !== 'BindCompanions' || member.isBridge || keepsDriver.has(member.address)) return null;
  if (isExcluded(owner, member, selectionContext(input.inventory, input.ledger))) return null;
  if (frozenPolicy(input.policies.policies, input.ledger, member) !== null) return null;
  const own = ownEntry(input.ledger, input.inventory, member);
  const companionPolicy: Policy = {
    ...owner,
    driver: { ...owner.driver, name: null, module: null, requireVariant: false },
  };
  const draft = draftDevice({ device: member, policy: companionPolicy, losers: [] }, 'Companion', own, input, context);
  return { ...draft, policy: owner };
}

/** What a member that stays as it is means for the kernel's rule: no member may be on a driver that uses the DMA API. */
function judgeStranger(
  member: Device,
  driver: string | null,
  companion: Draft | null,
  owner: Policy,
  input: PlanInput,
): Refusal | null {
  if (driver === null || harmlessDrivers.has(driver)) return null;
  const foreign = isOnVfio(input.catalog, { ...member, driver, vfioDevice: null });
  if (foreign)
    return { code: 'GroupNotViable', message: `member ${member.address} is on ${driver}, and not by our hand` };
  const because =
    companion?.refusal != null
      ? `, and cannot come along: ${companion.refusal.message}`
      : owner.iommuGroup === 'BindCompanions'
        ? ', and must not come along'
        : '';
  return { code: 'GroupNotViable', message: `member ${member.address} is on host driver ${driver}${because}` };
}
