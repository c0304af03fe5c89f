// What we have on VFIO and leave there, though no policy in force wants it so now: a mistake in a policy, or not seeing one, must not
// take devices away.
import type { Assignment } from './assign-devices.ts';
import type { Device } from './device.ts';
import type { Draft } from './draft.ts';
import { foreignClaim } from './foreign-claim.ts';
import { isHeldOnVfio } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';

/** Who else decides about devices of the groups. */
export interface GroupPlaces {
  /** Devices that are decided elsewhere: PFs that keep their driver, VFs that go with their PF, devices of policies in conflict. */
  readonly elsewhere: ReadonlySet<string>;
  /** Of these, the devices of policies in conflict: what we have of them stays bound. */
  readonly conflicted: ReadonlySet<string>;
}

/**
 * Members that we have on VFIO and that stay there, though no policy in force wants them so now: frozen ones, those of policies in
 * conflict or not seen, those for which a policy asks for a driver that cannot be had, those that somebody else claims; and the
 * companions of all these.
 */
export function findStaying(
  members: readonly Device[],
  assigned: readonly Assignment[],
  drafts: readonly Draft[],
  { elsewhere, conflicted }: GroupPlaces,
  input: PlanInput,
): ReadonlySet<string> {
  const held = members.filter((device) => isHeldOnVfio(device, input));
  const frozen = new Set(assigned.filter((one) => one.frozen).map((one) => one.device.address));
  const selected = new Set(assigned.map((one) => one.device.address));
  const refused = new Set(drafts.filter((draft) => draft.refusal !== null).map((draft) => draft.device.address));
  const unseen = (address: string): boolean =>
    !input.policies.complete && !selected.has(address) && !elsewhere.has(address);
  const heedless = new Set(assigned.flatMap(({ policy }) => (policy.allow.includes('NotOurs') ? [policy.name] : [])));
  const claimed = (device: Device): boolean => {
    const own = input.ledger.entries.get(device.address);
    if (own === undefined || selected.has(device.address) || heedless.has(own.policy)) return false;
    return foreignClaim(device, own, null) !== null;
  };
  const stays = held.filter(
    (device) =>
      frozen.has(device.address) ||
      conflicted.has(device.address) ||
      refused.has(device.address) ||
      unseen(device.address) ||
      claimed(device),
  );
  const ownerOf = (device: Device): string => input.ledger.entries.get(device.address)?.policy ?? '';
  const owners = new Set(stays.map(ownerOf));
  const companions = held.filter(
    (device) =>
      input.ledger.entries.get(device.address)?.role === 'Companion' &&
      owners.has(ownerOf(device)) &&
      !selected.has(device.address),
  );
  return new Set([...stays, ...companions].map((device) => device.address));
}
