// The planner's working papers: what is known of one device before its group is judged, and how that becomes a decision.
import type { Assignment } from './assign-devices.ts';
import type { DecisionKind, HoldCode, RefusalCode } from './codes.ts';
import type { Decision, DecisionRole } from './decision.ts';
import type { Device } from './device.ts';
import type { DriverChoice } from './driver-choice.ts';
import { foreignClaim } from './foreign-claim.ts';
import type { LedgerEntry } from './ledger.ts';
import { chooseTarget } from './choose-target.ts';
import { cures } from './cures.ts';
import type { PlanInput } from './plan-input.ts';
import type { Policy } from './policy.ts';
import { type Refusal, type RefusalContext, refuseDevice, sortFindings } from './refuse-device.ts';
import type { DriverTarget } from './step.ts';

/** A device that is selected, or taken as a companion, before its group is judged. */
export interface Draft {
  readonly device: Device;
  readonly policy: Policy;
  readonly role: 'Selected' | 'Companion';
  readonly own: LedgerEntry | null;
  readonly losers: Assignment['losers'];
  readonly choice: DriverChoice;
  readonly target: DriverTarget | null;
  readonly refusal: Refusal | null;
}

/** Judges one device on its own: may it be taken, and to which driver. */
export function draftDevice(
  assignment: Pick<Assignment, 'device' | 'policy' | 'losers'>,
  role: Draft['role'],
  own: LedgerEntry | null,
  input: PlanInput,
  context: RefusalContext,
): Draft {
  const { device, policy, losers } = assignment;
  const { choice, target, refusal } = chooseTarget(device, policy, input.aliases, input.catalog);
  const first =
    refuseDevice(device, policy, own, context) ??
    refuseClaimed(device, policy, own, target) ??
    refusal ??
    refuseNodes(policy, input);
  return { device, policy, role, own, losers, choice, target, refusal: first };
}

/** A device of ours that somebody else has set a `driver_override` on is theirs until that is gone, bound or not. */
function refuseClaimed(
  device: Device,
  policy: Policy,
  own: LedgerEntry | null,
  target: DriverTarget | null,
): Refusal | null {
  if (own === null || policy.allow.includes('NotOurs')) return null;
  const claim = foreignClaim(device, own, target?.name ?? null);
  return claim === null
    ? null
    : {
        code: 'NotOurs',
        message: `its driver_override is '${claim}' now: somebody else claims it, so it is left as it is`,
      };
}

/** True for a device of ours that somebody else claims: it stays where it is, and in its offer. */
export function isClaimed({ own, refusal }: Pick<Draft, 'own' | 'refusal'>): boolean {
  return own !== null && !own.retained && refusal?.code === 'NotOurs';
}

/** Cdevs come with iommufd (CONFIG_VFIO_DEVICE_CDEV depends on it), so without it there can be none. */
function refuseNodes(policy: Policy, input: PlanInput): Refusal | null {
  const wanted = policy.resource?.deviceNodes;
  if (wanted !== 'Cdev' && wanted !== 'Iommufd') return null;
  const module = input.catalog.modules.get('iommufd');
  if (input.inventory.kernel.iommufd || (module !== undefined && module.state !== 'Missing')) return null;
  return {
    code: 'NoDeviceNode',
    message: `the policy wants deviceNodes ${wanted}, and kernel ${input.inventory.kernel.release} has no iommufd`,
  };
}

/** True when the device already is on the driver it shall have, by our hand and for the same policy and resource. */
export function isSettled(draft: Draft): boolean {
  const { own, device, target } = draft;
  return (
    own !== null &&
    own.state === 'Taken' &&
    !own.retained &&
    target !== null &&
    device.driver !== null &&
    device.driver === target.name
  );
}

/** What a decision says beyond its kind and sentence. */
export interface DecisionParts {
  readonly device: Device;
  readonly role: DecisionRole;
  readonly policy: string | null;
  readonly kind: DecisionKind;
  readonly message: string;
  readonly code?: RefusalCode | HoldCode | null;
  readonly resource?: string | null;
  readonly driverWanted?: string | null;
  readonly choice?: DriverChoice | null;
  readonly losers?: Decision['losers'];
}

/** Fills in a decision; refusals and holds get their cure appended. */
export function toDecision(parts: DecisionParts, context: RefusalContext): Decision {
  const code = parts.code ?? null;
  const { device } = parts;
  return {
    address: device.address,
    kind: parts.kind,
    role: parts.role,
    policy: parts.policy,
    resource: parts.resource ?? null,
    code,
    message: code === null ? parts.message : `${parts.message}. ${cures[code]}`,
    driverNow: device.driver,
    driverWanted: parts.driverWanted ?? null,
    choice: parts.choice ?? null,
    iommuGroup: device.iommuGroup,
    findings: sortFindings(context.findings.get(device.address) ?? []),
    losers: parts.losers ?? [],
  };
}

/** A decision on a draft. */
export function decideDraft(
  draft: Draft,
  kind: DecisionKind,
  message: string,
  code: RefusalCode | HoldCode | null,
  context: RefusalContext,
): Decision {
  return toDecision(
    {
      device: draft.device,
      role: draft.role,
      policy: draft.policy.name,
      kind,
      message,
      code,
      resource: draft.role === 'Selected' ? (draft.policy.resource?.name ?? null) : null,
      driverWanted: draft.target?.name ?? draft.target?.module ?? null,
      choice: draft.choice,
      losers: draft.losers,
    },
    context,
  );
}
