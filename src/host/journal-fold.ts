// What a journal's records come to: the ledger's entries, and the transactions that have begun and not ended. Pure.
import type { Ledger, LedgerEntry, LedgerState } from '../domain/ledger.ts';
import { settleTransaction } from '../domain/settle-transaction.ts';
import type { Step, Transaction } from '../domain/step.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import type { JournalRecord } from './journal-record.ts';

/** A kernel call that was begun. */
export interface StepInFlight {
  readonly step: Step;
  readonly worker: ProcessIdentity | null;
}

/** A transaction that has begun and not ended. */
export interface OpenTransaction {
  readonly id: number;
  readonly bootId: string;
  readonly begunAt: number;
  readonly transaction: Transaction;
  /** Entries that its members had. */
  readonly before: readonly LedgerEntry[];
  /** Forward steps that were begun, in order, with the drivers' names resolved. */
  readonly begun: readonly Step[];
  /** Begun and not known to have ended; after a crash its worker may still be in the kernel. */
  readonly inFlight: StepInFlight | null;
  /** What the stuck call is, as a sentence; null when none is. */
  readonly stuck: string | null;
  /** Why it could not be undone; null when nobody has failed to. */
  readonly quarantined: string | null;
  /** What failed first, where something did; failures of its undoing do not replace it. */
  readonly cause: string | null;
}

/** The fold. */
export interface JournalState {
  /** Settled entries, keyed by address; those of open transactions lie above them (see `toLedger`). */
  readonly entries: ReadonlyMap<string, LedgerEntry>;
  readonly open: ReadonlyMap<number, OpenTransaction>;
  readonly nextId: number;
}

export const emptyJournalState: JournalState = { entries: new Map(), open: new Map(), nextId: 1 };

/** The state after one more record. */
export function foldRecord(state: JournalState, record: JournalRecord): JournalState {
  switch (record.type) {
    case 'Opened':
      return closeOtherBoots(state, record.bootId);
    case 'Snapshot':
      return {
        entries: new Map(record.entries.map((entry) => [entry.address, entry])),
        open: new Map(record.open.map((one) => [one.id, one])),
        nextId: record.nextId,
      };
    case 'Begun':
      return begin(state, record);
    case 'StepBegun':
      return update(state, record.id, (open) => ({
        ...open,
        begun: record.direction === 'Forward' ? open.begun.toSpliced(record.index, 1, record.step) : open.begun,
        inFlight: { step: record.step, worker: record.worker },
        stuck: null,
        quarantined: null,
      }));
    case 'StepDone':
    case 'StepReturned':
      return update(state, record.id, (open) => ({ ...open, inFlight: null, stuck: null }));
    case 'StepFailed':
      return update(state, record.id, (open) => ({
        ...open,
        inFlight: null,
        stuck: null,
        cause: open.cause ?? record.said,
      }));
    case 'StepStuck':
      return update(state, record.id, (open) => ({
        ...open,
        inFlight: { step: open.inFlight?.step ?? firstStep(open), worker: record.worker },
        stuck: record.said,
      }));
    case 'Quarantined':
      return update(state, record.id, (open) => ({ ...open, inFlight: null, stuck: null, quarantined: record.why }));
    case 'Committed':
      return end(change(state, record.set, record.drop), record.id);
    case 'RolledBack':
      return end(state, record.id);
    case 'Noted':
      return change(state, record.set, record.drop);
  }
}

/** The ledger: settled entries, and over them one for each member of an open transaction. */
export function toLedger(state: JournalState): Ledger {
  const entries = new Map(state.entries);
  for (const open of state.open.values()) {
    for (const entry of toOpenEntries(open)) entries.set(entry.address, entry);
  }
  return { entries };
}

/** Whether a transaction has to do with any of these addresses, this group, or this key. */
export function touches(open: OpenTransaction, transaction: Transaction): boolean {
  const { key, group, members } = open.transaction;
  if (key === transaction.key || (group !== null && group === transaction.group)) return true;
  const addresses = new Set(members.map((member) => member.identity.address));
  return transaction.members.some((member) => addresses.has(member.identity.address));
}

function toOpenEntries(open: OpenTransaction): readonly LedgerEntry[] {
  const before = new Map(open.before.map((entry) => [entry.address, entry]));
  const { set, drop } = settleTransaction(open.transaction, toResolvedSteps(open), open.bootId, before);
  const dropped = drop.flatMap((address) => before.get(address) ?? []);
  const state: LedgerState =
    open.stuck !== null ? 'Stuck' : open.quarantined !== null ? 'Quarantined' : 'InTransaction';
  const detail = open.stuck ?? open.quarantined ?? open.cause;
  return [...set, ...dropped].map((entry) => ({ ...entry, bootId: open.bootId, state, detail }));
}

/** The transaction's steps, those that were begun with their resolved names. */
export function toResolvedSteps(open: Pick<OpenTransaction, 'transaction' | 'begun'>): readonly Step[] {
  return open.transaction.steps.map((step, index) => open.begun[index] ?? step);
}

function firstStep(open: OpenTransaction): Step {
  const [step] = open.transaction.steps;
  if (step === undefined) throw new Error(`transaction ${open.id} has no steps`);
  return step;
}

function begin(state: JournalState, record: Extract<JournalRecord, { type: 'Begun' }>): JournalState {
  const before = record.transaction.members.flatMap((member) => state.entries.get(member.identity.address) ?? []);
  const open = new Map(state.open).set(record.id, {
    id: record.id,
    bootId: record.bootId,
    begunAt: record.at,
    transaction: record.transaction,
    before,
    begun: [],
    inFlight: null,
    stuck: null,
    quarantined: null,
    cause: null,
  });
  return { ...state, open, nextId: Math.max(state.nextId, record.id + 1) };
}

function update(state: JournalState, id: number, to: (open: OpenTransaction) => OpenTransaction): JournalState {
  const open = state.open.get(id);
  return open === undefined ? state : { ...state, open: new Map(state.open).set(id, to(open)) };
}

function end(state: JournalState, id: number): JournalState {
  const open = new Map(state.open);
  open.delete(id);
  return { ...state, open };
}

function change(state: JournalState, set: readonly LedgerEntry[], drop: readonly string[]): JournalState {
  const entries = new Map(state.entries);
  for (const address of drop) entries.delete(address);
  for (const entry of set) entries.set(entry.address, entry);
  return { ...state, entries };
}

/**
 * A boot undoes everything that a transaction does: drivers, overrides and VFs start anew. What was open in an earlier boot is
 * therefore over; its entries stay as records of that boot, because they prove that a disk's contents were ours to take.
 */
function closeOtherBoots(state: JournalState, bootId: string): JournalState {
  const over = [...state.open.values()].filter((open) => open.bootId !== bootId);
  const kept = over.flatMap(toOpenEntries).map((entry) => ({ ...entry, state: 'Taken' as const, detail: null }));
  const closed = over.reduce((left, open) => end(left, open.id), state);
  return change(closed, kept, []);
}
