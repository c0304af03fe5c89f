// What is worth an event: what changed since the last pass, and what has been wrong for long. Told once, devices with one cause together;
// a node where nothing changes tells nothing, and a restarted agent does not tell its devices anew.
import type { VfioNodeState } from '../../api/generated/types.ts';
import type { Decision, Plan } from '../../domain/decision.ts';
import type { InvalidPolicy } from '../../domain/node-state.ts';
import type { PolicySet } from '../../domain/policy.ts';
import type { Transaction } from '../../domain/step.ts';
import type { ApplyOutcome } from '../apply-context.ts';
import type { ResourceStatus } from '../kubelet-side.ts';
import { toGroupedEvent, type EventReason, type NodeEvent } from './node-event.ts';

/** Milliseconds after which something that merely waits is worth an event. */
export const longWaits = { held: 600_000, policies: 300_000, registration: 300_000, pass: 60_000 };

/** A finished pass, as far as it matters here. */
export interface Told {
  readonly plan: Pick<Plan, 'decisions'>;
  readonly policies: Pick<PolicySet, 'complete' | 'why'>;
  readonly invalidPolicies: readonly InvalidPolicy[];
  readonly resources: readonly ResourceStatus[];
}

export interface Narrator {
  /** A transaction ended; it is told with the next pass. */
  noteOutcome(transaction: Transaction, outcome: ApplyOutcome): void;
  /** A pass finished. `now` is monotonic milliseconds. */
  tell(told: Told, now: number): readonly NodeEvent[];
  /** A pass could not be finished. */
  tellFailure(message: string, now: number): readonly NodeEvent[];
}

interface Happening {
  readonly reason: EventReason;
  readonly policy: string | null;
  /** Things with the same cause are told together. */
  readonly cause: string;
  readonly address: string;
  readonly message: string;
}

/** `before` is the node state that an earlier agent wrote last; null: nothing was ever told. */
export function createNarrator(before: VfioNodeState | null): Narrator {
  let verdicts = new Map(
    (before?.status?.devices ?? []).map((one) => [one.address, verdictOf(one.decision, one.code)]),
  );
  let invalid = new Set(
    (before?.status?.policies ?? [])
      .filter(({ code }) => code === 'Invalid')
      .map(({ name, observedGeneration }) => `${name} ${observedGeneration}`),
  );
  let applied: Transaction[] = [];
  const waits = createWaits();

  const findChanges = (decisions: readonly Decision[]): Happening[] => {
    const known = verdicts;
    verdicts = new Map(decisions.map(({ address, kind, code }) => [address, verdictOf(kind, code ?? undefined)]));
    return decisions.flatMap(({ address, kind, code, policy, message }) => {
      const isNews = kind === 'Refused' || kind === 'Failed' || kind === 'Quarantined' || kind === 'Stuck';
      if (!isNews || known.get(address) === verdicts.get(address)) return [];
      return [{ reason: kind, policy, cause: code ?? '', address, message }];
    });
  };

  const findInvalid = (policies: readonly InvalidPolicy[]): NodeEvent[] => {
    const known = invalid;
    invalid = new Set(policies.map(({ name, generation }) => `${name} ${generation}`));
    return policies
      .filter(({ name, generation }) => !known.has(`${name} ${generation}`))
      .map(({ name, message }) => toGroupedEvent('PolicyInvalid', null, [{ address: `policy ${name}`, message }]));
  };

  return {
    noteOutcome(transaction, { outcome }) {
      if (outcome === 'Applied') applied.push(transaction);
    },
    tell({ plan: { decisions }, policies, invalidPolicies, resources }, now) {
      const held = decisions.filter(({ kind }) => kind === 'Held');
      const heldLong = waits
        .longer('held', new Set(held.map(({ address }) => address)), now, longWaits.held)
        .flatMap((address): Happening[] =>
          held
            .filter((one) => one.address === address)
            .map(({ code, policy, message }) => ({ reason: 'HeldLong', policy, cause: code ?? '', address, message })),
        );
      const unknown = waits.longer('policies', new Set(policies.complete ? [] : ['']), now, longWaits.policies);
      const waiting = resources.filter(({ registered }) => !registered);
      const unregistered = waits
        .longer('registration', new Set(waiting.map(({ resource }) => resource)), now, longWaits.registration)
        .map((resource) => ({
          address: resource,
          message: waiting.find((one) => one.resource === resource)?.lastError ?? 'kubelet has not taken it yet',
        }));
      waits.longer('pass', new Set(), now, longWaits.pass);
      const drivers = new Map(decisions.map(({ address, driverNow }) => [address, driverNow]));
      const done = applied.flatMap((transaction) => toHappenings(transaction, drivers));
      applied = [];
      const happened = [...done, ...findChanges(decisions), ...heldLong];
      return [
        ...groupByCause(happened),
        ...findInvalid(invalidPolicies),
        ...unknown.map(() => ({
          reason: 'PoliciesUnknown' as const,
          note: `nothing is released: ${policies.why ?? ''}`,
        })),
        ...unregistered.map((one) => toGroupedEvent('NotRegistered', null, [one])),
      ];
    },
    tellFailure(message, now) {
      return waits
        .longer('pass', new Set(['']), now, longWaits.pass)
        .map(() => ({ reason: 'PassFailed' as const, note: message.slice(0, 1024) }));
    },
  };
}

function verdictOf(kind: string, code: string | undefined): string {
  return `${kind} ${code ?? ''}`;
}

/**
 * What a transaction that was applied did to each device; one that only changed our records did nothing. `drivers` are those that devices
 * have now: a plan may know the module alone.
 */
function toHappenings({ kind, members, steps }: Transaction, drivers: ReadonlyMap<string, string | null>): Happening[] {
  const touched = new Set(steps.flatMap((step) => ('address' in step ? [step.address] : [])));
  return members.flatMap(({ identity: { address, driver }, policy, role, onDelete }): Happening[] => {
    switch (kind) {
      case 'Bind':
      case 'ChangeDriver': {
        const bind = steps.findLast((step) => step.kind === 'Bind' && step.address === address);
        if (bind?.kind !== 'Bind') return [];
        const planned = bind.driver.name ?? `the driver of ${bind.driver.module ?? 'its module'}`;
        // Still on the one from before: that was seen before the transaction ended.
        const now = drivers.get(address) ?? driver;
        const to = now === null || now === driver ? planned : now;
        const message = `bound to ${to}, was on ${driver ?? 'no driver'}${role === 'Companion' ? ' (companion)' : ''}`;
        return [{ reason: 'Bound', policy, cause: to, address, message }];
      }
      case 'Release':
        if (touched.has(address)) return [{ reason: 'Released', policy, cause: '', address, message: 'given back' }];
        if (onDelete !== 'Retain') return [];
        return [{ reason: 'Released', policy, cause: 'Retain', address, message: 'left bound (onDelete: Retain)' }];
      case 'CreateVirtualFunctions': {
        const made = steps.find((step) => step.kind === 'SetVirtualFunctions' && step.address === address);
        if (made?.kind !== 'SetVirtualFunctions') return [];
        const message = `has ${made.count} virtual functions`;
        return [{ reason: 'VirtualFunctionsMade', policy, cause: '', address, message }];
      }
      case 'RemoveVirtualFunctions':
        if (role !== 'PhysicalFunction' || !touched.has(address)) return [];
        return [{ reason: 'Released', policy, cause: 'VFs', address, message: 'its virtual functions were removed' }];
    }
  });
}

function groupByCause(happened: readonly Happening[]): NodeEvent[] {
  const groups = new Map<string, Happening[]>();
  for (const one of happened) {
    const key = JSON.stringify([one.reason, one.policy, one.cause]);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [toGroupedEvent(first.reason, first.policy, group)];
  });
}

interface Waits {
  /** Of the names that are in a state now, those that have just been in it for `least` milliseconds; each once per stretch. */
  longer(state: string, names: ReadonlySet<string>, now: number, least: number): readonly string[];
}

function createWaits(): Waits {
  const since = new Map<string, Map<string, { readonly at: number; told: boolean }>>();
  return {
    longer(state, names, now, least) {
      const known = since.get(state) ?? new Map<string, { readonly at: number; told: boolean }>();
      since.set(state, known);
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
      for (const name of names) if (!known.has(name)) known.set(name, { at: now, told: false });
      const due = [...known].filter(([, entry]) => !entry.told && now - entry.at >= least);
      for (const [, entry] of due) entry.told = true;
      return due.map(([name]) => name);
    },
  };
}
