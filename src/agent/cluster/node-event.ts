// The events an agent writes: a closed list of reasons, each documented in docs/operations.md, and the words of each.
import { clip } from '../../domain/clip.ts';

/** Reason → what the agent was about, in one word. Programs compare reasons; they never change their meaning. */
export const eventReasons = {
  /** Devices are on their VFIO driver, verified. */
  Bound: { type: 'Normal', action: 'Bind' },
  /** Virtual functions were made. */
  VirtualFunctionsMade: { type: 'Normal', action: 'Bind' },
  /** Devices were given back, or left where they are by `onDelete: Retain`. */
  Released: { type: 'Normal', action: 'Release' },
  /** A policy wants devices that must not be touched. */
  Refused: { type: 'Normal', action: 'Plan' },
  /** Steps failed and were undone. */
  Failed: { type: 'Warning', action: 'Apply' },
  /** What failed could not be undone. */
  Quarantined: { type: 'Warning', action: 'Apply' },
  /** A kernel call does not return. */
  Stuck: { type: 'Warning', action: 'Apply' },
  /** A change has been waiting for the user of a device for long. */
  HeldLong: { type: 'Warning', action: 'Plan' },
  /** A policy has words that this agent does not know. */
  PolicyInvalid: { type: 'Warning', action: 'ReadPolicies' },
  /** The policies have not been known for certain for long, so nothing is released. */
  PoliciesUnknown: { type: 'Warning', action: 'ReadPolicies' },
  /** Kubelet has not taken a resource for long. */
  NotRegistered: { type: 'Warning', action: 'Register' },
  /** The agent could not look at the host. */
  PassFailed: { type: 'Warning', action: 'Look' },
} as const;
export type EventReason = keyof typeof eventReasons;

export interface NodeEvent {
  readonly reason: EventReason;
  /** One or two sentences, at most 1,024 characters (events.k8s.io/v1 allows no more). */
  readonly note: string;
}

/** Addresses that a note names; the rest is counted. */
const named = 4;

/** One event for all devices that something happened to for the same cause. */
export function toGroupedEvent(
  reason: EventReason,
  policy: string | null,
  happened: readonly { readonly address: string; readonly message: string }[],
): NodeEvent {
  const [first, ...more] = happened;
  const of = policy === null ? '' : ` (policy ${policy})`;
  if (first === undefined) return { reason, note: '' };
  if (more.length === 0) return { reason, note: clip(`${first.address}${of}: ${first.message}`, 1024) };
  const names = happened.slice(0, named).map(({ address }) => address);
  const rest = happened.length > named ? ` and ${happened.length - named} more` : '';
  return {
    reason,
    note: clip(`${happened.length} devices${of}: ${names.join(', ')}${rest}. The first: ${first.message}`, 1024),
  };
}
