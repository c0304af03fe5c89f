// The journal's records and their form on disk. A file is a first line with the format's version, then one line per record:
// `CHECKSUM JSON`. Each checksum covers the record and the checksum before it, so that a record that was changed, lost or moved is
// found; only what an unfinished append can leave, at the very end, is taken for that.
import { createHash } from 'node:crypto';
import type { LedgerEntry } from '../domain/ledger.ts';
import type { Step, Transaction } from '../domain/step.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import type { OpenTransaction } from './journal-fold.ts';

/** Forward steps are the plan's, by number; backward ones end a transaction that was interrupted or failed, mostly by undoing it. */
export type StepDirection = 'Forward' | 'Back';

/** Everything a journal can say. `id` names a transaction. */
export type JournalRecord =
  /** A writer began, in this boot of the machine. `at`: milliseconds since the epoch. */
  | { readonly type: 'Opened'; readonly bootId: string; readonly at: number }
  /** All that the records before it came to. */
  | {
      readonly type: 'Snapshot';
      readonly entries: readonly LedgerEntry[];
      readonly open: readonly OpenTransaction[];
      readonly nextId: number;
    }
  | {
      readonly type: 'Begun';
      readonly id: number;
      readonly bootId: string;
      readonly at: number;
      readonly transaction: Transaction;
    }
  /** About to write; `step` has its driver's name resolved. `worker`: who makes the kernel call, null for loading a module. */
  | {
      readonly type: 'StepBegun';
      readonly id: number;
      readonly index: number;
      readonly direction: StepDirection;
      readonly step: Step;
      readonly worker: ProcessIdentity | null;
    }
  | { readonly type: 'StepDone'; readonly id: number; readonly said: string | null }
  | { readonly type: 'StepFailed'; readonly id: number; readonly said: string }
  | { readonly type: 'StepStuck'; readonly id: number; readonly worker: ProcessIdentity; readonly said: string }
  /** The kernel call that was stuck has returned. */
  | { readonly type: 'StepReturned'; readonly id: number }
  | {
      readonly type: 'Committed';
      readonly id: number;
      readonly set: readonly LedgerEntry[];
      readonly drop: readonly string[];
    }
  | { readonly type: 'RolledBack'; readonly id: number; readonly cause: string }
  | { readonly type: 'Quarantined'; readonly id: number; readonly why: string }
  /** Entries change without any write to the host: retained, handed to another policy, gone with their device. */
  | {
      readonly type: 'Noted';
      readonly set: readonly LedgerEntry[];
      readonly drop: readonly string[];
      readonly why: string;
    };

/** A journal that cannot be trusted: nothing may be written to any device until a person has looked. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly problem: 'Damaged' | 'Newer' | 'Unreadable' | 'Unwritable';
  readonly path: string;

  constructor(problem: JournalError['problem'], path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
    this.path = path;
  }
}

/** What a journal's text holds. */
export interface DecodedJournal {
  readonly records: readonly JournalRecord[];
  /** Bytes at the end that are no whole record, as a crash in the middle of an append leaves them; 0 for a clean end. */
  readonly tornBytes: number;
}

const version = 1;
const magic = 'vfio-operator journal';
const sumLength = 16;

/** The first line, without its end. */
export const journalHeader = `${magic} ${version}`;

/** Checksum before the first record. */
export const firstChecksum = checksum('', journalHeader);

/** One line, and the checksum to go on with. */
export function encodeRecord(record: JournalRecord, previous: string): { readonly line: string; readonly sum: string } {
  const json = JSON.stringify(record);
  const sum = checksum(previous, json);
  return { line: `${sum} ${json}\n`, sum };
}

/**
 * Reads a journal. `bootId` is this boot's. Throws `JournalError`: `Newer` for a version we do not know, `Damaged` with the line for
 * anything that an append cut short cannot explain. Within one boot such an append leaves the beginning of a line and no more;
 * over a power cut the last line's blocks may reach the disk in any order, so there its whole last line may be broken.
 */
export function decodeJournal(path: string, text: string, bootId: string): DecodedJournal {
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  checkHeader(path, lines[0] ?? rest);

  const records: JournalRecord[] = [];
  let sum = firstChecksum;
  for (const [at, line] of lines.entries()) {
    if (at === 0) continue;
    const record = decodeLine(line, sum);
    if (record === null) {
      const isLast = at === lines.length - 1 && rest === '';
      if (isLast && isStarted(records) && lastBootId(records) !== bootId)
        return { records, tornBytes: byteLength(line) + 1 };
      throw damaged(path, at + 1, 'the checksum does not fit');
    }
    records.push(record);
    sum = line.slice(0, sumLength);
  }
  const decoded = decodeRest(path, rest, records, sum, lines.length + 1);
  if (!isStarted(decoded.records)) throw damaged(path, lines.length + 1, 'its beginning is incomplete');
  return decoded;
}

// A file gets its name only once its first two records are on disk, so no append that was cut short explains their absence.
function isStarted(records: readonly JournalRecord[]): boolean {
  return records[0]?.type === 'Opened' && records[1]?.type === 'Snapshot';
}

/** What follows the last line's end: nothing, the beginning of a record, a record without its end, or damage. */
function decodeRest(
  path: string,
  rest: string,
  records: readonly JournalRecord[],
  sum: string,
  line: number,
): DecodedJournal {
  const whole = decodeLine(rest, sum);
  if (whole !== null) return { records: [...records, whole], tornBytes: byteLength(rest) };
  if (decodeLine(rest.slice(0, -1), sum) !== null) throw damaged(path, line, 'the end of the line is gone');
  return { records, tornBytes: byteLength(rest) };
}

function checksum(previous: string, json: string): string {
  return createHash('sha256').update(`${previous}\n${json}`).digest('hex').slice(0, sumLength);
}

function decodeLine(line: string, previous: string): JournalRecord | null {
  const json = line.slice(sumLength + 1);
  if (line[sumLength] !== ' ' || line.slice(0, sumLength) !== checksum(previous, json)) return null;
  return JSON.parse(json) as JournalRecord;
}

function checkHeader(path: string, header: string): void {
  if (header === journalHeader) return;
  const found = /^vfio-operator journal (\d{1,9})$/.exec(header)?.[1];
  if (found === undefined || Number(found) < version) throw damaged(path, 1, 'the first line is none of ours');
  throw new JournalError(
    'Newer',
    path,
    `${path} has format ${found}, this program writes ${version}: a newer release has been here. Run that release; no device is touched`,
  );
}

function lastBootId(records: readonly JournalRecord[]): string | null {
  const record = records.findLast((one) => one.type === 'Opened');
  return record?.type === 'Opened' ? record.bootId : null;
}

function damaged(path: string, line: number, what: string): JournalError {
  return new JournalError(
    'Damaged',
    path,
    `${path} is damaged in line ${line} (${what}). No device is touched. Keep a copy; moving the file away makes the agent forget which devices it took`,
  );
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
