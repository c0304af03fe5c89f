// Decisions and at most one transaction for one IOMMU group (or one device without a group): releases go first, then binds.
import type { Assignment } from './assign-devices.ts';
import { bindSteps, releaseSteps } from './build-steps.ts';
import type { Decision } from './decision.ts';
import { compareAddresses, type Device } from './device.ts';
import { decideDraft, type Draft, draftDevice, isClaimed, isSettled, toDecision } from './draft.ts';
import { type Blocked, findBlocked, findHold } from './find-hold.ts';
import { findStaying, type GroupPlaces } from './find-staying.ts';
import { foreignClaim } from './foreign-claim.ts';
import { judgeGroup } from './judge-group.ts';
import type { LedgerEntry } from './ledger.ts';
import { isOnVfio, isTakenFor, ownEntry } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import type { RefusalContext } from './refuse-device.ts';
import type { Transaction } from './step.ts';
import { draftMember, entryMember } from './transaction-members.ts';
import { withoutIommu } from './without-iommu.ts';

/** What plan-group answers. */
export interface GroupPlan {
  readonly decisions: readonly Decision[];
  readonly transaction: Transaction | null;
}

/** A device of the ledger that nobody wants any more. */
interface Leaving {
  readonly device: Device;
  readonly entry: LedgerEntry;
  readonly message: string;
}

/** Refusals of a group that mean it could not be used at all; a device of ours in such a group is given back. */
const groupCodes: ReadonlySet<string> = new Set(['GroupNotViable', 'GroupHasCritical']);

/** Key of the group's transaction. */
export function groupKey(device: Device): string {
  return device.iommuGroup === null ? `device:${device.address}` : `group:${device.iommuGroup}`;
}

/** Plans one group. `assignments` are those of its members. */
export function planGroup(
  members: readonly Device[],
  assignments: ReadonlyMap<string, Assignment>,
  places: GroupPlaces,
  input: PlanInput,
  context: RefusalContext,
): GroupPlan {
  const mine = members.filter((device) => !places.elsewhere.has(device.address));
  const assigned = mine
    .flatMap((device) => assignments.get(device.address) ?? [])
    .filter((assignment) => assignment.role === 'Selected');
  const drafts = assigned
    .filter((assignment) => !assignment.frozen)
    .map((assignment) =>
      draftDevice(assignment, 'Selected', ownEntry(input.ledger, input.inventory, assignment.device), input, context),
    );
  const stays = findStaying(members, assigned, drafts, places, input);
  const judged = judgeGroup(members, drafts, { keepsDriver: places.elsewhere, stays }, input, context).drafts;
  const frozen = assigned.filter((assignment) => assignment.frozen);
  const wanted = new Set([...judged, ...assigned].map((entry) => entry.device.address));
  const unwanted = mine
    .filter((device) => !wanted.has(device.address))
    .flatMap((device) => leavingOf(device, assignments, input));
  const blocked = findBlocked(members, input);
  if (blocked !== null)
    return { decisions: decideBlocked(judged, frozen, unwanted, blocked, input, context), transaction: null };
  const { leaving, staying } = splitLeaving(unwanted, judged, stays, input);
  const kept = [
    ...frozen.map((entry) => decideFrozen(entry, input, context)),
    ...staying.map((entry) => decideKept(entry, context)),
  ];
  const plan = decideChanges(members, judged, leaving, input, context);
  return { decisions: [...kept, ...plan.decisions], transaction: plan.transaction };
}

function leavingOf(device: Device, assignments: ReadonlyMap<string, Assignment>, input: PlanInput): readonly Leaving[] {
  const entry = ownEntry(input.ledger, input.inventory, device);
  if (entry === null || entry.role === 'PhysicalFunction') return [];
  const maker = assignments.get(device.address);
  const message =
    maker === undefined
      ? `no policy wants it any more (it was taken for ${entry.policy})`
      : `policy ${maker.policy.name} wants virtual functions of it, which its own driver makes`;
  return [{ device, entry, message }];
}

/** What is really given back: not what is retained, and nothing while the policies are not completely known. */
function splitLeaving(
  unwanted: readonly Leaving[],
  judged: readonly Draft[],
  stays: ReadonlySet<string>,
  input: PlanInput,
): { readonly leaving: readonly Leaving[]; readonly staying: readonly Leaving[] } {
  const { complete, why } = input.policies;
  const refused = judged.flatMap((draft): Leaving[] =>
    draft.own !== null && !draft.own.retained && draft.refusal !== null && groupCodes.has(draft.refusal.code)
      ? [{ device: draft.device, entry: draft.own, message: draft.refusal.message }]
      : [],
  );
  const reason = complete
    ? 'it stays with the device of its group that it came along with'
    : `the policies are not completely known: ${why ?? 'unknown'}`;
  const staying = unwanted.filter((one) => one.entry.retained || !complete || stays.has(one.device.address));
  const leaving = unwanted.filter((one) => !staying.includes(one));
  return {
    leaving: complete ? [...leaving, ...refused] : [],
    staying: staying.map((one) => (one.entry.retained ? one : { ...one, message: reason })),
  };
}

function decideFrozen(assignment: Assignment, input: PlanInput, context: RefusalContext): Decision {
  const { device, policy, losers } = assignment;
  const own = ownEntry(input.ledger, input.inventory, device);
  const bound = own !== null && device.driver !== null && device.driver === own.driver;
  return toDecision(
    {
      device,
      role: own?.role ?? 'Selected',
      policy: policy.name,
      kind: bound ? 'Bound' : 'Ignored',
      message: bound
        ? `on ${device.driver ?? ''}; policy ${policy.name} is in DryRun, so it stays as it is`
        : `kept for policy ${policy.name}, which is in DryRun: nothing is bound until it is Enforce again`,
      resource: bound ? (own.resource ?? null) : null,
      losers,
    },
    context,
  );
}

function decideKept({ device, entry, message }: Leaving, context: RefusalContext): Decision {
  const claim = entry.retained ? null : foreignClaim(device, entry, null);
  if (claim !== null) {
    const { role, policy, resource } = entry;
    const sentence = `its driver_override is '${claim}' now: somebody else claims it; ${message}`;
    return toDecision({ device, role, policy, resource, kind: 'Refused', code: 'NotOurs', message: sentence }, context);
  }
  return toDecision(
    {
      device,
      role: entry.role,
      policy: entry.policy,
      kind: entry.retained ? 'Ignored' : 'Bound',
      message: entry.retained
        ? `left on ${device.driver ?? 'no driver'} by onDelete: Retain of policy ${entry.policy}`
        : message,
      resource: entry.retained ? null : entry.resource,
    },
    context,
  );
}

function decideBlocked(
  judged: readonly Draft[],
  frozen: readonly Assignment[],
  unwanted: readonly Leaving[],
  blocked: Blocked,
  input: PlanInput,
  context: RefusalContext,
): readonly Decision[] {
  const { code } = blocked;
  const verdict = (address: string): Pick<Decision, 'kind' | 'message'> =>
    address === blocked.address
      ? { kind: code, message: blocked.detail }
      : { kind: 'Held', message: `${blocked.address} is ${code.toLowerCase()}: ${blocked.detail}` };
  return [
    ...judged.map((draft) => {
      const { kind, message } = verdict(draft.device.address);
      return decideDraft(draft, kind, message, code, context);
    }),
    ...frozen.map((entry) => {
      const { device, losers } = entry;
      const { role, policy, resource } = decideFrozen(entry, input, context);
      return toDecision({ device, role, policy, resource, losers, code, ...verdict(device.address) }, context);
    }),
    ...unwanted.map(({ device, entry: { role, policy, resource } }) =>
      toDecision({ device, role, policy, resource, code, ...verdict(device.address) }, context),
    ),
  ];
}

function decideChanges(
  members: readonly Device[],
  judged: readonly Draft[],
  leaving: readonly Leaving[],
  input: PlanInput,
  context: RefusalContext,
): GroupPlan {
  const leavingAddresses = new Set(leaving.map(({ device }) => device.address));
  const refused = judged.filter((draft) => draft.refusal !== null && !leavingAddresses.has(draft.device.address));
  const accepted = judged.filter((draft) => draft.refusal === null);
  const offered = judged.filter((draft) => draft.refusal === null || isClaimed(draft));
  const pending = accepted.filter((draft) => !isSettled(draft) || needsRecord(draft, offered));
  const transaction =
    leaving.length > 0 ? releaseTransaction(leaving, input) : bindTransaction(pending, offered, input);
  const silent =
    leaving.length === 0 && transaction?.steps.length === 0 && pending.every((draft) => isSameOffer(draft, offered));
  const hold = transaction === null || silent ? null : findHold(members, input);
  const failure = transaction === null ? undefined : input.failures.get(transaction.key);
  const waiting = failure !== undefined && !failure.due ? failure : null;
  const decisions: Decision[] = [
    ...refused.map((draft) =>
      decideDraft(draft, 'Refused', draft.refusal?.message ?? '', draft.refusal?.code ?? null, context),
    ),
    ...leaving.map(({ device, entry, message }) =>
      toDecision(
        {
          device,
          role: entry.role,
          policy: entry.policy,
          resource: entry.resource,
          kind: hold !== null ? 'Held' : waiting !== null ? 'Failed' : 'Release',
          message: hold?.message ?? waiting?.message ?? message,
          code: hold?.code ?? null,
        },
        context,
      ),
    ),
    ...accepted.map((draft) => {
      if (isSettled(draft) && isSameOffer(draft, offered))
        return decideDraft(draft, 'Bound', boundMessage(draft), null, context);
      if (hold !== null) return decideDraft(draft, 'Held', hold.message, hold.code, context);
      if (waiting !== null) return decideDraft(draft, 'Failed', waiting.message, null, context);
      if (isSettled(draft)) return decideDraft(draft, 'Bind', offerMessage(draft, offered), null, context);
      return decideDraft(draft, 'Bind', bindMessage(draft), null, context);
    }),
  ];
  return { decisions, transaction: hold !== null || waiting !== null ? null : transaction };
}

function boundMessage(draft: Draft): string {
  return `on ${draft.device.driver ?? ''} for policy ${draft.policy.name}${isolationMessage(draft)}`;
}

/** No-IOMMU mode is never silent: every sentence on such a device says what it means. */
function isolationMessage({ device }: Draft): string {
  return device.iommuGroup === null ? `, ${withoutIommu}` : '';
}

function bindMessage(draft: Draft): string {
  const from = draft.device.driver === null ? 'no driver' : draft.device.driver;
  const to = draft.target?.name ?? `the driver of module ${draft.target?.module ?? '?'}`;
  return `from ${from} to ${to} for policy ${draft.policy.name}${isolationMessage(draft)}`;
}

function offerMessage(draft: Draft, offered: readonly Draft[]): string {
  const id = deviceIdOf(draft, offered);
  const offer = id === null ? 'offered no more' : `offered as ${id} of ${draft.policy.resource?.name ?? ''}`;
  return `on ${draft.device.driver ?? ''}; from now on ${offer}, for policy ${draft.policy.name}${isolationMessage(draft)}`;
}

/** Kubelet's id for a draft: the lowest selected address of its group and resource, or its own; null when not advertised. */
function deviceIdOf(draft: Draft, offered: readonly Draft[]): string | null {
  const resource = draft.policy.resource;
  if (draft.role !== 'Selected' || resource === null) return null;
  if (resource.unit === 'Function') return draft.device.address;
  const addresses = offered
    .filter((other) => other.role === 'Selected' && other.policy.resource?.name === resource.name)
    .map((other) => other.device.address)
    .sort(compareAddresses);
  return addresses[0] ?? draft.device.address;
}

/** The ledger says something else of a settled device than its policy now does. */
function needsRecord(draft: Draft, offered: readonly Draft[]): boolean {
  const { own, policy, role } = draft;
  return (
    own === null ||
    own.policy !== policy.name ||
    own.policyUid !== policy.uid ||
    own.onDelete !== policy.onDelete ||
    own.role !== role ||
    own.driver !== draft.device.driver ||
    !isSameOffer(draft, offered)
  );
}

function isSameOffer(draft: Draft, offered: readonly Draft[]): boolean {
  const { own } = draft;
  if (own === null) return false;
  const deviceId = deviceIdOf(draft, offered);
  return (
    own.deviceId === deviceId && own.resource === (deviceId === null ? null : (draft.policy.resource?.name ?? null))
  );
}

function bindTransaction(pending: readonly Draft[], offered: readonly Draft[], input: PlanInput): Transaction | null {
  const sorted = [...pending].sort((a, b) => compareAddresses(a.device.address, b.device.address));
  const [first] = sorted;
  if (first === undefined) return null;
  const moving = sorted.filter((draft) => !isSettled(draft));
  const changes = moving.some(
    (draft) => isOnVfio(input.catalog, draft.device) && draft.device.driver !== draft.target?.name,
  );
  return {
    key: groupKey(first.device),
    kind: changes ? 'ChangeDriver' : 'Bind',
    group: first.device.iommuGroup,
    members: sorted.map((draft) => draftMember(draft, deviceIdOf(draft, offered), isAdopted(draft, input))),
    steps: bindSteps(
      moving.flatMap(({ device, target }) => (target === null ? [] : [{ device, target }])),
      input.catalog,
    ),
  };
}

function isAdopted(draft: Draft, input: PlanInput): boolean {
  if (draft.own !== null) return draft.own.adopted;
  return isOnVfio(input.catalog, draft.device) || (draft.device.guarded?.driverOverride ?? null) !== null;
}

function releaseTransaction(leaving: readonly Leaving[], input: PlanInput): Transaction | null {
  const sorted = [...leaving].sort((a, b) => compareAddresses(a.device.address, b.device.address));
  const [first] = sorted;
  if (first === undefined) return null;
  const wish = ({ entry }: Leaving): LedgerEntry['onDelete'] =>
    input.policies.policies.find((policy) => isTakenFor(entry, policy))?.onDelete ?? entry.onDelete;
  return {
    key: groupKey(first.device),
    kind: 'Release',
    group: first.device.iommuGroup,
    members: sorted.map((entry) => entryMember(entry.device, entry.entry, wish(entry))),
    steps: sorted.flatMap((entry) => (wish(entry) === 'Retain' ? [] : releaseSteps(entry.device, entry.entry))),
  };
}
